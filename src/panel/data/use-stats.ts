/**
 * The firewall's counters, once a second, and the last minutes of them. The history belongs to the tab, not to the page: after
 * a visit to another page the charts are as before, with a gap for the time between.
 */
import { useSyncExternalStore } from 'react';
import { useEventStream } from './event-stream.ts';
import type { StreamStatus } from './event-stream.ts';
import { emptyHistory, extended } from './rates.ts';
import type { StatsHistory } from './rates.ts';
import type { Stats } from './types.ts';

const listeners = new Set<() => void>();
const store = { history: emptyHistory };

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function current(): StatsHistory {
  return store.history;
}

function push(stats: Stats): void {
  store.history = extended(store.history, stats);
  for (const listener of [...listeners]) listener();
}

export interface LiveStats extends StatsHistory {
  readonly stream: StreamStatus;
}

/**
 * Once on a page: each use is a stream of its own.
 *
 * @param servers with those of each server, for which the firewall walks over all of its flows
 */
export function useStats({ servers }: { readonly servers: boolean }): LiveStats {
  const stream = useEventStream(`/v1/stats?servers=${servers}`, ({ event, data }) => {
    if (event === 'stats') push(data as Stats);
  });
  const history = useSyncExternalStore(subscribe, current);
  return { ...history, stream };
}
