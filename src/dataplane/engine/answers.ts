/**
 * Reject instead of drop: what the firewall answers to packets that it drops, and to both ends of a connection that it cuts.
 *
 * A packet for which a rule is missing, and a segment of a connection that was cut or killed, is answered if its server rejects:
 * with an RST (RFC 9293 section 3.10.7.1) or ICMP type 3 code 13. The packet stays dropped in every count. The answer has the
 * address of the packet's destination: the gateway's own would not get through a host's TUN (fib_validate_source refuses local
 * sources), and rp_filter of the sender expects replies from there anyway. So does the reject of Linux's bridges.
 *
 * What is never answered (RFC 1122 section 3.2.2, RFC 1812 section 4.3.2.7) does not come here: broken checksums, LAND, sources and
 * destinations that are not unicast are dropped by the parser, ICMP errors and replies before rules are asked, and a datagram is
 * judged when it is complete, by its first fragment. {@link isAnswerable} looks at the rest once more.
 *
 * Answers are slots behind the batch in hand, a bounded number of them, and nothing is allocated. The caller holds the lock.
 */
import type { FragmentStore } from '../flow/fragments.ts';
import { isIcmpRequest } from '../flow/icmp-query.ts';
import { Direction } from '../flow/flow-record.ts';
import { segmentEnd } from '../flow/tcp-window.ts';
import type { Matcher } from '../match/matcher.ts';
import {
  maxQuoteLength,
  quoteOffset,
  resetLength,
  writeProhibited,
  writeReset,
} from '../wire/answer.ts';
import { DropReason } from '../wire/drop-reason.ts';
import { Protocol, TcpFlag, VnetHeader } from '../wire/headers.ts';
import type { Packet } from '../wire/packet.ts';
import { copyBytes } from '../wire/readers.ts';
import { AnswerLimits, Limit } from './answer-limits.ts';
import { ConnectionWord } from './answer-memory.ts';
import type { AnswerMemory } from './answer-memory.ts';
import type { BatchTail } from './batch-tail.ts';
import { CaptureVerdict } from './capture-ring.ts';
import type { CaptureRingWriter } from './capture-ring.ts';
import { AnswerKind, AnswerOutcome, answerIndex } from './counters.ts';
import { CutConnections } from './cut-connections.ts';
import type { PacketBatch } from './engine-memory.ts';

/** Room that a batch needs for answers, beside that for fragments. */
export const answerSlots = 512;
export const answerBytes = 65_536;

/** Whether any host may answer it: an RST is never answered, and of ICMP only requests. */
function isAnswerable(packet: Packet): boolean {
  if (packet.protocol === Protocol.tcp) return (packet.tcpFlags & TcpFlag.rst) === 0;
  return packet.protocol !== Protocol.icmp || isIcmpRequest(packet.icmpType);
}

export class Answers {
  readonly cut: CutConnections;
  readonly #limits: AnswerLimits;
  readonly #bytes: Uint8Array;
  readonly #tail: BatchTail;
  readonly #counters: Float64Array;
  readonly #capture: CaptureRingWriter | undefined;
  #policy: Matcher;
  /** The packet in hand is to be answered. */
  #isDue = false;
  #capturing = 0;
  /** Of the batch in hand. */
  #slots = 0;
  #length = 0;

  constructor(
    memory: AnswerMemory,
    batch: PacketBatch,
    tail: BatchTail,
    counters: Float64Array,
    policy: Matcher,
    capture: CaptureRingWriter | undefined,
  ) {
    this.cut = new CutConnections(memory);
    this.#limits = new AnswerLimits(memory);
    this.#bytes = batch.bytes;
    this.#tail = tail;
    this.#counters = counters;
    this.#capture = capture;
    this.#policy = policy;
    this.setPolicy(policy);
  }

  setPolicy(policy: Matcher): void {
    this.#policy = policy;
    this.#limits.setRates(policy.answersPerSecond, policy.answersPerSource);
  }

