/**
 * Dropped packets as they are dropped. A flood brings thousands a second: they are collected, and the page is updated
 * four times a second.
 */
import { useEffect, useState } from 'react';
import { useEventStream } from './event-stream.ts';
import type { StreamStatus } from './event-stream.ts';
import { query } from './client.ts';
import { merged, shownDrops } from './drops.ts';
import type { Drop } from './types.ts';

const flushMs = 250;

export interface DropFilter {
  readonly server?: string | undefined;
  readonly reason?: string | undefined;
}

export interface LiveDrops {
  readonly drops: readonly Drop[];
  /** Whether the first ones have come, if there are any. */
  readonly isComplete: boolean;
  readonly stream: StreamStatus;
}

/** With a new filter begins a new list: give the component a key. */
export function useDrops({ server, reason }: DropFilter, isPaused: boolean): LiveDrops {
  const [drops, setDrops] = useState<readonly Drop[]>([]);
  const [pending] = useState((): Drop[] => []);
  const [isComplete, setIsComplete] = useState(false);
  // As many as a pause can have missed and the table can show.
  const path = `/v1/drops${query({ server, reason, limit: shownDrops })}`;
  const stream = useEventStream(isPaused ? undefined : path, ({ event, data }) => {
    if (event !== 'drop') return;
    pending.push(data as Drop);
    if (pending.length > shownDrops) pending.shift();
  });
  const isOpen = stream.state === 'open';
  useEffect(() => {
    if (isPaused) return;
    const timer = window.setInterval(() => {
      if (isOpen) setIsComplete(true);
      if (pending.length === 0) return;
      const newer = pending.splice(0);
      setDrops((known) => merged(known, newer));
    }, flushMs);
    return () => window.clearInterval(timer);
  }, [isPaused, isOpen, pending]);
  return { drops, isComplete, stream };
}
