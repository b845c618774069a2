/**
 * Peers: the sources or destinations of a rule. An address, a block, a range or `any`, or a group by name: `server:NAME`,
 * `template:NAME` (every server that has it), `set:NAME`, `label:SELECTOR`.
 *
 * Here they are read. What they mean at one moment is found by `resolve.ts`, and nowhere else.
 */
import { controlIn } from '../text/controls.ts';
import { parsePeer as parseRange } from './addresses.ts';
import type { Parsed } from './addresses.ts';
import { parseSelector } from './selector.ts';
import type { GroupPeer, Peer, Rule, Template } from './types.ts';
import { directions } from '../text/rule-text.ts';
import type { RuleDirection } from '../text/rule-text.ts';

export function isGroup(peer: Peer): peer is GroupPeer {
  return 'kind' in peer;
}

/** A rule that names groups, in its place. */
export interface GroupRule {
  readonly direction: RuleDirection;
  /** From 0, in its direction. */
  readonly index: number;
  readonly rule: Rule;
  readonly groups: readonly GroupPeer[];
}

const groupRules = new WeakMap<Template, readonly GroupRule[]>();

/** Found once for each template: they are few, and asked for with each change. */
export function rulesWithGroups(template: Template): readonly GroupRule[] {
  let found = groupRules.get(template);
  if (found === undefined) {
    found = directions.flatMap((direction) =>
      template[direction].flatMap((rule, index): GroupRule[] => {
        const groups = [...(rule.peers ?? []), ...(rule.except ?? [])].filter(isGroup);
        return groups.length === 0 ? [] : [{ direction, index, rule, groups }];
      }),
    );
    groupRules.set(template, found);
  }
  return found;
}

/** The words before the colon, for messages and completion. */
export const peerKinds = ['server', 'template', 'set', 'label'] as const;

/** Reads a peer; a message says what was expected instead. */
export function parsePeer(text: string): Parsed<Peer> {
  const match = /^([a-z]+)\s*:\s*(.*)$/is.exec(text);
  if (match === null) return parseRange(text);
  const kind = peerKinds.find((each) => each === match[1]!.toLowerCase());
  const name = match[2]!.trim();
  if (kind === undefined || name === '') {
    return {
      message: `expected an address, or server:NAME, template:NAME, set:NAME or label:SELECTOR, found "${text}"`,
    };
  }
  if (kind !== 'label') {
    const control = controlIn(name);
    if (control !== undefined) return { message: `expected a name without ${control}` };
    return { value: { kind, name, text: `${kind}:${name}` } };
  }
  const parsed = parseSelector(name);
  if ('message' in parsed) return parsed;
  const selector = parsed.value;
  return { value: { kind, selector, text: `label:${selector.text}` } };
}