  /** Starts a batch. @param capturing which verdicts are captured (CaptureVerdict) */
  begin(capturing: number): void {
    this.#isDue = false;
    this.#capturing = capturing;
    this.#slots = 0;
    this.#length = 0;
  }

  /** The packet is dropped for this reason by the policy's last match. */
  onRefused(reason: number): void {
    if (reason === DropReason.noOutboundRule) this.#isDue = this.#policy.rejectsOutbound;
    else if (reason === DropReason.noInboundRule) this.#isDue = this.#policy.rejectsInbound;
  }

  /** The packet is of a flow that was cut or killed. @param isReply it comes from the end that did not open the flow */
  onEnded({ protocol, srcAddr, dstAddr, tcpFlags }: Packet, isReply: boolean): void {
    if (protocol !== Protocol.tcp || (tcpFlags & TcpFlag.rst) !== 0) return;
    this.#isDue = isReply
      ? this.#policy.rejectsFlow(dstAddr, srcAddr)
      : this.#policy.rejectsFlow(srcAddr, dstAddr);
  }

  /**
   * The packet has cut its connection, whose ends will be told (CutConnections.note): its sender with the other one. But if it begins
   * another connection and passes, nobody is told.
   */
  onCutTold(reason: number): void {
    if (reason === DropReason.none) this.cut.forgetLast();
    this.#isDue = false;
  }

