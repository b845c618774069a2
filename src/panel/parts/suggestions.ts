/** Groups that may be meant by what is typed. */
import type { Server } from '../data/types.ts';

export interface Known {
  readonly servers: readonly Pick<Server, 'name' | 'region' | 'labels'>[];
  readonly templates: readonly string[];
  readonly sets: readonly string[];
}

const most = 30;

/** The whole text, with its last entry completed: what the browser puts in the place of the text. */
export function suggestions(text: string, known: Known): string[] {
  // A comma within parentheses, or before a condition of a selector, does not end an entry.
  const before = /^(.*(?:,\s+|;\s*))?/s.exec(text)![0];
  const entry = text.slice(before.length).toLowerCase();
  if (entry === '') return [];
  return groups(known)
    .filter((group) => group.toLowerCase().includes(entry))
    .slice(0, most)
    .map((group) => before + group);
}

function groups({ servers, templates, sets }: Known): string[] {
  return [
    ...labelsOf(servers).map((label) => `label:${label}`),
    ...sets.map((name) => `set:${name}`),
    ...servers.map(({ name }) => `server:${name}`),
    ...templates.map((name) => `template:${name}`),
  ];
}

/** Labels in use, as selectors: `region=hkg`, `role=web`. */
export function labelsOf(servers: Known['servers']): string[] {
  const labels = new Set<string>();
  for (const { region, labels: own } of servers) {
    if (region !== undefined) labels.add(`region=${region}`);
    for (const [key, value] of Object.entries(own ?? {})) labels.add(`${key}=${value}`);
  }
  return [...labels].sort();
}
