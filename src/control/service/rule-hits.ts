/**
 * How many flows each rule has opened, over all policies that had it: the packet threads count by a rule's index in their
 * policy (Matcher.hits), and a policy's counts are carried over to the next one by the rules' content.
 *
 * A rule is the same if its template's name, its direction, protocol, ports and peers are; its place and its comment may
 * change. Identical rules of one template are one rule: whichever of them a match names, all show the count.
 */
import type { CompiledPolicy, RulePlace } from '../../policy/compile.ts';
import { isGroup } from '../../policy/peers.ts';
import type { Peer, Rule } from '../../policy/types.ts';
import type { RuleDirection } from '../../text/rule-text.ts';

interface KnownIdentity {
  readonly template: string;
  readonly direction: string;
  readonly identity: string;
}

/** Keys of unchanged rules, which are nearly all after an edit. */
const known = new WeakMap<Rule, KnownIdentity>();

/** Addresses by their values, groups by their names: the members of a group may change. */
function identityOfPeers(peers: readonly Peer[] | undefined): string | undefined {
  return peers?.map((peer) => (isGroup(peer) ? peer.text : `${peer.from}-${peer.to}`)).join();
}

function identityOf(template: string, direction: string, rule: Rule): string {
  const last = known.get(rule);
  if (last?.template === template && last.direction === direction) return last.identity;
  const ports = rule.ports?.map(({ from, to }) => `${from}-${to}`).join();
  const peers = identityOfPeers(rule.peers) ?? 'any';
  const except = identityOfPeers(rule.except) ?? 'nothing';
  const identity = `${template} ${direction} ${rule.protocol} ${ports ?? 'all'} ${peers} ${except}`;
  known.set(rule, { template, direction, identity });
  return identity;
}

export class RuleHitLedger {
  #rules: readonly RulePlace[];
  #hits: Float64Array;
  /** Indices of all rules with this content, and their count under earlier policies. */
  #entries: Map<string, { readonly indices: number[]; readonly before: number }> = new Map();

  /** @param hits the packet threads' counters for the policy */
  constructor({ rules }: CompiledPolicy, hits: Float64Array) {
    this.#rules = rules;
    this.#hits = hits;
    this.#enter(new Map());
  }

  /** A policy is in force on all threads: the counts of the one before are final. */
  onPolicy({ rules }: CompiledPolicy, hits: Float64Array): void {
    const before = new Map([...this.#entries.keys()].map((key) => [key, this.#countOf(key)]));
    this.#rules = rules;
    this.#hits = hits;
    this.#enter(before);
  }

  /** Undefined: the policy in force has no such rule. */
  of(template: string, direction: RuleDirection, rule: Rule): number | undefined {
    return this.#countOf(identityOf(template, direction, rule));
  }

  #countOf(key: string): number | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    return entry.indices.reduce((sum, index) => sum + this.#hits[index]!, entry.before);
  }

  #enter(before: ReadonlyMap<string, number | undefined>): void {
    this.#entries = new Map();
    this.#rules.forEach(({ template, direction, rule }, index) => {
      const key = identityOf(template, direction, rule);
      const entry = this.#entries.get(key);
      if (entry !== undefined) entry.indices.push(index);
      else this.#entries.set(key, { indices: [index], before: before.get(key) ?? 0 });
    });
  }
}
