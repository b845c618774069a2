/**
 * Which segments of a connection are believed: van Rooij's window check ("Real Stateful TCP Packet Filtering in IP Filter",
 * 2000) as Linux has it (nf_conntrack_proto_tcp.c, tcp_in_window), and what an accepted segment teaches about both sides.
 *
 * For each direction the flow knows the highest sequence sent (`end`), the highest that the other side's window admits
 * (`maxEnd`) and the largest window offered (`maxWindow`).
 */
import { Tcp, TcpFlag } from '../wire/headers.ts';
import type { Packet } from '../wire/packet.ts';
import { isAfter, isBefore } from '../wire/sequence.ts';
import {
  highestSack,
  readSynOptions,
  synSackPermitted,
  synWindowScale,
} from '../wire/tcp-options.ts';
import {
  Cold,
  FlowState,
  Hot,
  StateBits,
  TcpBits,
  coldWords,
  extentOf,
  hotShift,
} from './flow-record.ts';
import type { FlowIndex } from './flow-record.ts';
import type { FlowTable } from './flow-table.ts';
import { SegmentClass } from './tcp-state.ts';

/** Lower bound of an acceptable ACK: at least this far behind (MAXACKWINCONST). */
export const minimumAckWindow = 66_000;

/** What the check decides about a segment: believe it, pass it without believing it, drop it. */
export const Window = { accept: 0, ignore: 1, invalid: 2 } as const;

export class TcpWindow {
  readonly #hot: Int32Array;
  readonly #cold: Int32Array;
  readonly #liberal: boolean;

  /** @param liberal let out-of-window segments other than RST pass */
  constructor(table: FlowTable, liberal: boolean) {
    this.#hot = table.hot;
    this.#cold = table.cold;
    this.#liberal = liberal;
  }

  /** Stores what a SYN of `direction` offers, as returned by readSynOptions. */
  setSynOptions(record: number, direction: number, options: number): void {
    const scaleShift = direction * TcpBits.scaleShift;
    let tcp = this.#hot[record + Hot.tcp]!;
    tcp &= ~(TcpBits.scaleMask << scaleShift);
    tcp &= ~((TcpBits.sackPermitted | TcpBits.windowScale) << direction);
    tcp |= (options & 15) << scaleShift;
    if ((options & synWindowScale) !== 0) tcp |= TcpBits.windowScale << direction;
    if ((options & synSackPermitted) !== 0) tcp |= TcpBits.sackPermitted << direction;
    this.#hot[record + Hot.tcp] = tcp;
  }

