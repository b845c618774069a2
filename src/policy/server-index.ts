/**
 * A list of servers, found by name, by label, and by what templates they have.
 *
 * A list never changes, and most changes of a policy leave it as it is. So all who ask about one list share an index, for as long
 * as the list is in use; what was found for a selector is kept up to a number of servers, as requests may ask for any.
 */
import { equalRanges, rangesOf } from './ranges.ts';
import type { Ranges } from './ranges.ts';
import { selects } from './selector.ts';
import type { Labels } from './selector.ts';
import type { Requirement, Selector, Server, Template } from './types.ts';

/** A template that a server has, and the selector of the template that gave it; none if the server names it. */
export interface Assignment {
  readonly template: string;
  readonly selector?: Selector;
}

/** Labels of a server; its region is one of them. */
export function labelsOf(server: Server): Labels {
  const { labels = noLabels, region } = server;
  if (region === undefined) return labels;
  let all = labelsWithRegion.get(server);
  if (all === undefined) labelsWithRegion.set(server, (all = { ...labels, region }));
  return all;
}

const noLabels: Labels = {};
const labelsWithRegion = new WeakMap<Server, Labels>();
const namedBy = new WeakMap<Server, readonly Assignment[]>();
const indices = new WeakMap<readonly Server[], ServerIndex>();

/** Members of selectors that are kept for the next who asks, about. */
const mostKept = 1_000_000;

/** What a text is counted as among them. */
const textSize = 20;

/** What a selector means. */
interface Selected {
  /** Indices of servers, ascending. */
  readonly members: readonly number[];
  servers: readonly Server[] | undefined;
  ranges: Ranges | undefined;
}

/** By index of the server. */
type Assignments = readonly (readonly Assignment[])[];

export class ServerIndex {
  readonly #servers: readonly Server[];
  readonly #labels: readonly Labels[];
  /** By the text of a selector. */
  readonly #selected: Map<string, Selected> = new Map<string, Selected>();
  /** By what is left of a selector: those that mean the same share what is found. */
  readonly #selectedByMeaning: Map<string, Selected> = new Map<string, Selected>();
  readonly #nobody: Selected = { members: [], servers: [], ranges: undefined };
  #kept = 0;
  #byName: ReadonlyMap<string, number> | undefined;
  /** Servers by label and its value. */
  #byLabel: ReadonlyMap<string, ReadonlyMap<string, readonly number[]>> | undefined;
  /** The last ones, and by what selectors of which templates. */
  #assignments: { readonly key: string; readonly all: Assignments } | undefined;

  static of(servers: readonly Server[]): ServerIndex {
    let index = indices.get(servers);
    if (index === undefined) indices.set(servers, (index = new ServerIndex(servers)));
    return index;
  }

  private constructor(servers: readonly Server[]) {
    this.#servers = servers;
    this.#labels = servers.map(labelsOf);
  }

  indexOf(name: string): number | undefined {
    this.#byName ??= new Map(this.#servers.map((each, index) => [each.name, index]));
    return this.#byName.get(name);
  }

  /** Indices of the servers whose labels match, ascending. */
  selected(selector: Selector): readonly number[] {
    return this.#find(selector).members;
  }

  /** Those servers: the same list for selectors that mean the same. */
  serversOf(selector: Selector): readonly Server[] {
    const found = this.#find(selector);
    return (found.servers ??= found.members.map((index) => this.#servers[index]!));
  }

  /** Their addresses. @param before of another list: the same object if it has the same */
  rangesOf(selector: Selector, before?: Ranges): Ranges {
    const found = this.#find(selector);
    found.ranges ??= addressesOf(this.serversOf(selector));
    if (before !== undefined && equalRanges(before, found.ranges)) found.ranges = before;
    return found.ranges;
  }

  #find(selector: Selector): Selected {
    let found = this.#selected.get(selector.text);
    if (found === undefined) {
      const requirements = this.#telling(selector);
      found = requirements === undefined ? this.#nobody : this.#meeting(requirements);
      this.#makeRoom(textSize);
      this.#selected.set(selector.text, found);
    }
    return found;
  }

  #meeting(requirements: readonly Requirement[]): Selected {
    const meaning = requirements.map(meaningOfRequirement).sort().join('\n');
    let found = this.#selectedByMeaning.get(meaning);
    if (found === undefined) {
      const matches = (index: number): boolean => selects({ requirements }, this.#labels[index]!);
      const members = this.#candidates(requirements).filter(matches);
      // And as servers and ranges.
      this.#makeRoom(textSize + members.length * 3);
      this.#selectedByMeaning.set(
        meaning,
        (found = { members, servers: undefined, ranges: undefined }),
      );
    }
    return found;
  }

