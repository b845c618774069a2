/** What `tunwall completion names` prints: names, peers and labels that there are, from the API's lists. */
import { peerKinds } from '../policy/peers.ts';
import { parseSelector, selects } from '../policy/selector.ts';
import type { Labels } from '../policy/selector.ts';
import type { ApiClient } from './api-client.ts';
import type { ServerListView } from './api-types.ts';
import { listKinds } from './completion-model.ts';
import type { NameKind } from './completion-model.ts';

type ListKind = (typeof listKinds)[number];

/** Each once, in the order of the lists. */
export async function namesOf(client: ApiClient, kind: NameKind): Promise<string[]> {
  const list = listKinds.find((each) => each === kind);
  if (list !== undefined) return listed(client, list);
  switch (kind) {
    case 'peer':
      return peers(client);
    case 'end':
      return [...(await listed(client, 'server')), ...(await peers(client))];
    case 'selector':
      return terms(client);
    default:
      return labelParts(await labelled(client), kind);
  }
}

async function listed(client: ApiClient, kind: ListKind): Promise<string[]> {
  const list = `${kind}s`;
  const answer = await client.get<Record<string, readonly { readonly name: string }[]>>(`/${list}`);
  return (answer[list] ?? []).map(({ name }) => name);
}

async function peers(client: ApiClient): Promise<string[]> {
  const groups = await Promise.all(
    peerKinds.map(async (kind) => {
      const names = await (kind === 'label' ? terms(client) : listed(client, kind));
      return names.map((name) => `${kind}:${name}`);
    }),
  );
  return ['any', ...groups.flat()];
}

interface Labelled {
  readonly labels: Labels;
  readonly region?: string;
}

async function labelled(client: ApiClient): Promise<Labelled[]> {
  const { servers } = await client.get<ServerListView>('/servers');
  return servers.map(({ labels = {}, region }) => ({ labels, ...(region && { region }) }));
}

/** Conditions that some server meets. What the grammar of selectors cannot say is left out. */
async function terms(client: ApiClient): Promise<string[]> {
  const found = new Set<string>();
  for (const { labels, region } of await labelled(client)) {
    const own = { ...labels, ...(region !== undefined && { region }) };
    for (const [key, value] of Object.entries(own)) {
      const term = `${key}=${value}`;
      if (!found.has(term) && saysExactly(term, { [key]: value })) found.add(term);
    }
  }
  return [...found];
}

function saysExactly(term: string, label: Labels): boolean {
  const parsed = parseSelector(term);
  return 'value' in parsed && parsed.value.text === term && selects(parsed.value, label);
}

function labelParts(servers: readonly Labelled[], kind: NameKind): string[] {
  return [
    ...new Set(
      servers.flatMap(({ labels, region }) => {
        if (kind === 'region') return region ?? [];
        return Object.entries(labels).map(([key, value]) =>
          kind === 'key' ? key : `${key}=${value}`,
        );
      }),
    ),
  ];
}
