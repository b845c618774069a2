/**
 * Judging flows again after a policy change: on their next packet, or by a sweep that visits idle ones, a bounded number at
 * each tick. What the new policy does not allow is cut, kept or drained.
 */
import { Control } from '../flow/flow-memory.ts';
import { Hot, StateBits, hotShift } from '../flow/flow-record.ts';
import type { FlowIndex } from '../flow/flow-record.ts';
import type { FlowTable } from '../flow/flow-table.ts';
import { MatchResult } from '../match/matcher.ts';
import type { Matcher } from '../match/matcher.ts';
import { isOfConversation, isOpeningSyn, isOpeningSynAck } from '../flow/tcp-conversation.ts';
import { SegmentClass, classifySegment } from '../flow/tcp-state.ts';
import { DropReason } from '../wire/drop-reason.ts';
import type { DropReasonCode } from '../wire/drop-reason.ts';
import type { Packet } from '../wire/packet.ts';
import { Counter } from './counters.ts';
import type { CutConnections } from './cut-connections.ts';

/** What a policy change does to flows that the new policy does not allow. */
export const ReloadMode = {
  /** Ends them on their next packet. */
  cut: 0,
  /** Leaves them alone until they end by themselves. */
  keep: 1,
  /** Leaves them alone until a deadline, then ends them. */
  drain: 2,
} as const;

/** Records that the sweep visits in one tick. */
export const sweepPerTick = 8192;

/** Whether one epoch comes before another; they wrap at 2^32. */
export function isOlder(epoch: number, than: number): boolean {
  return ((epoch - than) | 0) < 0;
}

/**
 * Whether a policy would let a flow open: by the packet that opened it, as a rule allows it or while its server observes.
 *
 * @param hot records of flows (flow-record.ts), @param record where the flow's starts
 */
export function policyAllows(
  policy: Matcher,
  hot: Int32Array,
  record: number,
  nowMs: number,
): boolean {
  const protocol = hot[record + Hot.kind]! & 0xff;
  const from = hot[record + Hot.originalAddr]!;
  const port = hot[record + Hot.ports]! & 0xffff;
  const match = policy.match(protocol, from, hot[record + Hot.replyAddr]!, port);
  if (match === MatchResult.allowed) return true;
  return policy.observe(match, protocol, from, port, nowMs) === MatchResult.allowed;
}

export class FlowReview {
  readonly #table: FlowTable;
  readonly #counters: Float64Array;
  readonly #connections: CutConnections | undefined;
  #policy: Matcher;
  #mode: number = ReloadMode.cut;
  #drainUntilMs = 0;
  /** The sweep has met a flow that the policy forbids and that is draining: it must come round again. */
  #spared = false;

  /** @param connections where those are noted that are cut. Default: nowhere */
  constructor(
    table: FlowTable,
    counters: Float64Array,
    policy: Matcher,
    connections?: CutConnections,
  ) {
    this.#table = table;
    this.#counters = counters;
    this.#connections = connections;
    this.#policy = policy;
  }

  /** Starts a sweep by a new policy; see Engine.setPolicy. */
  setPolicy(policy: Matcher, mode: number, drainUntilMs: number): void {
    this.#policy = policy;
    this.#mode = mode;
    this.#drainUntilMs = drainUntilMs;
    this.#spared = false;
    const control = this.#table.control;
    control[Control.sweepCursor] = 1;
    control[Control.sweepRemaining] = control[Control.firstFresh]! - 1;
  }

