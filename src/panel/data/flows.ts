/** Live flows: pages of them, and the end of one. */
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import type { UseQueryResult } from '@tanstack/react-query';
import { at, get, query, request } from './client.ts';
import type { FlowPage } from './types.ts';

export interface FlowFilter {
  readonly server?: string;
  readonly protocol?: string | undefined;
  readonly address?: string | undefined;
  readonly sort: 'bytes' | 'packets' | 'age';
  readonly after?: string | undefined;
}

export const flowsShown = 50;
const refreshMs = 2000;

export const flowsKey: readonly string[] = ['flows'];

export function useFlows(filter: FlowFilter): UseQueryResult<FlowPage> {
  const isFirst = filter.after === undefined;
  return useQuery({
    queryKey: [...flowsKey, filter],
    queryFn: ({ signal }) =>
      get<FlowPage>(`/v1/flows${query({ ...filter, limit: flowsShown })}`, signal),
    // A page in the middle would change while the user reads it.
    refetchInterval: isFirst ? refreshMs : false,
    placeholderData: keepPreviousData,
  });
}

/** @throws ApiProblem `not-found` if it has ended already */
export function killFlow(id: string): Promise<unknown> {
  return request('DELETE', at`/v1/flows/${id}`);
}
