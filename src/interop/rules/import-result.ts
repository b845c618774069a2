/**
 * The result of an import: templates, and remarks about all differences.
 *
 * The promise of every importer: a template never allows what the source did not. A rule, or a part of a union in it (one
 * address, one port of a list), that cannot be expressed exactly is left out and reported as `lost`. A `note` reports
 * something understood but worth knowing, such as a rule that is not needed here.
 */
import type { InboundRuleBody, OutboundRuleBody } from '../../policy/template-body.ts';
import { namePattern } from '../../policy/validate.ts';

export interface Remark {
  readonly severity: 'lost' | 'note';
  /** `line 12`, or the path in a JSON document. */
  readonly place: string;
  readonly message: string;
}

export interface ImportedTemplate {
  readonly name: string;
  readonly description: string;
  /** Selectors; absent: the template has to be assigned to servers. */
  readonly appliesTo?: readonly string[];
  readonly inbound: readonly InboundRuleBody[];
  readonly outbound: readonly OutboundRuleBody[];
}

/** How many rules of the source allow something in one direction, and how many of them are imported, at least in part. */
export interface DirectionCount {
  /** As the source calls it: INPUT, inbound_rules. */
  readonly name: string;
  readonly allowing: number;
  readonly imported: number;
}

export interface ImportResult {
  readonly format: ImportFormat;
  readonly templates: readonly ImportedTemplate[];
  readonly directions: readonly DirectionCount[];
  readonly remarks: readonly Remark[];
}

export const importFormats = ['digitalocean', 'hetzner', 'iptables'] as const;
export type ImportFormat = (typeof importFormats)[number];

/** A text that is not a document of its format at all. */
export class ImportError extends Error {
  override name = 'ImportError';
  readonly hint: string;

  constructor(message: string, hint: string) {
    super(message);
    this.hint = hint;
  }
}

export interface ImportOptions {
  /** Name of the template, or what the names begin with if there are several. */
  readonly name?: string;
  /** For documents without names of their own. */
  readonly fallbackName: string;
  /** iptables: where the host's packets come in and go out. */
  readonly interface?: string;
  /** Called now and then with the part of the document that has been read. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** Servers are not part of an import. */
export const labelsWanted = 'give the servers their labels there, for these selectors';

/** Gathers remarks on the way. */
export class Remarks {
  readonly all: Remark[] = [];

  lost(place: string, message: string): void {
    this.all.push({ severity: 'lost', place, message });
  }

  note(place: string, message: string): void {
    this.all.push({ severity: 'note', place, message });
  }
}

const longestName = 63;

/** A template name made of any text: what may not stand in one becomes a hyphen. */
export function toTemplateName(text: string): string {
  const name = text
    .toLowerCase()
    .replaceAll(/[^a-z0-9._-]+/g, '-')
    .replace(/^[._-]+/, '')
    .slice(0, longestName)
    .replace(/[._-]+$/, '');
  return namePattern.test(name) ? name : 'imported';
}

/** Gives names out, each once. */
export class NameGiver {
  readonly #given = new Set<string>();
  /** By name: the numbers below are taken, and would all be tried again. */
  readonly #next = new Map<string, number>();

  give(text: string): string {
    const base = toTemplateName(text);
    let count = this.#next.get(base) ?? 2;
    let name = base;
    for (; this.#given.has(name); count++) {
      const ending = `-${count}`;
      name = base.slice(0, longestName - ending.length) + ending;
    }
    this.#next.set(base, count);
    this.#given.add(name);
    return name;
  }
}

/** What a firewall's template should be called: its own name, the user's, or both where the user's would be ambiguous. */
export function wantedName(options: ImportOptions, own: string, firewalls: number): string {
  const wanted = own === '' ? options.fallbackName : own;
  if (options.name === undefined) return wanted;
  return firewalls === 1 ? options.name : `${options.name}-${wanted}`;
}
