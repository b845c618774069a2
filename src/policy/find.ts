/**
 * Rules that name something: an address, a port, or a word. The cold half of "which rule was that?".
 *
 * An address, block or range finds rules whose peers or exceptions overlap it, through servers and sets too; a port or a range of
 * ports those whose ports overlap it; any other text those that have it in their words. A rule for any address, or for all
 * ports, names neither: such rules are counted apart, since they matter all the same.
 */
import { parsePeer, parsePorts } from './addresses.ts';
import type { Parsed } from './addresses.ts';
import type { CompiledPolicy } from './compile.ts';
import { intersectRanges, rangesOf } from './ranges.ts';
import type { Ranges } from './ranges.ts';
import { linesOf } from './rule-lines.ts';
import type { Resolver } from './resolve.ts';
import { formatRule } from './rule-notation.ts';
import type { PortRange, Rule, Template } from './types.ts';
import { directions } from '../text/rule-text.ts';
import type { RuleDirection } from '../text/rule-text.ts';

export type FindQuestion =
  | { readonly kind: 'addresses'; readonly ranges: Ranges }
  | { readonly kind: 'ports'; readonly ports: PortRange }
  | { readonly kind: 'text'; readonly text: string };

export interface FoundRule {
  readonly template: string;
  readonly direction: RuleDirection;
  /** From 0. */
  readonly index: number;
  /** In the template's file, from 1; absent: it was not read from one. */
  readonly line?: number;
  readonly rule: Rule;
  /** What of it names it, as written: `set:office`, `8000-8100`, its comment. */
  readonly by: string;
}

export interface Found {
  readonly rules: readonly FoundRule[];
  /** Rules for any address, or all ports, that are about it too without naming it. */
  readonly wider: readonly FoundRule[];
}

/** A number or a range of numbers is about ports; an address, a block or a range about addresses; the rest is text. */
export function parseFindQuestion(text: string): Parsed<FindQuestion> {
  const trimmed = text.trim();
  if (trimmed === '') return { message: 'expected an address, a port or a text, found nothing' };
  if (/^\d{1,5}(\s*-\s*\d{1,5})?$/.test(trimmed)) {
    const ports = parsePorts(trimmed);
    return 'message' in ports ? ports : { value: { kind: 'ports', ports: ports.value } };
  }
  if (trimmed !== 'any') {
    const range = parsePeer(trimmed);
    if ('value' in range) {
      return { value: { kind: 'addresses', ranges: rangesOf([range.value]) } };
    }
    // What looks like a block or a range is one with an error in it.
    if (/^\d+(\.\d+){3}([/-].*)?$/.test(trimmed)) return range;
  }
  return { value: { kind: 'text', text: trimmed.toLowerCase() } };
}

export function findRules(
  {
    templates,
    compiled,
  }: { readonly templates: readonly Template[]; readonly compiled: CompiledPolicy },
  question: FindQuestion,
): Found {
  const rules: FoundRule[] = [];
  const wider: FoundRule[] = [];
  for (const template of templates) {
    for (const direction of directions) {
      const lines = linesOf(template[direction]);
      template[direction].forEach((rule, index) => {
        const line = lines?.[index];
        const at = { template: template.name, direction, index, rule };
        const place = line === undefined ? at : { ...at, line };
        const by = namedBy(template, place, question, compiled.resolver);
        if (by !== undefined) rules.push({ ...place, by });
        else if (isWider(rule, question)) wider.push({ ...place, by: 'any' });
      });
    }
  }
  return { rules, wider };
}

function namedBy(
  template: Template,
  { direction, rule }: Omit<FoundRule, 'by'>,
  question: FindQuestion,
  resolver: Resolver,
): string | undefined {
  switch (question.kind) {
    case 'ports':
      return namedPorts(rule, question.ports);
    case 'addresses':
      return namedPeer(rule, question.ranges, resolver);
    case 'text': {
      const words = [
        rule.comment,
        formatRule(direction, rule),
        template.name,
        template.description,
      ];
      return words.find((each) => each?.toLowerCase().includes(question.text) === true);
    }
  }
}

function namedPorts({ ports }: Rule, asked: PortRange): string | undefined {
  const found = ports?.find(({ from, to }) => from <= asked.to && asked.from <= to);
  if (found === undefined) return undefined;
  return found.from === found.to ? String(found.from) : `${found.from}-${found.to}`;
}

function namedPeer(rule: Rule, asked: Ranges, resolver: Resolver): string | undefined {
  const overlaps = (peer: NonNullable<Rule['peers']>[number]): boolean => {
    const ranges = resolver.rangesOf({ protocol: 'all', peers: [peer] });
    return ranges !== undefined && intersectRanges(ranges, asked).length > 0;
  };
  const peer = rule.peers?.find((each) => !isAny(each) && overlaps(each));
  if (peer !== undefined) return peer.text;
  const excepted = rule.except?.find(overlaps);
  return excepted === undefined ? undefined : `except ${excepted.text}`;
}

function isAny(peer: NonNullable<Rule['peers']>[number]): boolean {
  return 'from' in peer && peer.from === 0 && peer.to === 0xffffffff;
}

function isWider({ protocol, ports, peers }: Rule, { kind }: FindQuestion): boolean {
  if (kind === 'ports') return ports === undefined && protocol !== 'icmp';
  return kind === 'addresses' && (peers === undefined || peers.some(isAny));
}
