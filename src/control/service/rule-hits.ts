/**
 * How many flows each rule has opened, since when that counts, and when it opened the last one, over all policies that had it: the
 * packet threads count by a rule's index in their policy (Matcher.hits), and a policy's counts are carried over to the next one by the
 * rules' content. So they are to the next process, by a sum of it (worker/hit-file.ts).
 *
 * The threads' clock begins anew after 49 days. So their stamps are turned into times of day when they are read, and by `collect`
 * at least once in 24 days.
 *
 * A rule is the same if its template's name, its direction, protocol, ports and peers are; its place and its comment may
 * change. Identical rules of one template are one rule: whichever of them a match names, all show the count.
 */
import type { RuleHits } from '../../dataplane/match/matcher.ts';
import type { HitsInForce } from '../../dataplane/worker/data-plane.ts';
import { emptyKept, ruleKeyBytes } from '../../dataplane/worker/hit-file.ts';
import type { HitsBefore, KeptHits } from '../../dataplane/worker/hit-file.ts';
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

/** Sums of the contents of a template's rules, one behind the other in the order of their indices. */
const knownKeys = new WeakMap<readonly RulePlace[], Uint8Array>();

function keysOf(places: readonly RulePlace[]): Uint8Array {
  let keys = knownKeys.get(places);
  if (keys === undefined) {
    keys = new Uint8Array(places.length * ruleKeyBytes);
    const words = new Int32Array(keys.buffer);
    places.forEach(({ template, direction, rule }, place) => {
      writeKey(words, (place * ruleKeyBytes) / 4, identityOf(template, direction, rule));
    });
    knownKeys.set(places, keys);
  }
  return keys;
}

/**
 * Four sums of a text, each with multipliers of its own: 128 bits, so that no two rules have the same by chance. A digest from
 * node:crypto takes many times as long for a text as short as these, and there may be 100,000 at once.
 */
function writeKey(words: Int32Array, at: number, text: string): void {
  let [a, b, c, d] = [0x243f6a88, 0x85a308d3 | 0, 0x13198a2e, 0x03707344];
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    a = Math.imul(a ^ code, 0x9e3779b1);
    b = Math.imul(b ^ code ^ (a >>> 15), 0x85ebca77);
    c = Math.imul(c ^ code ^ (b >>> 13), 0xc2b2ae3d);
    d = Math.imul(d ^ code ^ (c >>> 16), 0x27d4eb2f);
  }
  words[at] = a ^ (d >>> 15);
  words[at + 1] = b ^ (a >>> 13);
  words[at + 2] = c ^ (b >>> 16);
  words[at + 3] = d ^ (c >>> 14);
}

/** Indices of a template's rules follow each other. */
const firstOf = (places: readonly RulePlace[]): number => places[0]?.index ?? 0;

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
  #publishRows: HitsInForce['publish'];
  #kept: KeptHits;
  #collectedMs = 0;

  /**
   * @param inForce of the packet threads, for the policy
   * @param onWarning what an earlier process has left is not used
   */
  constructor(
    { rules, rulesOf }: CompiledPolicy,
    { hits, before, publish }: HitsInForce,
    clocks: HitClocks,
    onWarning: (message: string) => void = () => undefined,
  ) {
    this.#clocks = clocks;
    this.#rulesOf = rulesOf;
    this.#hits = hits;
    this.#publishRows = publish;
    this.#kept = emptyKept(rules.length, clocks.nowMs());
    if (typeof before === 'string') {
      onWarning(`hits of an earlier process are not used: ${before}`);
    } else if (before !== undefined) {
      const damaged = this.#takeOver(before);
      if (damaged > 0) onWarning(`hits of rules were damaged, and begin anew: those of ${damaged}`);
    }
    this.#publish();
  }

  /** A policy is in force on all threads: the counts of the one before are final. */
  onPolicy({ rules, rulesOf }: CompiledPolicy, { hits, publish }: HitsInForce): void {
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
        const first = firstOf(places);
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
    this.#publishRows = publish;
    this.#kept = kept;
    this.#publish();
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
    this.#publish();
  }

  /** Lets the next process have it. */
  #publish(): void {
    if (this.#publishRows === undefined) return;
    const keys = new Uint8Array(this.#kept.counts.length * ruleKeyBytes);
    for (const places of this.#rulesOf.values()) {
      keys.set(keysOf(places), firstOf(places) * ruleKeyBytes);
    }
    this.#publishRows(keys, this.#kept);
  }

  /** Returns how many rules begin anew because they were damaged. */
  #takeOver({ keys, kept, hits, damaged }: HitsBefore): number {
    const indices = new Map<string, number>();
    for (const places of this.#rulesOf.values()) {
      const own = Buffer.from(keysOf(places)).toString('latin1');
      const first = firstOf(places);
      // Of rules that are alike, the first one has it all.
      for (let place = places.length - 1; place >= 0; place--) {
        indices.set(own.slice(place * ruleKeyBytes, (place + 1) * ruleKeyBytes), first + place);
      }
    }
    const nowMs = this.#clocks.nowMs();
    keys.forEach((key, before) => {
      const index = key === undefined ? undefined : indices.get(key);
      if (index === undefined) return;
      const stamp = hits.lastMs[before]!;
      const lastMs =
        stamp === kept.stamps[before] ? kept.lastMs[before]! : this.#clocks.wallClockOf(stamp);
      const own = this.#kept;
      own.counts[index]! += kept.counts[before]! + hits.counts[before]!;
      own.lastMs[index] = Math.max(own.lastMs[index]!, Math.min(lastMs, nowMs));
      own.sinceMs[index] = Math.min(own.sinceMs[index]!, kept.sinceMs[before]!);
    });
    return damaged;
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
