/**
 * What pages read, by name. All keys are here, so that a change knows what it makes old: `useChange` reads again whatever
 * a change may have touched.
 *
 * Nothing is asked for more often than once a second, and nothing by itself while the tab is hidden (TanStack's default).
 */
import {
  QueryClient,
  keepPreviousData,
  useMutation,
  useQuery,
  useQueryClient,
} from '@tanstack/react-query';
import type { UseMutationResult, UseQueryResult } from '@tanstack/react-query';
import { useMemo } from 'react';
import { isKind } from './api-problem.ts';
import { at, get, query, request, send } from './client.ts';
import type * as api from './types.ts';

/** Counts that grow: how old they may get while they are looked at, in ms. */
const countsMs = 5000;
/** The same, for the state of other gateways, and of one that is alone: its status is asked for on every page. */
const gatewaysMs = 2000;
const aloneMs = 30_000;
const dropGroupsMs = 2000;
/** Then the gateway does not answer. */
const statusMs = 8000;

export function createQueryClient(): QueryClient {
  return new QueryClient({
    defaultOptions: {
      queries: {
        staleTime: 2000,
        retry: (count, error) => isKind(error, 'unreachable') && count < 2,
        // The browser's idea of being online says nothing about a gateway on the local network.
        networkMode: 'always',
        refetchOnReconnect: true,
      },
      mutations: { retry: false, networkMode: 'always' },
    },
  });
}

export const keys = {
  session: ['session'],
  status: ['status'],
  gateways: ['gateways'],
  templates: ['templates'],
  template: (name: string) => ['templates', name],
  sets: ['sets'],
  set: (name: string) => ['sets', name],
  expired: ['templates', 'expired'],
  meaning: ['meaning'],
  servers: ['servers'],
  server: (name: string) => ['servers', name],
  presets: ['presets'],
  history: ['history'],
  audit: ['audit'],
  users: ['users'],
  dropReasons: ['drop-reasons'],
} as const;

/** What a change of templates, sets or servers makes old. */
const configuration = [
  ...[keys.templates, keys.sets, keys.servers, keys.meaning],
  ...[keys.history, keys.status, keys.audit, keys.gateways],
];

/** What has versions. */
export type Versioned = 'template' | 'set';

export function useStatus(): UseQueryResult<api.Status> {
  return useQuery({
    queryKey: keys.status,
    // Whoever was cut off by a change hears nothing at all, not even a refusal.
    queryFn: ({ signal }) =>
      get<api.Status>('/v1/status', AbortSignal.any([signal, AbortSignal.timeout(statusMs)])),
    // A degraded gateway is to be seen at once.
    refetchInterval: 1000,
  });
}

export function useGateways(): UseQueryResult<api.Fleet> {
  return useQuery({
    queryKey: keys.gateways,
    queryFn: ({ signal }) => get<api.Fleet>('/v1/gateways', signal),
    refetchInterval: ({ state }) => (state.data?.newest === undefined ? aloneMs : gatewaysMs),
  });
}

/** What the drop reasons mean: a sentence for each word. */
export function useDropReasons(): ReadonlyMap<string, string> {
  const { data } = useQuery({
    queryKey: keys.dropReasons,
    queryFn: ({ signal }) => get<api.DropReasonList>('/v1/drop-reasons', signal),
    staleTime: Infinity,
  });
  return useMemo(
    () => new Map((data?.reasons ?? []).map(({ reason, message }) => [reason, message])),
    [data],
  );
}

export function useTemplates(): UseQueryResult<api.TemplateList> {
  return useQuery({
    queryKey: keys.templates,
    queryFn: ({ signal }) => get<api.TemplateList>('/v1/templates?changed=true', signal),
    refetchInterval: countsMs,
  });
}

export function useTemplate(name: string, live = true): UseQueryResult<api.Template> {
  return useQuery({
    queryKey: keys.template(name),
    queryFn: ({ signal }) => get<api.Template>(at`/v1/templates/${name}`, signal),
    refetchInterval: live ? countsMs : false,
  });
}

export function useHistory(kind: Versioned, name: string): UseQueryResult<api.VersionList> {
  return useQuery({
    queryKey: [`${kind}s`, name, 'history'],
    queryFn: ({ signal }) =>
      get<api.VersionList>(`/v1/${kind}s/${encodeURIComponent(name)}/history`, signal),
  });
}

/** The difference between two versions, as a unified diff; `from` 0 is nothing. */
export function useVersionDiff(
  kind: Versioned,
  name: string,
  from: number,
  to: number,
): UseQueryResult<string> {
  const path = `/v1/${kind}s/${encodeURIComponent(name)}/history/diff${query({ from, to })}`;
  return useDiff(path, [`${kind}s`, name, 'history', from, to]);
}

function useDiff(path: string, queryKey: readonly (string | number)[]): UseQueryResult<string> {
  return useQuery({
    queryKey,
    queryFn: async ({ signal }) => {
      const response = await send('GET', path, { signal, accept: 'text/x-diff' });
      return response.text();
    },
    // What was does not change.
    staleTime: Infinity,
  });
}

/** The newest changes of the policy. */
export function useChanges(limit: number): UseQueryResult<api.PolicyChanges> {
  return useQuery({
    queryKey: [...keys.history, limit],
    queryFn: ({ signal }) => get<api.PolicyChanges>(`/v1/history${query({ limit })}`, signal),
    placeholderData: keepPreviousData,
  });
}

/** How a change was settled that waits for confirmation no more. */
export async function howSettled(revision: number): Promise<'kept' | 'undone'> {
  const { changes } = await get<api.PolicyChanges>(`/v1/history${query({ limit: 20 })}`);
  const next = changes.findLast(({ number }) => number > revision);
  return next?.action === 'policy.restore' ? 'undone' : 'kept';
}