  #makeRoom(size: number): void {
    this.#kept += size;
    if (this.#kept <= mostKept) return;
    this.#selected.clear();
    this.#selectedByMeaning.clear();
    this.#kept = size;
  }

  /** The conditions that are not true of all servers; `undefined`: one is true of none. Labels that nobody has tell nothing apart. */
  #telling({ requirements }: Selector): Requirement[] | undefined {
    this.#byLabel ??= this.#indexLabels();
    const telling: Requirement[] = [];
    for (const { key, test, values } of requirements) {
      const byValue = this.#byLabel.get(key);
      const known = byValue === undefined ? [] : values.filter((value) => byValue.has(value));
      const tells =
        test === 'exists' || test === 'absent' ? byValue !== undefined : known.length > 0;
      if (tells) telling.push({ key, test, values: known });
      else if (test === 'exists' || test === 'in') return undefined;
    }
    return telling;
  }

  /** Templates of each server, those that it names first; the same object while the same templates apply to the same labels. */
  assignments(templates: readonly Template[]): Assignments {
    const applying = templates.filter(({ appliesTo = [] }) => appliesTo.length > 0);
    const texts = applying.map(({ name, appliesTo = [] }) => [name, appliesTo.map((s) => s.text)]);
    const key = JSON.stringify(texts);
    if (this.#assignments?.key !== key) {
      const applied = this.#applied(applying);
      const all = this.#servers.map((server, index) => {
        const named = namedAssignments(server);
        const more = applied.get(index);
        return more === undefined ? named : [...named, ...more];
      });
      this.#assignments = { key, all };
    }
    return this.#assignments.all;
  }

  /** Templates that servers have by their labels, and by which selector first; by index of the server. */
  #applied(templates: readonly Template[]): ReadonlyMap<number, readonly Assignment[]> {
    const applied = new Map<number, Assignment[]>();
    for (const { name: template, appliesTo = [] } of templates) {
      const seen = new Set<number>();
      const lists = new Set<readonly number[]>();
      for (const selector of appliesTo) {
        if (seen.size === this.#servers.length) break;
        const selected = this.selected(selector);
        if (lists.has(selected)) continue;
        lists.add(selected);
        for (const index of selected) {
          if (seen.has(index)) continue;
          seen.add(index);
          if (this.#servers[index]!.templates.includes(template)) continue;
          const assignments = applied.get(index);
          if (assignments === undefined) applied.set(index, [{ template, selector }]);
          else assignments.push({ template, selector });
        }
      }
    }
    return applied;
  }

  /** Among them all that can match: never looks at all servers where a label must be there. */
  #candidates(requirements: readonly Requirement[]): readonly number[] {
    const required =
      requirements.find(({ test }) => test === 'in') ??
      requirements.find(({ test }) => test === 'exists');
    if (required === undefined) return [...this.#labels.keys()];
    const { key, test, values } = required;
    const byValue = (this.#byLabel ??= this.#indexLabels()).get(key);
    if (byValue === undefined) return [];
    if (test === 'in' && values.length === 1) return byValue.get(values[0]!) ?? [];
    const wanted = test === 'in' ? [...new Set(values)] : [...byValue.keys()];
    return wanted.flatMap((value) => byValue.get(value) ?? []).sort((a, b) => a - b);
  }

  #indexLabels(): Map<string, Map<string, number[]>> {
    const byLabel = new Map<string, Map<string, number[]>>();
    for (const [index, labels] of this.#labels.entries()) {
      for (const [key, value] of Object.entries(labels)) {
        let byValue = byLabel.get(key);
        if (byValue === undefined) byLabel.set(key, (byValue = new Map<string, number[]>()));
        const servers = byValue.get(value);
        if (servers === undefined) byValue.set(value, [index]);
        else servers.push(index);
      }
    }
    return byLabel;
  }
}

/** All that these servers have. */
export function addressesOf(servers: readonly Server[]): Ranges {
  return rangesOf(
    servers.flatMap(({ addresses }) =>
      addresses.map((address) => ({ from: address, to: address })),
    ),
  );
}

/** Equal for conditions that mean the same. No part of one has a blank, a comma or a line break. */
function meaningOfRequirement({ key, test, values }: Requirement): string {
  return `${key} ${test} ${[...values].sort().join(',')}`;
}

/** The templates that a server names. */
function namedAssignments(server: Server): readonly Assignment[] {
  let named = namedBy.get(server);
  if (named === undefined) {
    named = server.templates.map((template) => ({ template }));
    namedBy.set(server, named);
  }
  return named;
}
