/**
 * The firewall's counters, once a second, and the last hour of them. The history belongs to the tab, not to the page. What the tab
 * has not seen (it was opened just now, or hidden) the firewall has kept: it is asked for whenever the stream opens.
 */
import { useQuery } from '@tanstack/react-query';
import { useEffect, useSyncExternalStore } from 'react';
import type { UseQueryResult } from '@tanstack/react-query';
import { get, query } from './client.ts';
import { useEventStream } from './event-stream.ts';
import type { StreamStatus } from './event-stream.ts';
import { emptyHistory, extended, seeded } from './rates.ts';
import type { StatsHistory } from './rates.ts';
import type { ServerHistories, Stats, TrafficHistory } from './types.ts';

const minuteMs = 60_000;
/** The firewall's steps of servers. */
const serverStepMs = 10_000;
/** As many as the firewall answers at once. */
const serversAsked = 100;

const listeners = new Set<() => void>();
const store = { history: emptyHistory };

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function current(): StatsHistory {
  return store.history;
}

function become(history: StatsHistory): void {
  store.history = history;
  for (const listener of [...listeners]) listener();
}

export interface LiveStats extends StatsHistory {
  readonly stream: StreamStatus;
}

export interface StatsOptions {
  /** With those of each server, for which the firewall walks over all of its flows. */
  readonly servers: boolean;
  /** With the hour before. */
  readonly history?: boolean;
}

/** Once on a page: each use is a stream of its own. */
export function useStats({ servers, history = false }: StatsOptions): LiveStats {
  const stream = useEventStream(`/v1/stats?servers=${servers}`, ({ event, data }) => {
    if (event === 'stats') become(extended(store.history, data as Stats));
  });
  const wantsHistory = history && stream.state === 'open';
  useEffect(() => {
    if (!wantsHistory) return;
    const ended = new AbortController();
    get<TrafficHistory>('/v1/stats/history', ended.signal).then(
      (kept) => become(seeded(store.history, kept)),
      // The stream tells of a gateway that is gone; when it is open again, this is asked again.
      () => undefined,
    );
    return () => ended.abort();
  }, [wantsHistory]);
  const known = useSyncExternalStore(subscribe, current);
  return { ...known, stream };
}

/** The last day, by the minute. */
export function useDay(enabled: boolean): UseQueryResult<TrafficHistory> {
  return useQuery({
    queryKey: ['stats', 'day'],
    queryFn: ({ signal }) => get<TrafficHistory>('/v1/stats/history?step=minute', signal),
    refetchInterval: minuteMs,
    enabled,
  });
}

/** The last ten minutes of servers. */
export function useServerHistories(names: readonly string[]): ServerHistories['servers'] {
  const asked = names.slice(0, serversAsked).join(',');
  const { data } = useQuery({
    queryKey: ['stats', 'servers', asked],
    queryFn: ({ signal }) =>
      get<ServerHistories>(`/v1/stats/history/servers${query({ names: asked })}`, signal),
    refetchInterval: serverStepMs,
    enabled: asked !== '',
  });
  return data?.servers ?? {};
}
