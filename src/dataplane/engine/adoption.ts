/**
 * Flows of an earlier process: what it left in memory is checked record by record, and inserted anew.
 *
 * Nothing of it is trusted. The process may have been killed in the middle of any change, and the memory may be damaged.
 * So links, lists and counts are not read: they follow from the records. A record that no packet could have made is refused.
 * The rest is judged by the policy in force now; each process numbers its policies from 1, so an adopted flow has epoch 0
 * until then. What the policy forbids is cut. A flow that the earlier process had spared (reload: keep or drain) is spared on
 * only if the policy is still the same.
 */
import { evictionClassOfList, flowListProtocols, listOfState } from '../flow/flow-lists.ts';
import { FlowEvent } from '../flow/flow-events.ts';
import type { FlowMemory } from '../flow/flow-memory.ts';
import {
  Cold,
  Direction,
  FlowState,
  Hot,
  StateBits,
  TcpBits,
  coldOfSegments,
  coldWords,
  flowStateCount,
  flowStateProtocols,
  hotOfSegments,
  hotShift,
  noFlow,
} from '../flow/flow-record.ts';
import { FlowTable } from '../flow/flow-table.ts';
import type { FlowTableLimits } from '../flow/flow-table.ts';
import { icmpKind, isIcmpRequest, requestTypeOf } from '../flow/icmp-query.ts';
import type { Records } from '../flow/record-layout.ts';
import { originalSlot, replySlot } from '../flow/server-totals.ts';
import type { Matcher } from '../match/matcher.ts';
import { Protocol } from '../wire/headers.ts';
import { isMartian } from '../wire/parse.ts';
import { Counter, counterCount, evictionCounterCount } from './counters.ts';
import { FlowReview, ReloadMode, isOlder } from './flow-review.ts';
import { windowLength } from './look-ahead.ts';

/** How an earlier process treated flows that its last policy forbade. */
export interface SparedFlows {
  /** {@link ReloadMode}. */
  readonly mode: number;
  /** With drain: until when, on the engine's clock. */
  readonly drainUntilMs: number;
  /** Epoch of that policy in that process. */
  readonly epoch: number;
}

/** What became of the records that were in use. */
export interface Adoption {
  /** Flows that go on. */
  readonly adopted: number;
  /** Flows that the policy in force forbids. */
  readonly cut: number;
  /** Flows whose timeout passed meanwhile. */
  readonly expired: number;
  /** Damaged records, and flows for which the table has no room. */
  readonly refused: number;
}

/** Flows across restarts: what was found at the start, and whether the next process will find them. */
export interface Survival extends Adoption {
  /** Whether flows outlive this process. */
  readonly kept: boolean;
  /** In a sentence: why they do not, or why those of the process before were not used. */
  readonly problem?: string;
}

/** All bits of {@link Hot.state} that have a meaning. */
const knownStateBits =
  StateBits.stateMask |
  StateBits.listMask |
  StateBits.seenReply |
  StateBits.assured |
  StateBits.directionMask |
  StateBits.inUse |
  StateBits.kept |
  StateBits.rememberedSynMask;

/** Likewise of {@link Hot.tcp}: all up to the highest one. */
const knownTcpBits = TcpBits.earlierSyn * 2 - 1;

/** Words that go on as they are, with those that segments change. */
const carriedCold: Int32Array = Int32Array.of(
  Cold.created,
  Cold.packets,
  Cold.packets + 1,
  Cold.bytes,
  Cold.bytes + 1,
  Cold.bytesHigh,
);

/** Of a process before that counted for no server. */
export const noSlots: Uint16Array = new Uint16Array(0);

/** RFC 7323 section 2.3. */
const maxScale = 14;

/** Whether one word of a kind is what icmpKind makes of this flow's addresses. */
function isOwnIcmpKind(kind: number, originalAddr: number, replyAddr: number): boolean {
  const type = requestTypeOf(kind);
  return isIcmpRequest(type) && kind === icmpKind(type, kind >>> 16, originalAddr, replyAddr);
}

/**
 * Whether a flow can be on this list in this state; else it goes to the list of its state. States change without a refresh, and
 * retransmissions shorten the timeout; but a flow is never better protected from eviction than its state is.
 */
