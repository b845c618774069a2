/**
 * TCP flow tracking: what a segment does to its flow, and whether it may pass.
 *
 * The rules are those of Linux (net/netfilter/nf_conntrack_proto_tcp.c, 6.18): the state table of tcp-state.ts, around it
 * the repairs for ends that know more than we do (ignored SYNs, challenge ACKs), the rules for RSTs of tcp-reset.ts, and the
 * window check of tcp-window.ts. A segment that fails the window check changes nothing:
 * too old, it passes for the other end to discard; too new, it is dropped.
 *
 * A super-packet is one segment, with its true sequence length.
 */
import { DropReason } from '../wire/drop-reason.ts';
import { TcpFlag } from '../wire/headers.ts';
import type { Packet } from '../wire/packet.ts';
import { FlowEvent } from './flow-events.ts';
import { EvictionClass, FlowList, evictionClassOfList, listOfState } from './flow-lists.ts';
import {
  Cold,
  FlowState,
  Hot,
  StateBits,
  TcpBits,
  coldWords,
  extentOf,
  hotShift,
  lastClass,
  lastDirection,
  lastEnd,
  lastWindow,
} from './flow-record.ts';
import type { FlowIndex } from './flow-record.ts';
import type { FlowTable } from './flow-table.ts';
import { Reset, followsSyn, isOfConnectionBefore, judgeReset } from './tcp-reset.ts';
import { SegmentClass, classifySegment, nextTcpState, tcpIgnore, tcpInvalid } from './tcp-state.ts';
import { TcpWindow, Window, earlierSynEnd, readOptions, segmentEnd } from './tcp-window.ts';

/** Returned by {@link TcpTracker.track}: the flow is over and this SYN opens the next one of the same ports. */
export const tcpReopen = -1;

/** After this many identical ACK segments in a row the shorter timeout applies (nf_conntrack_tcp_max_retrans). */
const maxRetransmits = 3;

/**
 * A segment that an ICMP error quotes may be at least this far behind the highest sequence sent, even if the window
 * is smaller.
 */
const minimumQuoteWindow = 66_000;

/** An out-of-window FIN or RST shortens only timeouts that have at least this long to go. */
const shortenAboveMs = 120_000;

export interface TcpTrackerOptions {
  /** Pick up connections in mid-stream. */
  readonly loose: boolean;
  /** Let out-of-window segments other than RST pass. */
  readonly liberal: boolean;
}

export class TcpTracker {
  readonly #table: FlowTable;
  readonly #hot: Int32Array;
  readonly #cold: Int32Array;
  readonly #window: TcpWindow;
  readonly #loose: boolean;

  constructor(table: FlowTable, options: TcpTrackerOptions) {
    this.#table = table;
    this.#hot = table.hot;
    this.#cold = table.cold;
    this.#loose = options.loose;
    this.#window = new TcpWindow(table, options.liberal);
  }

