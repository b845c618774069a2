/** Live flows: pages of them, and the end of one. */
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import type { UseQueryResult } from '@tanstack/react-query';
import { at, get, query, request } from './client.ts';
import type { FlowPage } from './types.ts';

export type FlowOrder = 'bytes' | 'packets' | 'age';

export interface FlowFilter {
  readonly server?: string | undefined;
  readonly protocol?: string | undefined;
  readonly address?: string | undefined;
  readonly port?: string | undefined;
  readonly state?: string | undefined;
  readonly rule?: string | undefined;
  readonly sort: FlowOrder;
  readonly after?: string | undefined;
}

export const flowsShown = 50;
const refreshMs = 2000;
/** So many are looked through less often. */
const manyFlows = 100_000;
const slowRefreshMs = 10_000;

/** As the firewall calls them. */
export const flowStates: readonly string[] = [
  ...['syn_sent', 'syn_recv', 'established', 'fin_wait', 'close_wait', 'last_ack', 'time_wait'],
  ...['close', 'syn_sent2', 'unanswered', 'answered', 'stream'],
];

export const flowsKey: readonly string[] = ['flows'];

export function useFlows(filter: FlowFilter): UseQueryResult<FlowPage> {
  const isFirst = filter.after === undefined;
  return useQuery({
    queryKey: [...flowsKey, filter],
    queryFn: ({ signal }) =>
      get<FlowPage>(`/v1/flows${query({ ...filter, limit: flowsShown })}`, signal),
    // A page in the middle would change while the user reads it.
    refetchInterval: ({ state }) => {
      if (!isFirst) return false;
      return (state.data?.total ?? 0) > manyFlows ? slowRefreshMs : refreshMs;
    },
    placeholderData: keepPreviousData,
  });
}

/** @throws ApiProblem `not-found` if it has ended already */
export function killFlow(id: string): Promise<unknown> {
  return request('DELETE', at`/v1/flows/${id}`);
}
