/** How long ago something was, with the exact time as a tooltip. */
import { useInterval } from '@mantine/hooks';
import { useState } from 'react';
import type { ReactNode } from 'react';
import { formatAgo, formatTime } from './format.ts';

const periodMs = 10_000;

/** The time in ms since 1970, a few seconds old at most. */
export function useNow(): number {
  const [now, setNow] = useState(() => Date.now());
  useInterval(() => setNow(Date.now()), periodMs, { autoInvoke: true });
  return now;
}

export function Ago({ at }: { readonly at: string }): ReactNode {
  const now = useNow();
  return (
    <time dateTime={at} title={formatTime(at)}>
      {formatAgo(at, Math.max(now, new Date(at).getTime()))}
    </time>
  );
}
