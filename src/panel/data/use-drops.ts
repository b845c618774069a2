/**
 * Dropped packets as they are dropped, newest first, so many as a table can show.
 *
 * A flood brings thousands a second: they are collected, and the page is told four times a second. A stream that is opened
 * again begins with packets that are known already; those are not told twice.
 */
import { useEffect, useState } from 'react';
import { useEventStream } from './event-stream.ts';
import type { StreamStatus } from './event-stream.ts';
import { query } from './client.ts';
import type { Drop } from './types.ts';

export const shownDrops = 200;
const flushMs = 250;

export interface DropFilter {
  readonly server?: string | undefined;
  readonly reason?: string | undefined;
}

/** The same packet has the same key; ids begin again with the firewall. */
export function keyOf({ id, at }: Drop): string {
  return `${at} ${id}`;
}

/** `newer` (oldest first) in front of `known` (newest first), without those that are known. */
export function merged(known: readonly Drop[], newer: readonly Drop[]): readonly Drop[] {
  const keys = new Set(known.map(keyOf));
  const added = newer.slice(-shownDrops).filter((drop) => !keys.has(keyOf(drop)));
  if (added.length === 0) return known;
  return [...added.reverse(), ...known].slice(0, shownDrops);
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
  const path = `/v1/drops${query({ server, reason, limit: 100 })}`;
  const stream = useEventStream(isPaused ? undefined : path, ({ event, data }) => {
    if (event !== 'drop') return;
    pending.push(data as Drop);
    if (pending.length > shownDrops) pending.shift();
  });
  useEffect(() => {
    if (isPaused) return;
    const timer = window.setInterval(() => {
      if (pending.length === 0) return;
      const newer = pending.splice(0);
      setDrops((known) => merged(known, newer));
    }, flushMs);
    return () => window.clearInterval(timer);
  }, [isPaused, pending]);
  return { drops, isComplete: stream.state === 'open', stream };
}
