/**
 * How many flows each rule has opened, since when that counts, and when it opened the last one, over all policies that had it: the
 * packet threads count by a rule's index in their policy (Matcher.hits), and a policy's counts are carried over to the next one by the
 * rules' content.
 *
 * The threads' clock begins anew after 49 days. So their stamps are turned into times of day when they are read, and by `collect`
 * at least once in 24 days.
 *
 * A rule is the same if its template's name, its direction, protocol, ports and peers are; its place and its comment may
 * change. Identical rules of one template are one rule: whichever of them a match names, all show the count.
 */
import type { RuleHits } from '../../dataplane/match/matcher.ts';
import type { CompiledPolicy, RulePlace } from '../../policy/compile.ts';
import { isGroup } from '../../policy/peers.ts';
import type { Peer, Rule } from '../../policy/types.ts';
import type { RuleDirection } from '../../text/rule-text.ts';
import type { RuleHit } from '../api/context.ts';

/** Addresses by their values, groups by their names: the members of a group may change. */
function identityOfPeers(peers: readonly Peer[] | undefined): string | undefined {
  return peers?.map((peer) => (isGroup(peer) ? peer.text : `${peer.from}-${peer.to}`)).join();
}

function identityOf(template: string, direction: string, rule: Rule): string {
  const ports = rule.ports?.map(({ from, to }) => `${from}-${to}`).join();
  const peers = identityOfPeers(rule.peers) ?? 'any';
  const except = identityOfPeers(rule.except) ?? 'nothing';
  return `${template} ${direction} ${rule.protocol} ${ports ?? 'all'} ${peers} ${except}`;
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

/** Well below the 24 days after which a stamp would mean another time. */
const collectEveryMs = 3_600_000;

export interface HitClocks {
  /** Ms since 1970. */
  readonly nowMs: () => number;
  /** When the packet threads' clock showed `thenMs`: ms since 1970. */
  readonly wallClockOf: (thenMs: number) => number;
}

export class RuleHitLedger {
  readonly #clocks: HitClocks;
  #rulesOf: CompiledPolicy['rulesOf'];
  #hits: RuleHits;
  #kept: Kept;
  #collectedMs = 0;

  /** @param hits of the packet threads, for the policy */
  constructor({ rules, rulesOf }: CompiledPolicy, hits: RuleHits, clocks: HitClocks) {
    this.#clocks = clocks;
    this.#rulesOf = rulesOf;
    this.#hits = hits;
    this.#kept = emptyKept(rules.length, clocks.nowMs());
  }

  /** A policy is in force on all threads: the counts of the one before are final. */
  onPolicy({ rules, rulesOf }: CompiledPolicy, hits: RuleHits): void {
    const kept = emptyKept(rules.length, this.#clocks.nowMs());
    const keep = (index: number, indicesBefore: readonly number[]): void => {
      const { hits: count, lastHitMs = 0, sinceMs } = this.#sum(indicesBefore);
      kept.counts[index] = count;
      kept.lastMs[index] = lastHitMs;
      kept.sinceMs[index] = sinceMs;
    };
    for (const [template, places] of rulesOf) {
      const before = this.#rulesOf.get(template);
      if (before === undefined) continue;
      if (before === places) {
        // Indices of a template's rules follow each other.
        const first = places[0]?.index ?? 0;
        const end = first + places.length;
        for (let index = first; index < end; index++) {
          kept.counts[index] = this.#kept.counts[index]! + this.#hits.counts[index]!;
          kept.lastMs[index] = this.#lastMs(index);
          kept.sinceMs[index] = this.#kept.sinceMs[index]!;
        }
        continue;
      }
      const indicesBefore = indicesOf(before);
      for (const [key, [index]] of indicesOf(places)) {
        const known = indicesBefore.get(key);
        if (known !== undefined) keep(index!, known);
      }
    }
    this.#rulesOf = rulesOf;
    this.#hits = hits;
    this.#kept = kept;
  }

  /** Undefined: the policy in force has no such rule. */
  of(template: string, direction: RuleDirection, rule: Rule): RuleHit | undefined {
    const places = this.#rulesOf.get(template);
    const indices = places && indicesOf(places).get(identityOf(template, direction, rule));
    return indices && this.#sum(indices);
  }

  /** Turns the threads' stamps into times of day, while they can still be told apart. Cheap, as often as it is called. */
  collect(): void {
    const nowMs = this.#clocks.nowMs();
    if (Math.abs(nowMs - this.#collectedMs) < collectEveryMs) return;
    this.#collectedMs = nowMs;
    for (let index = 0; index < this.#kept.lastMs.length; index++) this.#lastMs(index);
  }

  #sum(indices: readonly number[]): RuleHit {
    let [hits, lastHitMs, sinceMs] = [0, 0, Infinity];
    for (const index of indices) {
      hits += this.#kept.counts[index]! + this.#hits.counts[index]!;
      lastHitMs = Math.max(lastHitMs, this.#lastMs(index));
      sinceMs = Math.min(sinceMs, this.#kept.sinceMs[index]!);
    }
    return { hits, sinceMs, ...(lastHitMs > 0 && { lastHitMs }) };
  }

  #lastMs(index: number): number {
    const { stamps, lastMs } = this.#kept;
    const stamp = this.#hits.lastMs[index]!;
    if (stamp !== stamps[index]) {
      stamps[index] = stamp;
      lastMs[index] = this.#clocks.wallClockOf(stamp);
    }
    return lastMs[index]!;
  }
}

/** Of each rule, by its index now. */
interface Kept {
  /** Flows that it opened under earlier policies. */
  readonly counts: Float64Array;
  /** When it opened the last one that is known, in ms since 1970; 0: none. */
  readonly lastMs: Float64Array;
  /** The thread's stamp that this was made of; 0: none. */
  readonly stamps: Int32Array;
  readonly sinceMs: Float64Array;
}

function emptyKept(rules: number, nowMs: number): Kept {
  return {
    counts: new Float64Array(rules),
    lastMs: new Float64Array(rules),
    stamps: new Int32Array(rules),
    sinceMs: new Float64Array(rules).fill(nowMs),
  };
}