export function useChangeDiff(from: number, to: number): UseQueryResult<string> {
  return useDiff(`/v1/history/diff${query({ from, to })}`, [...keys.history, from, to]);
}

/** Rules for what a server was seen to need. @param template where they are to go; undefined: as the API finds */
export function useSuggestion(
  server: string,
  template: string | undefined,
): UseQueryResult<api.Suggestion> {
  return useQuery({
    queryKey: [...keys.server(server), 'suggestion', template],
    queryFn: ({ signal }) =>
      get<api.Suggestion>(at`/v1/servers/${server}/suggestion` + query({ template }), signal),
    placeholderData: keepPreviousData,
    // What is chosen of it stays chosen: it is read again when somebody asks again.
    staleTime: 0,
    gcTime: 0,
    refetchOnWindowFocus: false,
  });
}

export function useSets(): UseQueryResult<api.SetList> {
  return useQuery({
    queryKey: keys.sets,
    queryFn: ({ signal }) => get<api.SetList>('/v1/sets?changed=true', signal),
  });
}

export function useSet(name: string): UseQueryResult<api.AddressSet> {
  return useQuery({
    queryKey: keys.set(name),
    queryFn: ({ signal }) => get<api.AddressSet>(at`/v1/sets/${name}`, signal),
  });
}

/** What peers mean now. Nothing is asked about none. */
export function useMeaning(peers: readonly string[]): UseQueryResult<api.Meaning> {
  return useQuery({
    queryKey: [...keys.meaning, peers],
    queryFn: ({ signal }) =>
      request<api.Meaning>('POST', '/v1/resolve', { body: { peers }, signal }),
    enabled: peers.length > 0,
    retry: false,
  });
}

/** Rules that have expired, of all templates or of one. */
export function useExpired(template?: string): UseQueryResult<api.Pruned> {
  const only = template === undefined ? {} : { templates: [template] };
  return useQuery({
    queryKey: [...keys.expired, template],
    queryFn: ({ signal }) =>
      request<api.Pruned>('POST', '/v1/templates/prune', {
        body: { dryRun: true, ...only },
        signal,
      }),
  });
}

export function usePresets(): UseQueryResult<api.PresetList> {
  return useQuery({
    queryKey: keys.presets,
    queryFn: ({ signal }) => get<api.PresetList>('/v1/presets', signal),
    staleTime: Infinity,
  });
}

export function useServers(): UseQueryResult<api.ServerList> {
  return useQuery({
    queryKey: keys.servers,
    queryFn: ({ signal }) => get<api.ServerList>('/v1/servers', signal),
  });
}

export function useServer(name: string): UseQueryResult<api.Server> {
  return useQuery({
    queryKey: keys.server(name),
    queryFn: ({ signal }) => get<api.Server>(at`/v1/servers/${name}`, signal),
  });
}

export function useServerRules(name: string): UseQueryResult<api.EffectiveRules> {
  return useQuery({
    queryKey: [...keys.server(name), 'rules'],
    queryFn: ({ signal }) => get<api.EffectiveRules>(at`/v1/servers/${name}/rules`, signal),
    refetchInterval: countsMs,
  });
}

/** By the policy in force: who can open what at a server (`to`), or what it can open (`from`). */
export function useReach(name: string, end: 'from' | 'to'): UseQueryResult<api.Reach> {
  return useQuery({
    queryKey: [...keys.server(name), 'reach', end],
    queryFn: ({ signal }) => get<api.Reach>(`/v1/reach${query({ [end]: name })}`, signal),
  });
}

export function useAudit(filter: Readonly<Record<string, string>>): UseQueryResult<api.AuditPage> {
  return useQuery({
    queryKey: [...keys.audit, filter],
    queryFn: ({ signal }) => get<api.AuditPage>(`/v1/audit${query(filter)}`, signal),
  });
}

const auditPageSize = 1000;
const mostAuditRecords = 20_000;

/** All records that a filter finds, page by page, up to a number that a browser can hold. */
export async function allAudit(
  filter: Readonly<Record<string, string>>,
): Promise<{ records: api.AuditPage['records'][number][]; isCut: boolean }> {
  const records: api.AuditPage['records'][number][] = [];
  let before: string | undefined;
  do {
    const page = await get<api.AuditPage>(
      `/v1/audit${query({ ...filter, before, limit: auditPageSize })}`,
    );
    records.push(...page.records);
    before = page.next;
  } while (before !== undefined && records.length < mostAuditRecords);
  return { records, isCut: before !== undefined };
}

/** Drops by group. It is read again every two seconds. */
export function useDropGroups(
  asked: Readonly<Record<string, string | number | undefined>>,
  enabled = true,
): UseQueryResult<api.DropGroups> {
  return useQuery({
    queryKey: ['drop-groups', asked],
    queryFn: ({ signal }) => get<api.DropGroups>(`/v1/drops/groups${query(asked)}`, signal),
    refetchInterval: dropGroupsMs,
    placeholderData: keepPreviousData,
    enabled,
  });
}

export function useUsers(): UseQueryResult<api.UserList> {
  return useQuery({
    queryKey: keys.users,
    queryFn: ({ signal }) => get<api.UserList>('/v1/users', signal),
  });
}

/** A change of templates, servers or users, after which everything that it may have touched is read again. */
export function useChange<Input, Answer>(
  change: (input: Input) => Promise<Answer>,
): UseMutationResult<Answer, Error, Input> {
  const client = useQueryClient();
  return useMutation({
    mutationFn: change,
    onSuccess: async () => {
      await Promise.all(
        [...configuration, keys.users].map((queryKey) => client.invalidateQueries({ queryKey })),
      );
    },
  });
}