  /** Whether a segment without a flow may open one, if the policy allows it. */
  mayOpen(flags: number): boolean {
    const next = nextTcpState(0, classifySegment(flags), FlowState.none);
    return next === FlowState.synSent || (next === FlowState.established && this.#loose);
  }

  /** Sets up a flow that was just inserted from the segment that opened it; `track` must follow. */
  open(flow: FlowIndex, packet: Packet, bytes: Uint8Array): void {
    const hot = this.#hot;
    const record = flow << hotShift;
    const end = segmentEnd(packet);
    const window = packet.window === 0 ? 1 : packet.window;
    hot[record + Hot.end] = end;
    hot[record + Hot.maxWindow] = window;
    hot[record + Hot.tcp] = SegmentClass.none << TcpBits.lastClassShift;
    if ((packet.tcpFlags & TcpFlag.syn) !== 0) {
      hot[record + Hot.maxEnd] = end;
      this.#window.setSynOptions(record, 0, readOptions(packet, bytes));
      return;
    }
    // Picked up in mid-stream: the handshake's options are lost, so SACK is assumed and windows are not held against it.
    hot[record + Hot.maxEnd] = (end + window) | 0;
    hot[record + Hot.tcp]! |=
      TcpBits.sackPermitted |
      (TcpBits.sackPermitted << 1) |
      TcpBits.liberal |
      (TcpBits.liberal << 1);
  }

  /**
   * Judges a segment of a flow and moves the flow on.
   *
   * @param direction 0 original, 1 reply
   * @returns a drop reason (`none` passes), or {@link tcpReopen}. The flow may be gone after `none`: an RST that is the only
   *   reply removes it.
   */
  track(
    flow: FlowIndex,
    direction: number,
    packet: Packet,
    bytes: Uint8Array,
    nowMs: number,
  ): number {
    const hot = this.#hot;
    const record = flow << hotShift;
    const oldState = hot[record + Hot.state]! & StateBits.stateMask;
    const segment = classifySegment(packet.tcpFlags);
    let newState = nextTcpState(direction, segment, oldState);

    if (newState === tcpInvalid) return DropReason.invalidState;
    if (newState === FlowState.synSent && oldState >= FlowState.timeWait) {
      if (this.#isOver(record)) return tcpReopen;
      newState = tcpIgnore;
    }
    if (newState === tcpIgnore) {
      if (!this.#answersRememberedSyn(flow, direction, segment, packet)) {
        this.#remember(flow, oldState, direction, segment, packet, bytes);
        this.#markSeen(record, direction);
        return DropReason.none;
      }
      // The two ends are in step and the tracked state is not: continue from the SYN that was passed.
      this.#resynchronise(flow, direction);
      newState = FlowState.synRecv;
    } else if (newState === FlowState.close && segment === SegmentClass.rst) {
      return this.#trackReset(flow, direction, packet, bytes, oldState, nowMs);
    } else if (
      newState === FlowState.timeWait &&
      this.#isChallengeAck(record, direction, segment, oldState)
    ) {
      hot[record + Hot.tcp]! &= ~TcpBits.expectChallengeAck;
      this.#markSeen(record, direction);
      return DropReason.none;
    } else if (newState === FlowState.synSent2) {
      hot[record + Hot.tcp]! |= TcpBits.simultaneousOpen;
    } else if (
      newState === FlowState.synRecv &&
      direction === 1 &&
      segment === SegmentClass.ack &&
      (hot[record + Hot.tcp]! & TcpBits.simultaneousOpen) !== 0
    ) {
      newState = FlowState.established;
    }

    const verdict = this.#window.check(flow, direction, segment, packet, bytes, oldState);
    if (verdict !== Window.accept) {
      return this.#outsideWindow(flow, direction, segment, verdict, nowMs);
    }
    return this.#advance(flow, direction, segment, oldState, newState, nowMs);
  }

  /** Keeps a connection alive that the kernel carries, on the list of its last segment. */
  refreshCarried(flow: FlowIndex, seenMs: number): void {
    const direction = lastDirection(this.#hot[(flow << hotShift) + Hot.tcp]!);
    const list = this.#listFor(flow, direction, SegmentClass.ack, FlowState.established, true);
    this.#table.refresh(flow, FlowState.established, list, seenMs);
  }

  /**
   * Whether `direction` may have a segment with this sequence number under way (RFC 5927 section 4.1): not beyond what it has
   * sent, and at most two windows behind (one may be overrun by as much again); or exactly that of the last segment,
   * which may have been passed without being believed. Of a connection that was picked up in mid-stream any: with windows of
   * unknown scale most of what it sends is beyond what can be believed, and its path MTU must still be found.
   */
  isUnderWay(flow: FlowIndex, direction: number, sequence: number): boolean {
    const record = flow << hotShift;
    if ((this.#hot[record + Hot.tcp]! & (TcpBits.liberal << direction)) !== 0) return true;
    const window = this.#hot[record + Hot.maxWindow + (direction ^ 1)]! >>> 0;
    const behind = (this.#hot[record + Hot.end + direction]! - sequence) | 0;
    if (behind >= 0 && behind <= 2 * Math.max(window, minimumQuoteWindow)) return true;
    if (direction === 0 && this.#isEarlierSyn(flow, sequence)) return true;
    return (
      lastDirection(this.#hot[record + Hot.tcp]!) === direction &&
      this.#cold[flow * coldWords + Cold.lastSequence] === sequence
    );
  }

  /** Whether this is the number of a SYN that the opener sent before its last one, and that may still be answered. */
  #isEarlierSyn(flow: FlowIndex, sequence: number): boolean {
    const state = this.#hot[(flow << hotShift) + Hot.state]! & StateBits.stateMask;
    if (state !== FlowState.synSent) return false;
    return earlierSynEnd(this.#hot, this.#cold, flow) === ((sequence + 1) | 0);
  }

  /** An RST of a flow; kept apart so that the path of all other segments stays short. */
  #trackReset(
    flow: FlowIndex,
    direction: number,
    packet: Packet,
    bytes: Uint8Array,
    oldState: number,
    nowMs: number,
  ): number {
    const hot = this.#hot;
    const record = flow << hotShift;
    const segment = SegmentClass.rst;
    const judged = judgeReset(hot, this.#cold, flow, direction, packet, oldState);
    if (judged === Reset.invalid) return DropReason.outOfWindow;
    if (judged === Reset.ignored) return DropReason.none;
    if (judged !== Reset.closes) {
      const verdict = this.#window.check(flow, direction, segment, packet, bytes, oldState);
      if (verdict !== Window.accept) {
        return this.#outsideWindow(flow, direction, segment, verdict, nowMs);
      }
    }
    if (!isOfConnectionBefore(hot, this.#cold, flow, direction, packet)) {
      this.#setLast(record, direction, segment);
    }
    if ((hot[record + Hot.state]! & StateBits.seenReply) === 0) {
      // An RST as the only answer, or a reset by the opener: there is nothing left to wait for.
      this.#table.account(flow, direction, packet.totalLength);
      this.#table.remove(flow, FlowEvent.reset, nowMs);
      return DropReason.none;
    }
    const newState = judged === Reset.keepsState ? oldState : FlowState.close;
    // The opener has reset it: its next SYN opens a new connection, whatever stray segments come before.
    if (newState === FlowState.close && direction === 0) {
      hot[record + Hot.tcp]! |= TcpBits.closeInit;
    }
    return this.#advance(flow, direction, segment, oldState, newState, nowMs);
  }

  #outsideWindow(
    flow: FlowIndex,
    direction: number,
    segment: number,
    verdict: number,
    nowMs: number,
  ): number {
    if (verdict === Window.ignore) {
      this.#markSeen(flow << hotShift, direction);
      return DropReason.none;
    }
    this.#noteInvalidClose(flow, direction, segment, nowMs);
    return DropReason.outOfWindow;
  }

  /** The segment is accepted: new state, timeout, and what the flow is now known to be. */
  #advance(
    flow: FlowIndex,
    direction: number,
    segment: number,
    oldState: number,
    newState: number,
    nowMs: number,
  ): number {
    const hot = this.#hot;
    const record = flow << hotShift;
    // For an RST this was decided above.
    if (segment !== SegmentClass.rst) this.#setLast(record, direction, segment);
    const seenReply = (hot[record + Hot.state]! & StateBits.seenReply) !== 0;
    if (newState === FlowState.finWait && oldState !== newState) {
      hot[record + Hot.tcp]! |= TcpBits.closeInit << direction;
    }
    if (!seenReply && segment === SegmentClass.syn && oldState === FlowState.synSent) {
      // A retransmitted SYN does not keep a half-open flow alive.
      this.#table.setState(flow, newState);
      this.#markSeen(record, direction);
      return DropReason.none;
    }
    if (
      seenReply &&
      (oldState === FlowState.synRecv || oldState === FlowState.established) &&
      newState === FlowState.established
    ) {
      hot[record + Hot.state]! |= StateBits.assured;
    }
    const list = this.#listFor(flow, direction, segment, newState, seenReply);
    this.#table.refresh(flow, newState, list, nowMs);
    this.#markSeen(record, direction);
    return DropReason.none;
  }

  /**
   * Which timeout applies to an accepted segment. Only a conversation moves to the lists of retransmission and of
   * unacknowledged data: on them it is protected from eviction, and with a SYN_RECV timeout longer than theirs every half-open
   * flow of a flood would be.
   */
  #listFor(
    flow: FlowIndex,
    direction: number,
    segment: number,
    newState: number,
    seenReply: boolean,
  ): number {
    // Picked up in mid-stream and not answered yet: no more a conversation than a SYN is. Linux gives it the timeout
    // of unacknowledged data; here that would protect a flood of ACKs from eviction.
    const unanswered = !seenReply && direction === 0;
    if (unanswered && newState === FlowState.established) return FlowList.tcpSynSent;
    const tcp = this.#hot[(flow << hotShift) + Hot.tcp]!;
    const timeouts = this.#table.configuredMs;
    const list = listOfState[newState]!;
    const timeout = timeouts[list]!;
    const shorterRetransmit = timeout > timeouts[FlowList.tcpRetransmitted]!;
    const shorterUnacknowledged = timeout > timeouts[FlowList.tcpUnacknowledged]!;
    const retransmits = (tcp & TcpBits.retransmitsMask) >> TcpBits.retransmitsShift;
    if (evictionClassOfList[list] !== EvictionClass.established) {
      return segment === SegmentClass.rst ? FlowList.tcpClose : list;
    }
    if (shorterRetransmit && retransmits >= maxRetransmits) return FlowList.tcpRetransmitted;
    if (segment === SegmentClass.rst) return FlowList.tcpClose;
    const unacknowledged = TcpBits.unacknowledged | (TcpBits.unacknowledged << 1);
    // The first answer to what was picked up counts like data that nobody has acknowledged.
    if (shorterUnacknowledged && ((tcp & unacknowledged) !== 0 || !seenReply)) {
      return FlowList.tcpUnacknowledged;
    }
    // The receiver has closed its window.
    if (shorterRetransmit && lastWindow(this.#cold, flow * coldWords) === 0) {
      return FlowList.tcpRetransmitted;
    }
    return list;
  }

  #markSeen(record: number, direction: number): void {
    if (direction === 1) this.#hot[record + Hot.state]! |= StateBits.seenReply;
  }

  #setLast(record: number, direction: number, segment: number): void {
    const kept =
      this.#hot[record + Hot.tcp]! & ~(TcpBits.lastClassMask | TcpBits.lastDirectionMask);
    this.#hot[record + Hot.tcp] =
      kept | (segment << TcpBits.lastClassShift) | (direction << TcpBits.lastDirectionShift);
  }

  /** A SYN in TIME_WAIT or CLOSE: was the connection really closed, by a FIN or by an RST of its opener? */
  #isOver(record: number): boolean {
    const closeInit = TcpBits.closeInit | (TcpBits.closeInit << 1);
    return (this.#hot[record + Hot.tcp]! & closeInit) !== 0;
  }

  /** A SYN+ACK that acknowledges the SYN of the other side that was ignored last. */
  #answersRememberedSyn(
    flow: FlowIndex,
    direction: number,
    segment: number,
    packet: Packet,
  ): boolean {
    const record = flow << hotShift;
    return (
      segment === SegmentClass.synAck &&
      followsSyn(this.#hot[record + Hot.tcp]!, direction) &&
      packet.acknowledgment === lastEnd(this.#cold, flow * coldWords)
    );
  }

  /** Remembers an ignored segment, in case the other end answers it. */
  #remember(
    flow: FlowIndex,
    oldState: number,
    direction: number,
    segment: number,
    packet: Packet,
    bytes: Uint8Array,
  ): void {
    const hot = this.#hot;
    const cold = this.#cold;
    const record = flow << hotShift;
    const coldRecord = flow * coldWords;
    this.#setLast(record, direction, segment);
    cold[coldRecord + Cold.lastSequence] = packet.sequence;
    const length = segmentEnd(packet) - packet.sequence;
    cold[coldRecord + Cold.lastExtent] = extentOf(length, packet.window);
    if (segment === SegmentClass.syn && direction === 0) {
      const options = readOptions(packet, bytes);
      hot[record + Hot.state] =
        (hot[record + Hot.state]! & ~StateBits.rememberedSynMask) |
        (options << StateBits.rememberedSynShift);
      hot[record + Hot.tcp]! &= ~(TcpBits.expectChallengeAck | TcpBits.simultaneousOpen);
      if (oldState === FlowState.lastAck) hot[record + Hot.tcp]! |= TcpBits.expectChallengeAck;
    }
    if (oldState === FlowState.synSent && segment === SegmentClass.ack && direction === 1) {
      cold[coldRecord + Cold.lastAck] = packet.acknowledgment;
    }
  }

  /** Restarts tracking from the remembered SYN, whose SYN+ACK goes in `direction`. */
  #resynchronise(flow: FlowIndex, direction: number): void {
    const hot = this.#hot;
    const cold = this.#cold;
    const record = flow << hotShift;
    const coldRecord = flow * coldWords;
    const opener = direction ^ 1;
    const end = lastEnd(cold, coldRecord);
    const window = lastWindow(cold, coldRecord);
    const options =
      (hot[record + Hot.state]! & StateBits.rememberedSynMask) >> StateBits.rememberedSynShift;
    hot[record + Hot.end + opener] = end;
    hot[record + Hot.maxEnd + opener] = end;
    hot[record + Hot.maxWindow + opener] = window === 0 ? 1 : window;
    hot[record + Hot.end + direction] = 0;
    hot[record + Hot.maxEnd + direction] = 0;
    hot[record + Hot.maxWindow + direction] = 0;
    cold[coldRecord + Cold.maxAck + direction] = 0;
    const kept =
      TcpBits.lastClassMask |
      TcpBits.lastDirectionMask |
      TcpBits.retransmitsMask |
      TcpBits.simultaneousOpen;
    hot[record + Hot.tcp]! &= kept;
    this.#window.setSynOptions(record, opener, options);
  }

  /** In LAST_ACK, the ACK that answers a stray SYN does not acknowledge the FIN. */
  #isChallengeAck(record: number, direction: number, segment: number, oldState: number): boolean {
    return (
      oldState === FlowState.lastAck &&
      segment === SegmentClass.ack &&
      followsSyn(this.#hot[record + Hot.tcp]!, direction) &&
      (this.#hot[record + Hot.tcp]! & TcpBits.expectChallengeAck) !== 0
    );
  }

  /** A FIN or RST out of window: the two ends may be done with each other, so do not keep the flow for days. */
  #noteInvalidClose(flow: FlowIndex, direction: number, segment: number, nowMs: number): void {
    if (segment !== SegmentClass.rst && segment !== SegmentClass.fin) return;
    const record = flow << hotShift;
    if ((this.#hot[record + Hot.state]! & StateBits.assured) === 0) return;
    const tcp = this.#hot[record + Hot.tcp]!;
    const last = lastClass(tcp);
    const bothSides =
      lastDirection(tcp) !== direction && (last === SegmentClass.fin || last === SegmentClass.rst);
    if (!bothSides) {
      this.#setLast(record, direction, segment);
      return;
    }
    const list = (this.#hot[record + Hot.state]! & StateBits.listMask) >> StateBits.listShift;
    const idleMs = (nowMs - this.#hot[record + Hot.lastRefresh]!) | 0;
    const leftMs = this.#table.configuredMs[list]! - idleMs;
    const shorterMs = this.#table.configuredMs[FlowList.tcpUnacknowledged]!;
    if (leftMs < shortenAboveMs || leftMs <= shorterMs) return;
    this.#hot[record + Hot.lastRefresh] = nowMs;
    this.#table.moveToList(flow, FlowList.tcpUnacknowledged, nowMs);
  }
}