function isListOf(state: number, list: number): boolean {
  const usual = listOfState[state]!;
  const isOfProtocol = flowListProtocols[list] === flowStateProtocols[state];
  return isOfProtocol && evictionClassOfList[list]! <= evictionClassOfList[usual]!;
}

/** Whether packets could have made this record, its times aside. */
function isSound(hot: Int32Array, record: number): boolean {
  const word = hot[record + Hot.state]!;
  const state = word & StateBits.stateMask;
  if ((word & StateBits.inUse) === 0 || (word & ~knownStateBits) !== 0) return false;
  if (state === FlowState.none || state >= flowStateCount) return false;
  if ((word & StateBits.directionMask) >> StateBits.directionShift === Direction.none) return false;
  const original = hot[record + Hot.originalAddr]!;
  const reply = hot[record + Hot.replyAddr]!;
  if (original === reply || isMartian(original) || isMartian(reply)) return false;
  const kind = hot[record + Hot.kind]!;
  const protocol = kind & 0xff;
  if (protocol !== flowStateProtocols[state]) return false;
  const ports = hot[record + Hot.ports]!;
  if (protocol === Protocol.icmp) {
    return ports >>> 16 === (ports & 0xffff) && isOwnIcmpKind(kind, original, reply);
  }
  if (kind !== protocol) return false;
  return protocol === Protocol.tcp ? isSoundTcp(hot, record) : hot[record + Hot.tcp] === 0;
}

/** Sequence numbers and windows can have any value: what a SACK acknowledges beyond a window is added to it. */
function isSoundTcp(hot: Int32Array, record: number): boolean {
  const tcp = hot[record + Hot.tcp]!;
  if ((tcp & ~knownTcpBits) !== 0) return false;
  for (let direction = 0; direction < 2; direction++) {
    const scale = (tcp >> (direction * TcpBits.scaleShift)) & TcpBits.scaleMask;
    if (scale > maxScale) return false;
  }
  return true;
}

/**
 * Takes flows into an empty table, before packet threads work on it.
 *
 * @param spared of the earlier process, if its last policy was the same as this one
 * @param nowMs the engine's clock, which the records' times are of, too
 * @param slotNow by slot of a server in that process, its slot in this one
 */
export function adoptFlows(
  records: Records,
  memory: FlowMemory,
  limits: FlowTableLimits,
  policy: Matcher,
  spared: SparedFlows | undefined,
  nowMs: number,
  slotNow: Uint16Array = noSlots,
): Adoption {
  const evictions = new Float64Array(evictionCounterCount);
  const table = new FlowTable(memory, limits, { evictions });
  return new Adopter(records, table, policy, spared, nowMs, slotNow).run(evictions);
}

/** Ages up to 2^16 ms are sorted exactly, older ones to a second: nor does a flow move on its list more often. */
const exactAges = 2 ** 16;
const longUnitShift = 10;

/** Indices by their ages (by index, not negative), ascending, by counting: there may be millions. */
function sortByAge(indices: Int32Array, ages: Int32Array): Int32Array {
  let oldest = 0;
  for (let i = 0; i < indices.length; i++) oldest = Math.max(oldest, ages[indices[i]!]!);
  let shift = 0;
  while (oldest >> shift >= exactAges && shift < longUnitShift) shift++;
  const starts = new Int32Array((oldest >> shift) + 2);
  for (let i = 0; i < indices.length; i++) starts[(ages[indices[i]!]! >> shift) + 1]! += 1;
  for (let i = 1; i < starts.length; i++) starts[i]! += starts[i - 1]!;
  const sorted = new Int32Array(indices.length);
  for (let i = 0; i < indices.length; i++) {
    const unit = ages[indices[i]!]! >> shift;
    sorted[starts[unit]!] = indices[i]!;
    starts[unit]! += 1;
  }
  return sorted;
}