  /** First SYN or SYN+ACK of a side, or a later one that replaces it. */
  #startSide(
    record: number,
    direction: number,
    packet: Packet,
    bytes: Uint8Array,
    end: number,
  ): void {
    const hot = this.#hot;
    hot[record + Hot.end + direction] = end;
    hot[record + Hot.maxEnd + direction] = end;
    hot[record + Hot.maxWindow + direction] = packet.window === 0 ? 1 : packet.window;
    // A restarted side has neither acknowledged nor sent anything.
    hot[record + Hot.tcp]! &= ~(
      (TcpBits.unacknowledged | TcpBits.maxAckSet | TcpBits.closeInit) <<
      direction
    );
    this.setSynOptions(record, direction, readOptions(packet, bytes));
    // Both sides must offer scaling for either to use it (RFC 7323 section 1.3); the opener's SYN is not yet answered.
    const both = TcpBits.windowScale | (TcpBits.windowScale << 1);
    if (direction === 1 && (hot[record + Hot.tcp]! & both) !== both) {
      hot[record + Hot.tcp]! &= ~0xff;
    }
  }

  /**
   * Whether a SYN begins its side again. A restarted TCP only has to use higher sequence numbers (RFC 9293 section 3.4.1).
   * Before the first answer nothing is synchronised (section 3.10.7), and the opener may choose any other number.
   */
  #beginsAgain(
    record: number,
    direction: number,
    hasAck: boolean,
    oldState: number,
    end: number,
  ): boolean {
    const known = this.#hot[record + Hot.end + direction]!;
    if (oldState === FlowState.synSent && direction === 0 && !hasAck) return end !== known;
    return (
      (oldState === FlowState.synSent || oldState === FlowState.synRecv) && isAfter(end, known)
    );
  }

  /** Notes the opener's SYN before another one takes its place: it may still be the one that is answered. */
  #rememberSyn(flow: FlowIndex): void {
    const hot = this.#hot;
    const record = flow << hotShift;
    const tcp = hot[record + Hot.tcp]!;
    let options = tcp & TcpBits.scaleMask;
    if ((tcp & TcpBits.windowScale) !== 0) options |= synWindowScale;
    if ((tcp & TcpBits.sackPermitted) !== 0) options |= synSackPermitted;
    hot[record + Hot.state] =
      (hot[record + Hot.state]! & ~StateBits.rememberedSynMask) |
      (options << StateBits.rememberedSynShift);
    hot[record + Hot.tcp]! |= TcpBits.earlierSyn;
    this.#cold[flow * coldWords + Cold.maxAck] = hot[record + Hot.end]!;
  }

  /** The first SYN+ACK says which of the opener's last two SYNs it answers. */
  #chooseSyn(flow: FlowIndex, ack: number): void {
    const hot = this.#hot;
    const record = flow << hotShift;
    const earlierEnd = earlierSynEnd(hot, this.#cold, flow);
    if (ack !== earlierEnd || ack === hot[record + Hot.end]) return;
    hot[record + Hot.end] = ack;
    hot[record + Hot.maxEnd] = ack;
    const options =
      (hot[record + Hot.state]! & StateBits.rememberedSynMask) >> StateBits.rememberedSynShift;
    this.setSynOptions(record, 0, options);
  }

  /**
   * Van Rooij's four conditions, and what an acceptable segment teaches about both sides.
   *
   * All numbers are 32-bit and wrap; `(a - b) | 0` is the signed distance from b to a.
   */
  check(
    flow: FlowIndex,
    direction: number,
    segment: number,
    packet: Packet,
    bytes: Uint8Array,
    oldState: number,
  ): number {
    const hot = this.#hot;
    const record = flow << hotShift;
    const receiver = direction ^ 1;
    const flags = packet.tcpFlags;
    const isSyn = (flags & TcpFlag.syn) !== 0;
    const hasAck = (flags & TcpFlag.ack) !== 0;
    let sequence = packet.sequence;
    let end = segmentEnd(packet);
    let ack = packet.acknowledgment;
    let sack = ack;
    if ((hot[record + Hot.tcp]! & (TcpBits.sackPermitted << receiver)) !== 0) {
      const options = packet.l4Offset + Tcp.options;
      sack = highestSack(bytes, options, packet.l4Offset + packet.tcpHeaderLength, ack);
    }

    if (hot[record + Hot.maxWindow + direction] === 0) {
      if (isSyn) {
        if (hasAck && oldState === FlowState.synSent) {
          this.#chooseSyn(flow, ack);
          const unanswered = (hot[record + Hot.end + receiver]! - ack) | 0;
          // It does not answer the SYN: it is of another connection of these ports, and begins nothing in this one.
          if (unanswered < 0) return Window.invalid;
          if (unanswered > minimumAckWindow) return Window.ignore;
        }
        this.#startSide(record, direction, packet, bytes, end);
        if (!hasAck) return Window.accept; // simultaneous open
      } else {
        // This side's handshake was not seen: believe the segment.
        const scale =
          (hot[record + Hot.tcp]! >> (direction * TcpBits.scaleShift)) & TcpBits.scaleMask;
        const scaled = packet.window << scale;
        hot[record + Hot.end + direction] = end;
        hot[record + Hot.maxWindow + direction] = scaled === 0 ? 1 : scaled;
        hot[record + Hot.maxEnd + direction] = (end + (scaled === 0 ? 1 : scaled)) | 0;
        if (hot[record + Hot.maxWindow + receiver] === 0) {
          hot[record + Hot.end + receiver] = sack;
          hot[record + Hot.maxEnd + receiver] = sack;
        } else if (sack === ((hot[record + Hot.end + receiver]! + 1) | 0)) {
          hot[record + Hot.end + receiver] = sack; // most likely it answers a keepalive
        }
      }
    } else if (isSyn && this.#beginsAgain(record, direction, hasAck, oldState, end)) {
      if (oldState === FlowState.synSent && direction === 0) this.#rememberSyn(flow);
      this.#startSide(record, direction, packet, bytes, end);
      if (direction === 1 && !hasAck) return Window.accept;
    }

    const receiverEnd = hot[record + Hot.end + receiver]!;
    if (!hasAck || ((flags & TcpFlag.rst) !== 0 && ack === 0)) {
      // No acknowledgment, or a stack that sets ACK with a zero value in an RST: nothing to hold against it.
      ack = receiverEnd;
      sack = receiverEnd;
    }
    const senderEnd = hot[record + Hot.end + direction]!;
    if ((flags & TcpFlag.rst) !== 0 && sequence === 0 && oldState === FlowState.synSent) {
      sequence = senderEnd; // an RST that answers a SYN
      end = senderEnd;
    }

    const outside = this.#outside(record, direction, sequence, end, sack);
    if (outside !== Window.accept) {
      // Picked up in mid-stream: how the windows are scaled is not known, so that not even an RST can be held against them.
      if ((hot[record + Hot.tcp]! & (TcpBits.liberal << direction)) !== 0) return Window.accept;
      return this.#liberal && (flags & TcpFlag.rst) === 0 ? Window.accept : outside;
    }
    this.#learn(flow, direction, segment, packet, sequence, end, ack, sack);
    return Window.accept;
  }

  /** Conditions I to IV; which one fails decides whether the segment is dropped or only not believed. */
  #outside(record: number, direction: number, sequence: number, end: number, sack: number): number {
    const hot = this.#hot;
    const receiver = direction ^ 1;
    const senderEnd = hot[record + Hot.end + direction]!;
    const senderMaxEnd = hot[record + Hot.maxEnd + direction]!;
    // Windows are unsigned.
    const senderMaxWindow = hot[record + Hot.maxWindow + direction]! >>> 0;
    const receiverEnd = hot[record + Hot.end + receiver]!;
    const receiverMaxWindow = hot[record + Hot.maxWindow + receiver]! >>> 0;
    const ackWindow = senderMaxWindow > minimumAckWindow ? senderMaxWindow : minimumAckWindow;
    const ackNotTooNew = isBefore(sack, receiverEnd + 1);
    const ackNotTooOld = isAfter(sack, receiverEnd - ackWindow - 1);
    const endNotTooOld = isAfter(end, senderEnd - receiverMaxWindow - 1);

    if (!isBefore(sequence, senderMaxEnd + 1)) {
      const overshoot = (end - senderMaxEnd + 1) >>> 0;
      if (
        receiverMaxWindow !== 0 &&
        endNotTooOld &&
        ackNotTooOld &&
        ackNotTooNew &&
        overshoot <= receiverMaxWindow
      ) {
        // A sender that overruns the window a little: pass it, and remember its end in case the peer acknowledges it.
        hot[record + Hot.end + direction] = end;
        hot[record + Hot.tcp]! |= TcpBits.unacknowledged << direction;
        return Window.ignore;
      }
      return Window.invalid;
    }
    if (!ackNotTooNew) return Window.invalid;
    if (receiverMaxWindow !== 0 && !endNotTooOld) return Window.ignore;
    return ackNotTooOld ? Window.accept : Window.ignore;
  }

  #learn(
    flow: FlowIndex,
    direction: number,
    segment: number,
    packet: Packet,
    sequence: number,
    end: number,
    ack: number,
    sack: number,
  ): void {
    const hot = this.#hot;
    const cold = this.#cold;
    const record = flow << hotShift;
    const coldRecord = flow * coldWords;
    const receiver = direction ^ 1;
    let tcp = hot[record + Hot.tcp]!;
    let window = packet.window;
    if ((packet.tcpFlags & TcpFlag.syn) === 0) {
      window <<= (tcp >> (direction * TcpBits.scaleShift)) & TcpBits.scaleMask;
    }

    const seenWindow = (window + ((sack - ack) | 0)) >>> 0;
    if (hot[record + Hot.maxWindow + direction]! >>> 0 < seenWindow) {
      hot[record + Hot.maxWindow + direction] = seenWindow;
    }
    if (isAfter(end, hot[record + Hot.end + direction]!)) {
      hot[record + Hot.end + direction] = end;
      tcp |= TcpBits.unacknowledged << direction;
    }
    if ((packet.tcpFlags & TcpFlag.ack) !== 0) {
      const maxAckAt = coldRecord + Cold.maxAck + direction;
      if ((tcp & (TcpBits.maxAckSet << direction)) === 0) {
        cold[maxAckAt] = ack;
        tcp |= TcpBits.maxAckSet << direction;
      } else if (isAfter(ack, cold[maxAckAt]!)) {
        cold[maxAckAt] = ack;
      }
    }

    const maxEnd = hot[record + Hot.maxEnd + direction]!;
    if (hot[record + Hot.maxWindow + receiver] !== 0 && isAfter(end, maxEnd)) {
      hot[record + Hot.maxWindow + receiver]! += (end - maxEnd) | 0;
    }
    const admits = (sack + window) | 0;
    if (isAfter(admits, hot[record + Hot.maxEnd + receiver]! - 1)) {
      hot[record + Hot.maxEnd + receiver] = window === 0 ? (admits + 1) | 0 : admits;
    }
    if (ack === hot[record + Hot.end + receiver]) tcp &= ~(TcpBits.unacknowledged << receiver);

    if (segment === SegmentClass.ack) {
      const extent = extentOf(end - sequence, packet.window);
      const same =
        (tcp & TcpBits.lastDirectionMask) >>> TcpBits.lastDirectionShift === direction &&
        cold[coldRecord + Cold.lastSequence] === sequence &&
        cold[coldRecord + Cold.lastAck] === ack &&
        cold[coldRecord + Cold.lastExtent] === extent;
      if (same) {
        if ((tcp & TcpBits.retransmitsMask) !== TcpBits.retransmitsMask) {
          tcp += 1 << TcpBits.retransmitsShift;
        }
      } else {
        tcp &= ~TcpBits.retransmitsMask;
        tcp = (tcp & ~TcpBits.lastDirectionMask) | (direction << TcpBits.lastDirectionShift);
        cold[coldRecord + Cold.lastSequence] = sequence;
        cold[coldRecord + Cold.lastAck] = ack;
        cold[coldRecord + Cold.lastExtent] = extent;
      }
    }
    hot[record + Hot.tcp] = tcp;
  }
}

