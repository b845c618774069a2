/**
 * Whom a change concerns, beyond what it writes: servers that get or lose a template by their labels, and rules that mean
 * other addresses than before, though nobody has touched them.
 */
import { formatRanges } from '../../policy/addresses.ts';
import { rulesWithGroups } from '../../policy/peers.ts';
import { allAddresses, equalRanges, subtractRanges } from '../../policy/ranges.ts';
import type { Ranges } from '../../policy/ranges.ts';
import { Resolver } from '../../policy/resolve.ts';
import type { Assignment } from '../../policy/server-index.ts';
import { formatRule } from '../../policy/rule-notation.ts';
import type { Peer, Rule } from '../../policy/types.ts';
import type { RuleDirection } from '../../text/rule-text.ts';
import type { Changed, Snapshot } from '../store/store.ts';

export interface AffectedServer {
  readonly server: string;
  readonly reasons: readonly string[];
}

/** A rule that stays as it is written. */
export interface ShiftedRule {
  readonly template: string;
  readonly direction: RuleDirection;
  readonly index: number;
  readonly text: string;
  /** Its groups that mean others than before. */
  readonly through: readonly string[];
  /** Addresses that it is about from then on, and no more. */
  readonly opened: readonly string[];
  readonly closed: readonly string[];
}

export interface Effects {
  /** By name, ascending. */
  readonly affected: readonly AffectedServer[];
  readonly rules: readonly ShiftedRule[];
}

/** Ranges that are written out of one rule. */
const maxRanges = 100;

export function effectsOf(
  before: Snapshot,
  after: Snapshot,
  changed: readonly Changed[],
  nowMs: number,
): Effects {
  const old = new Resolver(before, nowMs);
  const next = new Resolver(after, nowMs, old);
  const rules = shiftedRules(before, after, old, next);
  const templateReasons = new Map<string, string[]>();
  const namesOf = (kind: Changed['kind']): string[] =>
    changed.filter((each) => each.kind === kind).map(({ name }) => name);
  for (const name of namesOf('template')) templateReasons.set(name, [`template ${name} changes`]);
  for (const { template, through } of rules) {
    const reasons = templateReasons.get(template) ?? [];
    reasons.push(...through.map((group) => `${group} in template ${template}`));
    templateReasons.set(template, reasons);
  }
  const reasons = new Map<string, Set<string>>();
  const add = (server: string, reason: string): void => {
    const known = reasons.get(server);
    if (known === undefined) reasons.set(server, new Set([reason]));
    else known.add(reason);
  };
  for (const name of namesOf('server')) add(name, 'it changes');
  const consider = (server: string, was: Assignments, is: Assignments): void => {
    // Nearly all of them.
    if (was === is) {
      for (const { template } of is) {
        for (const reason of templateReasons.get(template) ?? []) add(server, reason);
      }
      return;
    }
    const [had, has] = [selectorsBy(was), selectorsBy(is)];
    for (const template of new Set([...had.keys(), ...has.keys()])) {
      for (const reason of templateReasons.get(template) ?? []) add(server, reason);
      const selector = has.get(template) ?? had.get(template);
      const name = `template ${template}${selector === undefined ? '' : ` (${selector})`}`;
      if (!had.has(template)) add(server, `it gets ${name}`);
      else if (!has.has(template)) add(server, `it loses ${name}`);
    }
  };
  const isSameList = before.servers === after.servers;
  after.servers.forEach(({ name }, index) => {
    const was = isSameList ? index : old.indexOf(name);
    consider(name, was === undefined ? [] : old.assignmentsOf(was), next.assignmentsOf(index));
  });
  if (!isSameList) {
    before.servers.forEach(({ name }, index) => {
      if (next.indexOf(name) === undefined) consider(name, old.assignmentsOf(index), []);
    });
  }
  const affected = [...reasons]
    .map(([server, own]) => ({ server, reasons: [...own] }))
    .sort((a, b) => (a.server < b.server ? -1 : 1));
  return { affected, rules };
}

/** Of a server. Of an unchanged one that no template applies to, the same object in both states. */
type Assignments = readonly Assignment[];

/** Selectors by template; none if the server names the template. */
function selectorsBy(assignments: Assignments): Map<string, string | undefined> {
  return new Map(assignments.map(({ template, selector }) => [template, selector?.text]));
}

function shiftedRules(
  before: Snapshot,
  after: Snapshot,
  old: Resolver,
  next: Resolver,
): ShiftedRule[] {
  const untouched = after.templates.filter(({ name }) =>
    after.revisions.templates.isSame(before.revisions.templates, name),
  );
  return untouched.flatMap((template) =>
    rulesWithGroups(template).flatMap(({ direction, index, rule, groups }): ShiftedRule[] => {
      if (!next.isLive(rule)) return [];
      const [was, is] = [rangesOf(old, rule), rangesOf(next, rule)];
      if (equalRanges(was, is)) return [];
      const differs = (peer: Peer): boolean => {
        const alone: Rule = { protocol: 'all', peers: [peer] };
        return !equalRanges(rangesOf(old, alone), rangesOf(next, alone));
      };
      const through = groups.filter(differs).map(({ text }) => text);
      const opened = shortened(subtractRanges(is, was));
      const closed = shortened(subtractRanges(was, is));
      return [
        {
          ...{ template: template.name, direction, index, text: formatRule(direction, rule) },
          ...{ through, opened, closed },
        },
      ];
    }),
  );
}

function rangesOf(resolver: Resolver, rule: Rule): Ranges {
  return resolver.rangesOf(rule) ?? allAddresses;
}

function shortened(ranges: Ranges): string[] {
  const texts = formatRanges(ranges.subarray(0, maxRanges * 2));
  const more = ranges.length / 2 - texts.length;
  return more > 0 ? [...texts, `and ${more} more`] : texts;
}
