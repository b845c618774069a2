/** Whether what one looks at is live. */
import { Badge } from '@mantine/core';
import type { ReactNode } from 'react';
import type { StreamState } from '../data/event-stream.ts';

const words: Readonly<Record<StreamState, { text: string; color: string }>> = {
  connecting: { text: 'connecting', color: 'gray' },
  open: { text: 'live', color: 'teal' },
  reconnecting: { text: 'reconnecting', color: 'orange' },
  paused: { text: 'paused', color: 'gray.5' },
  failed: { text: 'not available', color: 'red' },
};

export function StreamNote({ state }: { readonly state: StreamState }): ReactNode {
  const { text, color } = words[state];
  return (
    <Badge variant="dot" color={color} tt="none" size="lg" role="status" data-state={state}>
      {text}
    </Badge>
  );
}
