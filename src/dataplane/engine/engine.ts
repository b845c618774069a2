/**
 * Judges packets: parse -> fragments -> flow lookup -> (hit) state machine, (miss) policy and insert -> verdict.
 *
 * One engine runs on each packet thread. All of them work on one flow table in shared memory; the caller holds the lock
 * while it calls `judge`, `tick` or `setPolicy`. Clock, randomness (the hash key) and memory come from outside, nothing is
 * allocated per packet, and a verdict is a number: `DropReason.none` passes.
 *
 * A flow carries the epoch of the policy that admitted it. A flow of an older epoch than this engine's is judged again on
 * its next packet, or by the sweep if it is idle; what the new policy does not allow is cut. One of a newer epoch was
 * admitted by an engine that has taken the next policy already, and is left to that.
 */
import { FlowEvent } from '../flow/flow-events.ts';
import { trackIcmp, trackUdp } from '../flow/datagram-track.ts';
import { isIcmpRequest, noIcmpQuery, refusedIcmp } from '../flow/icmp-query.ts';
import { Direction, Hot, StateBits, hotShift, noFlow } from '../flow/flow-record.ts';
import type { FlowIndex } from '../flow/flow-record.ts';
import { FlowTable } from '../flow/flow-table.ts';
import { addDropped, originalSlot, replySlot } from '../flow/server-totals.ts';
import { FragmentStore, fragmentCompletes, fragmentHeld } from '../flow/fragments.ts';
import { TcpTracker, tcpReopen } from '../flow/tcp-track.ts';
import { MatchResult } from '../match/matcher.ts';
import type { Matcher } from '../match/matcher.ts';
import { DropReason } from '../wire/drop-reason.ts';
import { Icmp, Ipv4, Protocol, VnetHeader } from '../wire/headers.ts';
import { Packet } from '../wire/packet.ts';
import { parseQuoted } from '../wire/parse-quoted.ts';
import { parseTransport } from '../wire/parse.ts';
import { Answers } from './answers.ts';
import { BatchTail } from './batch-tail.ts';
import { CarriedNotes, carriedCounts } from './carried-notes.ts';
import { CaptureVerdict } from './capture-ring.ts';
import type { CaptureRingWriter } from './capture-ring.ts';
import { Counter, evictionCounterCount, trafficIndex } from './counters.ts';
import type { EngineMemory, EngineOptions, PacketBatch } from './engine-memory.ts';
import { EventRingWriter } from './event-ring.ts';
import { FlowReview, isOlder, sweepPerTick } from './flow-review.ts';
import { firstList, firstState, matchedDirection, packetDirection } from './flow-start.ts';
import { LookAhead, kindOf, windowLength } from './look-ahead.ts';

export type { EngineMemory, EngineOptions, PacketBatch } from './engine-memory.ts';
export { ReloadMode } from './flow-review.ts';

/** A fragment held until its datagram is complete: neither passed nor dropped yet. */
const held = -1;

/** Room for a reassembled datagram: an IPv4 header without options, and 65,535 bytes after it. */
const scratchLength = 20 + 65_536;

/** Expired flows that one tick removes at most. */
const expirePerTick = 8192;

export class Engine {
  readonly table: FlowTable;
  readonly #tcp: TcpTracker;
  /** Absent: the kernel carries nothing. */
  readonly #carried: CarriedNotes | undefined;
  readonly #batch: PacketBatch;
  readonly #words: Int32Array;
  readonly #counters: Float64Array;
  readonly #events: EventRingWriter;
  readonly #ahead: LookAhead;
  readonly #review: FlowReview;
  readonly #serverTotals: Float64Array;
  readonly #capture: CaptureRingWriter | undefined;
  /** Which verdicts of this batch are captured (CaptureVerdict). */
  #capturing = 0;
  /** Which packets go to `#recordVerdict`: 0 = drops only, 1 = all, because a capture is running. */
  #recordedPass = 0;
  #policy: Matcher;
  /** Direction of the current packet. */
  #direction: number = Direction.none;
  #nowMs = 0;
  readonly #fragments: FragmentStore;
  readonly #quoted: Packet = new Packet();
  readonly #scratch: Uint8Array = new Uint8Array(scratchLength);
  readonly #scratchWords: Int32Array = new Int32Array(this.#scratch.buffer);
  /** Memory with the L4 header of the current packet: the batch, or the scratch buffer for a reassembled datagram. */
  #bytes: Uint8Array;
  readonly #tail: BatchTail;
  /** Absent: what is dropped is never answered. */
  readonly #answers: Answers | undefined;
  /** Both ends of the connection that was cut last will be told. */
  #isCutTold = false;

