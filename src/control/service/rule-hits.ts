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

type Indices = ReadonlyMap<string, readonly number[]>;

/** Indices of the rules with the same content, by that; for a list of places that stays the same while nothing in it changes. */
const knownIndices = new WeakMap<readonly RulePlace[], Indices>();

function indicesOf(places: readonly RulePlace[]): Indices {
  const known = knownIndices.get(places);
  if (known !== undefined) return known;
  const indices = new Map<string, number[]>();
  for (const { template, direction, rule, index } of places) {
    const key = identityOf(template, direction, rule);
    const same = indices.get(key);
    if (same === undefined) indices.set(key, [index]);
    else same.push(index);
  }
  knownIndices.set(places, indices);
  return indices;
}

export class RuleHitLedger {
  #rulesOf: CompiledPolicy['rulesOf'];
  #hits: Float64Array;
  /** Counts under earlier policies, by the rules' indices now. */
  #past: Float64Array;

  /** @param hits the packet threads' counters for the policy */
  constructor({ rules, rulesOf }: CompiledPolicy, hits: Float64Array) {
    this.#rulesOf = rulesOf;
    this.#hits = hits;
    this.#past = new Float64Array(rules.length);
  }

  /** A policy is in force on all threads: the counts of the one before are final. */
  onPolicy({ rules, rulesOf }: CompiledPolicy, hits: Float64Array): void {
    const past = new Float64Array(rules.length);
    for (const [template, places] of rulesOf) {
      const before = this.#rulesOf.get(template);
      if (before === undefined) continue;
      if (before === places) {
        // Indices of a template's rules follow each other.
        const first = places[0]?.index ?? 0;
        const end = first + places.length;
        for (let index = first; index < end; index++) past[index] = this.#count(index);
        continue;
      }
      const indicesBefore = indicesOf(before);
      for (const [key, [index]] of indicesOf(places))
        past[index!] = this.#sum(indicesBefore.get(key));
    }
    this.#rulesOf = rulesOf;
    this.#hits = hits;
    this.#past = past;
  }

  /** Undefined: the policy in force has no such rule. */
  of(template: string, direction: RuleDirection, rule: Rule): number | undefined {
    const places = this.#rulesOf.get(template);
    const indices = places && indicesOf(places).get(identityOf(template, direction, rule));
    return indices && this.#sum(indices);
  }

  #sum(indices: readonly number[] = []): number {
    return indices.reduce((sum, index) => sum + this.#count(index), 0);
  }

  #count(index: number): number {
    return this.#past[index]! + this.#hits[index]!;
  }
}