/** In SYN_SENT: sequence number behind the SYN that the opener sent before its last one; that of the last one if there is none. */
export function earlierSynEnd(hot: Int32Array, cold: Int32Array, flow: FlowIndex): number {
  const record = flow << hotShift;
  const hasEarlier = (hot[record + Hot.tcp]! & TcpBits.earlierSyn) !== 0;
  return hasEarlier ? cold[flow * coldWords + Cold.maxAck]! : hot[record + Hot.end]!;
}

/** Sequence number behind the segment: SYN and FIN count (RFC 9293 section 3.4). */
export function segmentEnd(packet: Packet): number {
  const flags = packet.tcpFlags;
  const payload = packet.l4Length - packet.tcpHeaderLength;
  return (packet.sequence + payload + ((flags >> 1) & 1) + (flags & 1)) | 0;
}

/** Whether a segment acknowledges all before the sequence number `end`, and no more. */
export function acknowledges(packet: Packet, end: number): boolean {
  return (packet.tcpFlags & TcpFlag.ack) !== 0 && packet.acknowledgment === end;
}

/** Options of a SYN, as returned by readSynOptions. */
export function readOptions(packet: Packet, bytes: Uint8Array): number {
  const options = packet.l4Offset + Tcp.options;
  return readSynOptions(bytes, options, packet.l4Offset + packet.tcpHeaderLength);
}