  /** Judges a flow of an older epoch again. */
  stillAllowed(flow: FlowIndex, nowMs: number): boolean {
    const hot = this.#table.hot;
    const record = flow << hotShift;
    const policy = this.#policy;
    const allowed = policyAllows(policy, hot, record, nowMs);
    if (!allowed && this.#mode !== ReloadMode.keep) {
      if (this.#mode !== ReloadMode.drain) return false;
      if (((nowMs - this.#drainUntilMs) | 0) >= 0) return false;
      this.#spared = true;
      hot[record + Hot.state]! |= StateBits.kept;
      return true;
    }
    if (allowed) hot[record + Hot.state]! &= ~StateBits.kept;
    else hot[record + Hot.state]! |= StateBits.kept;
    // An address may belong to another server now. If it belongs to none, its traffic stays counted for the old one.
    if (allowed) {
      this.#table.assign(flow, policy.matchedSlots());
      this.#table.admit(flow, policy.inboundRule, policy.outboundRule);
    }
    hot[record + Hot.epoch] = policy.epoch;
    return true;
  }

  /**
   * A TCP segment on a flow that the policy forbids and spares: it is that conversation which is spared, not the next one of the same
   * ports. For a SYN the policy decides; the one that opened the flow may come again. What else belongs to a new connection
   * does not pass. An RST opens nothing.
   *
   * @returns a drop reason; `none` if the segment is tracked like any other
   */
  judgeKept(flow: FlowIndex, direction: number, packet: Packet, nowMs: number): DropReasonCode {
    const table = this.#table;
    switch (classifySegment(packet.tcpFlags)) {
      case SegmentClass.syn:
        return isOpeningSyn(table, flow, direction, packet)
          ? DropReason.none
          : this.#judgeSyn(packet, nowMs);
      case SegmentClass.synAck:
        return isOpeningSynAck(table, flow, direction, packet)
          ? DropReason.none
          : DropReason.invalidState;
      case SegmentClass.rst:
        return DropReason.none;
      default:
        return isOfConversation(table, flow, direction, packet)
          ? DropReason.none
          : DropReason.outOfWindow;
    }
  }

  #judgeSyn(packet: Packet, nowMs: number): DropReasonCode {
    const { protocol, srcAddr, dstAddr, dstPort } = packet;
    const policy = this.#policy;
    const match = policy.match(protocol, srcAddr, dstAddr, dstPort);
    const verdict =
      match === MatchResult.allowed
        ? match
        : policy.observe(match, protocol, srcAddr, dstPort, nowMs);
    switch (verdict) {
      case MatchResult.noServer:
        return DropReason.noServer;
      case MatchResult.noOutboundRule:
        return DropReason.noOutboundRule;
      case MatchResult.noInboundRule:
        return DropReason.noInboundRule;
      default:
        return DropReason.none;
    }
  }

  /** Ends a flow. Returns whether both ends will be told. */
  cut(flow: FlowIndex, nowMs: number): boolean {
    const isNoted = this.#connections?.note(this.#table, flow) ?? false;
    this.#table.end(flow, DropReason.policyCut, nowMs);
    this.#counters[Counter.flowsCut]! += 1;
    return isNoted;
  }

  /** Visits idle flows of older epochs, at most `budget` records. */
  sweep(budget: number, nowMs: number): void {
    const { control, hot } = this.#table;
    const epoch = this.#policy.epoch;
    let remaining = control[Control.sweepRemaining]!;
    if (remaining === 0) return;
    let flow = control[Control.sweepCursor]! as FlowIndex;
    for (let visited = 0; visited < budget && remaining > 0; visited++) {
      const record = flow << hotShift;
      const inUse = (hot[record + Hot.state]! & StateBits.inUse) !== 0;
      if (inUse && isOlder(hot[record + Hot.epoch]!, epoch) && !this.stillAllowed(flow, nowMs)) {
        this.cut(flow, nowMs);
      }
      flow = (flow + 1) as FlowIndex;
      remaining--;
    }
    // A round that met no draining flow is the last one. The deadline alone does not tell: a round takes several
    // ticks.
    if (remaining === 0 && this.#spared) {
      this.#spared = false;
      remaining = control[Control.firstFresh]! - 1;
      flow = 1 as FlowIndex;
    }
    control[Control.sweepCursor] = flow;
    control[Control.sweepRemaining] = remaining;
  }
}