class Adopter {
  readonly #records: Records;
  readonly #table: FlowTable;
  readonly #nowMs: number;
  readonly #spared: SparedFlows | undefined;
  readonly #slotNow: Uint16Array;
  /** Judges flows that the earlier process may have spared, and all others. */
  readonly #lenient: FlowReview;
  readonly #strict: FlowReview;
  readonly #counters: Float64Array = new Float64Array(counterCount);
  readonly #window: Int32Array = new Int32Array(windowLength);
  readonly #hashes: Int32Array = new Int32Array(windowLength);
  readonly #flows: Int32Array = new Int32Array(windowLength);
  /** Sink for what is loaded: V8 removes a load whose value is unused. */
  loaded = 0;
  #expired = 0;
  #refused = 0;

  constructor(
    records: Records,
    table: FlowTable,
    policy: Matcher,
    spared: SparedFlows | undefined,
    nowMs: number,
    slotNow: Uint16Array,
  ) {
    this.#slotNow = slotNow;
    this.#records = records;
    this.#table = table;
    this.#nowMs = nowMs;
    this.#spared = spared;
    this.#strict = new FlowReview(table, this.#counters, policy);
    this.#lenient = new FlowReview(table, this.#counters, policy);
    const { mode, drainUntilMs } = spared ?? { mode: ReloadMode.cut, drainUntilMs: 0 };
    this.#lenient.setPolicy(policy, mode, drainUntilMs);
  }

  run(evictions: Float64Array): Adoption {
    const order = this.#inOrderOfAge();
    const excess = Math.max(0, order.length - this.#table.capacity);
    this.#refused += excess;
    // Oldest first, as on the lists; those that are too many are the oldest.
    for (let end = order.length - excess; end > 0; end -= windowLength) {
      const count = Math.min(end, windowLength);
      for (let i = 0; i < count; i++) this.#window[i] = order[end - 1 - i]!;
      this.#touch(count);
      for (let i = 0; i < count; i++) this.#insert(this.#window[i]!, this.#hashes[i]!);
    }
    for (const evicted of evictions) this.#refused += evicted;
    return {
      adopted: this.#table.used,
      cut: this.#counters[Counter.flowsCut]!,
      expired: this.#expired,
      refused: this.#refused,
    };
  }

  /** Indices of sound records that have not expired, youngest first. */
  #inOrderOfAge(): Int32Array {
    const { hot, cold } = this.#records;
    const count = hot.length >> hotShift;
    const whole = Math.floor(cold.length / coldWords);
    const ages = new Int32Array(count);
    const order = new Int32Array(count);
    let found = 0;
    for (let index = 1; index < count; index++) {
      const record = index << hotShift;
      if (hot[record + Hot.state] === 0) continue;
      const ageMs = (this.#nowMs - hot[record + Hot.lastRefresh]!) | 0;
      if (index >= whole || ageMs < 0 || !isSound(hot, record)) this.#refused++;
      else if (ageMs >= this.#table.configuredMs[this.#listOf(record)]!) {
        this.#expired++;
        this.#leave(index);
      } else {
        ages[index] = ageMs;
        order[found++] = index;
      }
    }
    return sortByAge(order.subarray(0, found), ages);
  }

  /** A flow has expired meanwhile. What the earlier process knew of its rules means nothing here. */
  #leave(index: number): void {
    const records = this.#records;
    const hot = records.hot.slice(index << hotShift, (index + 1) << hotShift);
    const cold = records.cold.slice(index * coldWords, (index + 1) * coldWords);
    hot[Hot.epoch] = 0;
    cold.fill(0, Cold.servers);
    cold[Cold.servers] = this.#serversNow(index);
    this.#table.retireFrom(cold, 0);
    this.#table.log(FlowEvent.timeout, hot, cold, 0, this.#nowMs);
  }

