/** Which servers of a long list are shown, and in which order. */
import type { Server } from '../../data/types.ts';

export interface ServerFilter {
  /** Words that all have to be found: name, address, firewall, region or label. */
  readonly words: string;
  readonly region: string | null;
  /** `role=web`. */
  readonly label: string | null;
  readonly firewall: string | null;
  /** Only those without any firewall. */
  readonly isBare: boolean;
}

export const noFilter: ServerFilter = {
  ...{ words: '', region: null, label: null, firewall: null, isBare: false },
};

export const sortings = ['name', 'address', 'region', 'firewalls', 'open'] as const;
export type Sorting = (typeof sortings)[number];

/** Names of the firewalls of a server: those that it names, and those that apply. */
export function firewallsOf({ templates, appliedTemplates }: Server): string[] {
  return [...templates, ...appliedTemplates.map(({ template }) => template)];
}

export function labelWords({ labels }: Server): string[] {
  return Object.entries(labels ?? {}).map(([key, value]) => `${key}=${value}`);
}

export function filtered(list: readonly Server[], filter: ServerFilter): readonly Server[] {
  const { region, label, firewall, isBare } = filter;
  const words = filter.words.toLowerCase().split(/\s+/).filter(Boolean);
  return list.filter(
    (server) =>
      (region === null || server.region === region) &&
      (label === null || labelWords(server).includes(label)) &&
      (firewall === null || firewallsOf(server).includes(firewall)) &&
      (!isBare || firewallsOf(server).length === 0) &&
      matches(server, words),
  );
}

function matches(server: Server, words: readonly string[]): boolean {
  if (words.length === 0) return true;
  const { name, addresses, region = '' } = server;
  const texts = [name, ...addresses, ...firewallsOf(server), region, ...labelWords(server)];
  const all = texts.join(' ').toLowerCase();
  return words.every((word) => all.includes(word));
}

const collator = new Intl.Collator('en', { numeric: true });

/** `10.0.0.9` before `10.0.0.10`, `web-9` before `web-10`; what has none comes last. */
const textOf: Readonly<Record<'name' | 'address' | 'region', (server: Server) => string>> = {
  name: ({ name }) => name,
  address: ({ addresses }) => addresses[0] ?? '\uffff',
  region: ({ region = '\uffff' }) => region,
};

export function sorted(list: readonly Server[], by: Sorting): readonly Server[] {
  const byName = (a: Server, b: Server): number => collator.compare(a.name, b.name);
  switch (by) {
    case 'firewalls':
      return list.toSorted((a, b) => firewallsOf(a).length - firewallsOf(b).length || byName(a, b));
    case 'open':
      return list.toSorted(
        (a, b) => Number(b.exposure.length > 0) - Number(a.exposure.length > 0) || byName(a, b),
      );
    default: {
      const text = textOf[by];
      return list.toSorted((a, b) => collator.compare(text(a), text(b)) || byName(a, b));
    }
  }
}