  constructor(
    batch: PacketBatch,
    memory: EngineMemory,
    counters: SharedArrayBuffer,
    events: SharedArrayBuffer,
    policy: Matcher,
    options: EngineOptions,
    capture?: CaptureRingWriter,
  ) {
    this.#batch = batch;
    const { buffer, byteOffset, byteLength } = batch.bytes;
    this.#words = new Int32Array(buffer, byteOffset, byteLength >> 2);
    this.#counters = new Float64Array(counters);
    const evictions = new Float64Array(counters, Counter.evictions * 8, evictionCounterCount);
    const onCarried = carriedCounts(memory.flows, this.#counters);
    this.table = new FlowTable(memory.flows, options.limits, { evictions, onCarried });
    this.#fragments = new FragmentStore(memory.fragments, this);
    this.#bytes = batch.bytes;
    this.#ahead = new LookAhead(this.table);
    this.#tcp = new TcpTracker(this.table, options.tcp);
    this.#carried = CarriedNotes.of(this.table, this.#tcp);
    this.#events = new EventRingWriter(events);
    const { serverTotals } = memory.flows;
    this.#serverTotals = new Float64Array(serverTotals, 0, serverTotals.byteLength >> 3);
    this.#capture = capture;
    this.#policy = policy;
    this.#tail = new BatchTail(batch);
    const { answers } = memory;
    this.#answers =
      answers && new Answers(answers, batch, this.#tail, this.#counters, policy, capture);
    this.#review = new FlowReview(this.table, this.#counters, policy, this.#answers?.cut);
  }

  /**
   * Takes a new policy between two batches.
   *
   * @param mode ReloadMode of flow-review.ts
   * @param drainUntilMs with `drain`: until when
   */
  setPolicy(policy: Matcher, mode: number, drainUntilMs: number): void {
    this.#policy = policy;
    this.#answers?.setPolicy(policy);
    this.#review.setPolicy(policy, mode, drainUntilMs);
  }

  /**
   * Judges the first `count` packets of the batch and fills in their verdicts.
   *
   * @returns how many slots there are to write: `count`, and behind them fragments that were held until now, and answers
   */
  judge(count: number, nowMs: number): number {
    const { bytes, offsets, lengths } = this.#batch;
    const ahead = this.#ahead;
    this.#nowMs = nowMs;
    this.#tail.begin(count);
    if (this.#capture !== undefined) this.#beginCapture(this.#capture);
    this.#answers?.begin(this.#capturing);
    for (let first = 0; first < count; first += windowLength) {
      const inWindow = count - first < windowLength ? count - first : windowLength;
      ahead.fill(bytes, this.#words, offsets, lengths, first, inWindow, nowMs);
      for (let i = 0; i < inWindow; i++) {
        const packet = ahead.packets[i]!;
        let reason = ahead.reasons[i]!;
        this.#direction = Direction.none;
        if (reason === DropReason.none) {
          reason = this.#judgePacket(packet, ahead.kinds[i]!, ahead.hashes[i]!);
        } else if (reason === DropReason.fragment) {
          reason = this.#judgeFragment(packet, first + i);
        }
        this.#conclude(first + i, packet, reason);
      }
    }
    this.#counters[Counter.batches]! += 1;
    return this.#concludeBatch();
  }

  /** Tells the ends of connections that were cut, by this thread or another one. Returns the slots of the batch. */
  #concludeBatch(): number {
    this.#answers?.resetCut(this.#nowMs);
    return this.#tail.slots;
  }

  /** Writes a packet's verdict and counts it. */
  #conclude(slot: number, packet: Packet, reason: number): void {
    const { verdicts } = this.#batch;
    if (reason === held) {
      verdicts[slot] = 0;
      return;
    }
    const counters = this.#counters;
    const pass = reason === DropReason.none ? 1 : 0;
    verdicts[slot] = pass;
    const traffic = trafficIndex(this.#direction, packet.protocol, pass);
    counters[Counter.packets + traffic]! += 1;
    counters[Counter.bytes + traffic]! += packet.totalLength;
    if (pass <= this.#recordedPass) this.#recordVerdict(slot, packet, reason);
  }

  /** Off the fast path: counts a drop, writes the packet to the capture ring if a capture wants it, and answers it. */
  #recordVerdict(slot: number, packet: Packet, reason: number): void {
    if (reason !== DropReason.none) this.#countDrop(reason, packet);
    if (this.#capturing !== 0) this.#captureSlot(slot, packet, reason);
    this.#answers?.answer(packet, this.#nowMs);
  }

  #beginCapture(capture: CaptureRingWriter): void {
    this.#capturing = capture.begin();
    this.#recordedPass = this.#capturing === 0 ? 0 : 1;
  }

  /** Gives a packet of the batch to the capture that is running. */
  #captureSlot(slot: number, packet: Packet, reason: number): void {
    const verdict = reason === DropReason.none ? CaptureVerdict.passed : CaptureVerdict.dropped;
    if ((this.#capturing & verdict) === 0) return;
    const { bytes, offsets, lengths } = this.#batch;
    const vnet = offsets[slot]!;
    const length = lengths[slot]! - VnetHeader.length;
    const servers = this.#policy.slotsOf(packet.srcAddr, packet.dstAddr);
    this.#capture!.write(bytes, vnet, length, reason, this.#direction, servers);
  }

  /** Housekeeping, a few times a second, behind `judge`. Returns the slots of its batch, as that does. */
  tick(nowMs: number): number {
    this.#nowMs = nowMs;
    this.#direction = Direction.none;
    this.table.expire(nowMs, expirePerTick);
    this.#fragments.expire(nowMs);
    this.#review.sweep(sweepPerTick, nowMs);
    this.#carried?.note();
    return this.#concludeBatch();
  }

  /** Counts held fragments that are dropped (FragmentDropCounter). */
  countFragments(
    reason: number,
    protocol: number,
    srcAddr: number,
    dstAddr: number,
    packets: number,
    bytes: number,
  ): void {
    const servers = this.#policy.slotsOf(srcAddr, dstAddr);
    addDropped(this.#serverTotals, originalSlot(servers), replySlot(servers), packets, bytes);
    this.#counters[Counter.drops + reason]! += packets;
    const traffic = trafficIndex(this.#direction, protocol, 0);
    this.#counters[Counter.packets + traffic]! += packets;
    this.#counters[Counter.bytes + traffic]! += bytes;
  }

  #countDrop(reason: number, packet: Packet): void {
    this.#counters[Counter.drops + reason]! += 1;
    const servers = this.#policy.slotsOf(packet.srcAddr, packet.dstAddr);
    const { totalLength } = packet;
    addDropped(this.#serverTotals, originalSlot(servers), replySlot(servers), 1, totalLength);
    const { epoch } = this.#policy;
    this.#events.write(reason, packet, this.#direction, epoch, servers, this.#nowMs);
  }

  /** A packet with a well-formed L4 header, its kind and its tuple's hash. */
  #judgePacket(packet: Packet, kind: number, hash: number): number {
    if (kind === noIcmpQuery) {
      const refused = refusedIcmp(packet.icmpType);
      return refused === DropReason.none ? this.#judgeIcmpError(packet) : refused;
    }
    const { srcAddr, srcPort, dstAddr, dstPort } = packet;
    const flow = this.table.find(hash, kind, srcAddr, srcPort, dstAddr, dstPort, this.#nowMs);
    if (flow === noFlow) return this.#judgeMiss(packet, kind, hash);
    return this.#judgeHit(flow, packet, kind);
  }

  /** A fragment: held, or the one that completes its datagram, which is then judged as one packet. */
  #judgeFragment(packet: Packet, slot: number): number {
    const { bytes, offsets, lengths } = this.#batch;
    const store = this.#fragments;
    const added = store.add(packet, bytes, offsets[slot]!, lengths[slot]!, this.#nowMs);
    if (added === fragmentHeld) return held;
    if (added !== fragmentCompletes) return added;

    const datagram = store.datagram;
    const ownLength = packet.totalLength;
    const ownIp = packet.ipOffset;
    const scratch = this.#scratch;
    for (let i = 0; i < Ipv4.minimumLength; i++) scratch[i] = bytes[ownIp + i]!;
    packet.l4Length = store.assemble(datagram, packet, bytes, scratch, Ipv4.minimumLength);
    packet.l4Offset = Ipv4.minimumLength;
    packet.ipOffset = 0;
    packet.totalLength = Ipv4.minimumLength + packet.l4Length;
    packet.checksumVouched = 0;
    this.#bytes = scratch;
    let reason: number = parseTransport(scratch, this.#scratchWords, packet);
    // Checked first: a datagram that cannot leave opens no flow.
    if (reason === DropReason.none && !this.#tail.hasRoomForDatagram(store, datagram)) {
      reason = DropReason.fragmentMemory;
    }
    if (reason === DropReason.none) {
      const kind = kindOf(packet);
      const { srcAddr, srcPort, dstAddr, dstPort } = packet;
      const hash = this.table.hashOf(kind, srcAddr, srcPort, dstAddr, dstPort);
      reason = this.#judgePacket(packet, kind, hash);
    }
    this.#bytes = bytes;
    packet.totalLength = ownLength;
    packet.ipOffset = ownIp;
    if (reason !== DropReason.none) {
      const fragments = store.heldCount(datagram);
      const heldBytes = store.heldBytes(datagram);
      const { protocol, srcAddr, dstAddr } = packet;
      this.countFragments(reason, protocol, srcAddr, dstAddr, fragments, heldBytes);
      this.#answers?.answerDatagram(store, datagram, packet, this.#nowMs);
      store.release(datagram);
      return reason;
    }
    this.#emit(datagram, packet);
    // This fragment is written after the ones that arrived before it, not in its own slot.
    const last = this.#tail.appendSlot(offsets[slot]!, lengths[slot]!);
    if (this.#capturing !== 0) this.#captureSlot(last, packet, reason);
    const traffic = trafficIndex(this.#direction, packet.protocol, 1);
    this.#counters[Counter.packets + traffic]! += 1;
    this.#counters[Counter.bytes + traffic]! += ownLength;
    return held;
  }

  /** Appends the held fragments of a datagram to the batch in order of arrival, and frees them. */
  #emit(datagram: number, packet: Packet): void {
    const store = this.#fragments;
    const fragments = store.heldCount(datagram);
    for (let fragment = store.first(datagram); fragment !== 0; fragment = store.next(fragment)) {
      const slot = this.#tail.appendFragment(store, fragment);
      if (this.#capturing !== 0) this.#captureSlot(slot, packet, DropReason.none);
    }
    const traffic = trafficIndex(this.#direction, packet.protocol, 1);
    this.#counters[Counter.packets + traffic]! += fragments;
    this.#counters[Counter.bytes + traffic]! += store.heldBytes(datagram);
    store.release(datagram);
  }

  /**
   * An ICMP error passes if the packet it quotes belongs to a live flow, it goes to the end that sent that packet, and for
   * TCP the quoted sequence number can be one under way (RFC 5927 section 4.1). Its own source may be any router. It needs
   * no rule and refreshes nothing.
   */
  #judgeIcmpError(packet: Packet): number {
    const quoted = this.#quoted;
    const at = packet.l4Offset + Icmp.quoted;
    if (!parseQuoted(this.#bytes, at, packet.l4Length - Icmp.quoted, quoted)) {
      return DropReason.icmpError;
    }
    if (quoted.srcAddr !== packet.dstAddr) return DropReason.icmpError;
    const kind = kindOf(quoted);
    if (kind === noIcmpQuery) return DropReason.icmpError;
    const table = this.table;
    const { srcAddr, srcPort, dstAddr, dstPort } = quoted;
    const hash = table.hashOf(kind, srcAddr, srcPort, dstAddr, dstPort);
    const flow = table.find(hash, kind, srcAddr, srcPort, dstAddr, dstPort, this.#nowMs);
    if (flow === noFlow) {
      return table.ended.reasonFor(hash, srcAddr, DropReason.icmpError, this.#nowMs);
    }
    const record = flow << hotShift;
    this.#carried?.bringHome(flow);
    const sender = table.direction;
    const original =
      (table.hot[record + Hot.state]! & StateBits.directionMask) >> StateBits.directionShift;
    this.#direction = packetDirection(original, sender ^ 1);
    if (isOlder(table.hot[record + Hot.epoch]!, this.#policy.epoch) && this.#isCut(flow)) {
      return DropReason.policyCut;
    }
    if (quoted.protocol === Protocol.tcp && !this.#tcp.isUnderWay(flow, sender, quoted.sequence)) {
      return DropReason.icmpError;
    }
    table.accountBeside(flow, sender ^ 1, packet.totalLength);
    return DropReason.none;
  }

  #judgeHit(flow: FlowIndex, packet: Packet, kind: number): number {
    const table = this.table;
    const direction = table.direction;
    const record = flow << hotShift;
    const carried = this.#carried;
    if (carried !== undefined) carried.bringHome(flow);
    const state = table.hot[record + Hot.state]!;
    this.#direction = packetDirection(
      (state & StateBits.directionMask) >> StateBits.directionShift,
      direction,
    );
    if (isOlder(table.hot[record + Hot.epoch]!, this.#policy.epoch) && this.#isCut(flow)) {
      return this.#judgeCut(packet, kind);
    }
    let reason: number = DropReason.none;
    if (packet.protocol === Protocol.tcp) {
      // Not of the word read above: the review may just have spared the flow.
      if ((table.hot[record + Hot.state]! & StateBits.kept) !== 0) {
        reason = this.#review.judgeKept(flow, direction, packet, this.#nowMs);
        if (reason !== DropReason.none) return this.#refuse(reason);
      }
      reason = this.#tcp.track(flow, direction, packet, this.#bytes, this.#nowMs);
      if (reason === tcpReopen) return this.#reopen(flow, packet, kind);
      if (reason !== DropReason.none) return reason;
      // An RST may have ended the flow, and was counted in it.
      if (table.hot[record + Hot.state] === 0) return DropReason.none;
    } else if (packet.protocol === Protocol.udp) {
      trackUdp(table, flow, direction, this.#nowMs);
    } else {
      trackIcmp(table, flow, direction, this.#nowMs);
    }
    table.account(flow, direction, packet.totalLength);
    if (carried !== undefined) carried.offer(flow, this.#nowMs);
    return reason;
  }

  /** A SYN after a closed connection: the same tuple again, now without a flow, so the policy is matched again. */
  #reopen(flow: FlowIndex, packet: Packet, kind: number): number {
    const { srcAddr, srcPort, dstAddr, dstPort } = packet;
    this.table.remove(flow, FlowEvent.closed, this.#nowMs);
    this.table.lookup(kind, srcAddr, srcPort, dstAddr, dstPort, this.#nowMs);
    return this.#judgeNew(packet, kind);
  }

  /**
   * The packet by which a flow was cut. It may be one that the policy allows by itself: the other way round, or as the first of
   * a flow. Cutting does not lose it.
   */
  #judgeCut(packet: Packet, kind: number): number {
    const { srcAddr, srcPort, dstAddr, dstPort } = packet;
    const hash = this.table.hashOf(kind, srcAddr, srcPort, dstAddr, dstPort);
    this.table.find(hash, kind, srcAddr, srcPort, dstAddr, dstPort, this.#nowMs);
    const reason = this.#judgeMiss(packet, kind, hash);
    if (this.#isCutTold) this.#answers?.onCutTold(reason);
    return reason === DropReason.none ? reason : DropReason.policyCut;
  }

  /** Judges a packet without a flow. If its flow was cut or killed, that can be the drop reason. */
  #judgeMiss(packet: Packet, kind: number, hash: number): number {
    const { ended } = this.table;
    const refused = this.#judgeNew(packet, kind);
    if (refused === DropReason.none) {
      ended.forget(hash);
      return refused;
    }
    const reason = ended.reasonFor(hash, packet.srcAddr, refused, this.#nowMs);
    if (reason !== refused) this.#answers?.onEnded(packet, ended.isReply);
    return reason;
  }

  /** A packet without a flow: may the policy admit it, and may it open one? */
  #judgeNew(packet: Packet, kind: number): number {
    const policy = this.#policy;
    const { protocol, srcAddr, srcPort, dstAddr, dstPort } = packet;
    const match = policy.match(protocol, srcAddr, dstAddr, dstPort);
    if (match === MatchResult.noServer) return DropReason.noServer;
    this.#direction = matchedDirection(policy);
    // A packet that cannot open a flow is invalid, whatever the rules say.
    if (protocol === Protocol.tcp && !this.#tcp.mayOpen(packet.tcpFlags)) {
      return DropReason.invalidState;
    }
    if (protocol === Protocol.icmp && !isIcmpRequest(packet.icmpType)) return DropReason.icmpType;
    let verdict = match;
    if (match > MatchResult.allowed) {
      verdict = policy.observe(match, protocol, srcAddr, dstPort, this.#nowMs);
    }
    if (verdict === MatchResult.noOutboundRule) return this.#refuse(DropReason.noOutboundRule);
    if (verdict === MatchResult.noInboundRule) return this.#refuse(DropReason.noInboundRule);
    const table = this.table;
    const flow = table.insert(
      kind,
      srcAddr,
      srcPort,
      dstAddr,
      dstPort,
      firstState(protocol),
      firstList(protocol),
      this.#direction,
      policy.epoch,
      policy.matchedSlots(),
      this.#nowMs,
    );
    if (flow === noFlow) return table.refusal;
    if (protocol === Protocol.tcp) {
      const bytes = this.#bytes;
      this.#tcp.open(flow, packet, bytes);
      const reason = this.#tcp.track(flow, 0, packet, bytes, this.#nowMs);
      if (reason !== DropReason.none) {
        table.remove(flow, FlowEvent.none, this.#nowMs);
        return reason;
      }
    }
    // Counted last: a packet that was refused opens no flow and hits no rule.
    this.#counters[Counter.flowsOpened]! += 1;
    policy.countHits(this.#nowMs);
    table.admit(flow, policy.inboundRule, policy.outboundRule);
    if (policy.logsAny && policy.logsMatch()) table.logStart(flow, this.#nowMs);
    table.account(flow, 0, packet.totalLength);
    if (match !== MatchResult.allowed) this.#tellObserved(packet);
    return DropReason.none;
  }

  /** A flow has begun that would not have if its servers enforced their rules. */
  #tellObserved(packet: Packet): void {
    this.#counters[Counter.wouldDrop]! += 1;
    const { epoch } = this.#policy;
    const slots = this.#policy.matchedSlots();
    this.#events.write(DropReason.wouldDrop, packet, this.#direction, epoch, slots, this.#nowMs);
  }

  /** The policy's last match may be why: its server says whether the packet is answered. */
  #refuse(reason: number): number {
    this.#answers?.onRefused(reason);
    return reason;
  }

  /** Judges a flow of an older epoch again; true if that removed it. */
  #isCut(flow: FlowIndex): boolean {
    if (this.#review.stillAllowed(flow, this.#nowMs)) return false;
    this.#isCutTold = this.#review.cut(flow, this.#nowMs);
    return true;
  }
}