  /** Slots of the servers that the earlier process counted a flow for. */
  #serversNow(index: number): number {
    const servers = this.#records.cold[index * coldWords + Cold.servers]!;
    const slots = this.#slotNow;
    const [original, reply] = [originalSlot(servers), replySlot(servers)];
    const originalNow = original < slots.length ? slots[original]! : 0;
    return (originalNow << 16) | (reply < slots.length ? slots[reply]! : 0);
  }

  /**
   * Loads what a window of records and their places in the table consist of, and hashes them: like LookAhead, in tight loops, since
   * records in order of age lie anywhere.
   */
  #touch(count: number): void {
    const { hot, cold } = this.#records;
    const table = this.#table;
    const window = this.#window;
    const hashes = this.#hashes;
    const flows = this.#flows;
    let loaded = 0;
    for (let i = 0; i < count; i++) {
      const from = window[i]! * coldWords;
      loaded ^= hot[window[i]! << hotShift]! ^ cold[from]! ^ cold[from + coldWords - 1]!;
    }
    for (let i = 0; i < count; i++) {
      const from = window[i]! << hotShift;
      const ports = hot[from + Hot.ports]!;
      hashes[i] = table.hashOf(
        hot[from + Hot.kind]!,
        hot[from + Hot.originalAddr]!,
        ports >>> 16,
        hot[from + Hot.replyAddr]!,
        ports & 0xffff,
      );
    }
    for (let i = 0; i < count; i++) flows[i] = table.buckets[hashes[i]! & table.bucketMask]!;
    for (let i = 0; i < count; i++) loaded ^= table.hot[flows[i]! << hotShift]!;
    this.loaded = loaded;
  }

  #listOf(record: number): number {
    const word = this.#records.hot[record + Hot.state]!;
    const state = word & StateBits.stateMask;
    const list = (word & StateBits.listMask) >> StateBits.listShift;
    return isListOf(state, list) ? list : listOfState[state]!;
  }

  #insert(index: number, hash: number): void {
    const table = this.#table;
    const { hot } = this.#records;
    const from = index << hotShift;
    const kind = hot[from + Hot.kind]!;
    const original = hot[from + Hot.originalAddr]!;
    const reply = hot[from + Hot.replyAddr]!;
    const ports = hot[from + Hot.ports]!;
    const [originalPort, replyPort] = [ports >>> 16, ports & 0xffff];
    const nowMs = this.#nowMs;
    if (table.find(hash, kind, original, originalPort, reply, replyPort, nowMs) !== noFlow) {
      this.#refused++;
      return;
    }
    const word = hot[from + Hot.state]!;
    const state = word & StateBits.stateMask;
    const direction = (word & StateBits.directionMask) >> StateBits.directionShift;
    const list = this.#listOf(from);
    const flow = table.insert(
      kind,
      original,
      originalPort,
      reply,
      replyPort,
      state,
      list,
      direction,
      0,
      0,
      nowMs,
    );
    if (flow === noFlow) {
      this.#refused++;
      return;
    }
    this.#copy(index, flow);
    const older = this.#spared !== undefined && isOlder(hot[from + Hot.epoch]!, this.#spared.epoch);
    const mayBeSpared = older || (word & StateBits.kept) !== 0;
    const review = mayBeSpared ? this.#lenient : this.#strict;
    if (!review.stillAllowed(flow, nowMs)) review.cut(flow, nowMs);
  }

  /** What the flow is, beyond its key, state and list. */
  #copy(index: number, flow: number): void {
    const { hot, cold } = this.#table;
    const records = this.#records;
    const from = index << hotShift;
    const to = flow << hotShift;
    hot[to + Hot.listed] = records.hot[from + Hot.lastRefresh]!;
    hot[to + Hot.lastRefresh] = records.hot[from + Hot.lastRefresh]!;
    copyWords(hotOfSegments, records.hot, from, hot, to);
    const own = StateBits.stateMask | StateBits.listMask;
    const word = records.hot[from + Hot.state]!;
    hot[to + Hot.state] = (hot[to + Hot.state]! & own) | (word & ~own);
    const fromCold = index * coldWords;
    const toCold = flow * coldWords;
    copyWords(carriedCold, records.cold, fromCold, cold, toCold);
    copyWords(coldOfSegments, records.cold, fromCold, cold, toCold);
    // Until it is judged; then it may come to others.
    cold[toCold + Cold.servers] = this.#serversNow(index);
  }
}

function copyWords(
  words: Int32Array,
  source: Int32Array,
  from: number,
  target: Int32Array,
  to: number,
): void {
  for (let i = 0; i < words.length; i++) target[to + words[i]!] = source[from + words[i]!]!;
}