  /** Answers a packet of the batch that is dropped, if it is due. */
  answer(packet: Packet, nowMs: number): void {
    if (!this.#isDue) return;
    this.#isDue = false;
    if (packet.protocol === Protocol.tcp) {
      this.#answerSegment(packet, nowMs);
      return;
    }
    if (!this.#mayAnswer(packet, AnswerKind.icmp, quoteOffset + maxQuoteLength, nowMs)) return;
    const { ipOffset, totalLength } = packet;
    const length = totalLength < maxQuoteLength ? totalLength : maxQuoteLength;
    const bytes = this.#bytes;
    copyBytes(bytes, ipOffset, bytes, this.#tail.offset + quoteOffset, length);
    this.#sendProhibited(packet, length);
  }

  /** Answers a datagram in fragments, if it is due; `packet` was the last one to come. The first one is quoted. */
  answerDatagram(store: FragmentStore, datagram: number, packet: Packet, nowMs: number): void {
    if (!this.#isDue) return;
    if (packet.protocol === Protocol.tcp || packet.fragmentOffset === 0) {
      this.answer(packet, nowMs);
      return;
    }
    this.#isDue = false;
    if (!this.#mayAnswer(packet, AnswerKind.icmp, quoteOffset + maxQuoteLength, nowMs)) return;
    const at = this.#tail.offset + quoteOffset;
    const length = store.copyFirst(datagram, this.#bytes, at, maxQuoteLength);
    this.#sendProhibited(packet, length);
  }

  /** Sends RSTs to both ends of connections that were cut, as many as this batch has room for. */
  resetCut(nowMs: number): void {
    const { cut } = this;
    if (cut.waiting === 0) return;
    const lost = cut.takeLost();
    if (!this.#policy.rejectsAny) {
      cut.clear();
      return;
    }
    this.#counters[answerIndex(AnswerKind.rst, AnswerOutcome.noRoom)]! += 2 * lost;
    const { words } = cut;
    while (cut.waiting > 0 && this.#hasRoomFor(2, 2 * resetLength)) {
      const at = cut.take();
      const original = words[at + ConnectionWord.originalAddr]!;
      const reply = words[at + ConnectionWord.replyAddr]!;
      if (!this.#policy.rejectsFlow(original, reply)) continue;
      const ports = words[at + ConnectionWord.ports]!;
      const originalEnd = words[at + ConnectionWord.end]!;
      const replyEnd = words[at + ConnectionWord.end + 1]!;
      this.#resetEnd(reply, ports & 0xffff, original, ports >>> 16, replyEnd, originalEnd, nowMs);
      this.#resetEnd(original, ports >>> 16, reply, ports & 0xffff, originalEnd, replyEnd, nowMs);
    }
  }

  /** To one end of a connection, as the other one. All that was sent counts as received: most often that is so. */
  #resetEnd(
    srcAddr: number,
    srcPort: number,
    dstAddr: number,
    dstPort: number,
    sequence: number,
    acknowledgment: number,
    nowMs: number,
  ): void {
    if (!this.#limits.takeOwn(nowMs)) {
      this.#count(AnswerKind.rst, AnswerOutcome.gatewayLimit);
      return;
    }
    const at = this.#tail.offset;
    const flags = TcpFlag.rst | TcpFlag.ack;
    writeReset(
      this.#bytes,
      at,
      srcAddr,
      srcPort,
      dstAddr,
      dstPort,
      flags,
      sequence,
      acknowledgment,
    );
    this.#send(AnswerKind.rst, srcAddr, dstAddr, resetLength);
  }

  #answerSegment(packet: Packet, nowMs: number): void {
    if (!this.#mayAnswer(packet, AnswerKind.rst, resetLength, nowMs)) return;
    const { srcAddr, srcPort, dstAddr, dstPort, tcpFlags, acknowledgment } = packet;
    const hasAck = (tcpFlags & TcpFlag.ack) !== 0;
    const flags = hasAck ? TcpFlag.rst : TcpFlag.rst | TcpFlag.ack;
    writeReset(
      this.#bytes,
      this.#tail.offset,
      dstAddr,
      dstPort,
      srcAddr,
      srcPort,
      flags,
      hasAck ? acknowledgment : 0,
      hasAck ? 0 : segmentEnd(packet),
    );
    this.#send(AnswerKind.rst, dstAddr, srcAddr, resetLength);
  }

  #sendProhibited({ srcAddr, dstAddr }: Packet, quoteLength: number): void {
    const length = writeProhibited(this.#bytes, this.#tail.offset, dstAddr, srcAddr, quoteLength);
    this.#send(AnswerKind.icmp, dstAddr, srcAddr, length);
  }

  /** Whether an answer is allowed and possible; counts it if not. @param length that it has at most */
  #mayAnswer(packet: Packet, kind: number, length: number, nowMs: number): boolean {
    let outcome: number = AnswerOutcome.sent;
    if (!isAnswerable(packet)) outcome = AnswerOutcome.unanswerable;
    else if (!this.#hasRoomFor(1, length)) outcome = AnswerOutcome.noRoom;
    else {
      const limit = this.#limits.takeFor(packet.srcAddr, nowMs);
      if (limit === Limit.gateway) outcome = AnswerOutcome.gatewayLimit;
      else if (limit === Limit.source) outcome = AnswerOutcome.sourceLimit;
    }
    if (outcome === AnswerOutcome.sent) return true;
    this.#count(kind, outcome);
    return false;
  }

  #hasRoomFor(slots: number, length: number): boolean {
    return (
      this.#slots + slots <= answerSlots &&
      this.#length + length <= answerBytes &&
      this.#tail.hasRoomFor(slots, length)
    );
  }

  /** The answer that was written behind the batch leaves with it. */
  #send(kind: number, srcAddr: number, dstAddr: number, length: number): void {
    const vnet = this.#tail.offset;
    this.#tail.append(length);
    this.#slots++;
    this.#length += length;
    this.#count(kind, AnswerOutcome.sent);
    if ((this.#capturing & CaptureVerdict.passed) === 0) return;
    const servers = this.#policy.slotsOf(srcAddr, dstAddr);
    const captured = length - VnetHeader.length;
    this.#capture!.write(this.#bytes, vnet, captured, DropReason.none, Direction.none, servers);
  }

  #count(kind: number, outcome: number): void {
    this.#counters[answerIndex(kind, outcome)]! += 1;
  }
}
