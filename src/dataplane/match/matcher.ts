/**
 * The compiled policy: immutable blocks in an array of 32-bit words, and the match against it.
 *
 * Rules only allow, so their order does not matter, and what a server allows is a union. That makes a classifier possible
 * whose cost does not grow with the number of rules. For each direction and protocol, the ports that rules
 * mention cut the port space into classes; a segment tree over the classes holds, at each node, the union of the addresses
 * of the rules whose port ranges cover that node. A packet's port leads to a leaf, and the walk from there to the root asks
 * each node's address sets: at most 17 nodes, each a search among sorted, disjoint intervals. O(log ports x log addresses).
 *
 * A server has one program of all its templates, or asks the programs of a few large templates one after the other
 * (src/policy/compile.ts says when).
 *
 * Layout (offsets are from the start of the array; 0 = none):
 *
 *     header        see Header
 *     servers       hash table, open addressing: address, server index + 1
 *     server        one word each: offset of its first program
 *     slot          one word for each server: the slot under which its traffic is counted (flow/server-totals.ts)
 *     reject        one word for each server: RejectBits
 *     logs          one bit for each rule, by its index
 *     observes      one word for each server: until when it observes, by the clock of the packet threads; 0 = it does not
 *     program       six words: offset of the classifier for inbound icmp, tcp, udp, outbound icmp, tcp, udp; see ProgramWord
 *     classifier    leaf count P (a power of two), offset of the port set, P * 2 words: address sets of node 1, 2, ...
 *     set           count n, index shift, index offset, n starts, n values
 *     shared set    the same without values
 *     chunked set   a shared set of very many ranges: chunked-set.ts
 *     use           of a shared set by a node: offset of the set, rule index + 1, the node's next sets
 *
 * A set maps keys to values: the value at i holds for keys from start i up to before start i + 1; start 0 is the lowest key.
 * Starts are compared as signed words, so they are stored with the top bit flipped. A set of many starts has an index by
 * the key's high bits, to search between two neighbours only. Address sets hold rule index + 1, or 0 where nothing is
 * allowed; in the port set (keys are port << 16) the position itself is the class. A large set that many rules may use is
 * shared: a key is in it if the position is odd. A node's word with the top bit set is the offset of a use, and a use's word
 * with the top bit set that of a chunked set.
 */

import { isInChunks } from './chunked-set.ts';

export const policyMagic = 0x74776c31;

/** Words of the header. */
export const Header = {
  magic: 0,
  epoch: 1,
  /** log2 of the number of slots of the server table is 32 - shift. */
  serverShift: 2,
  serverTable: 3,
  serverPrograms: 4,
  serverSlots: 5,
  /** Above the highest index of a rule; a match names a rule by its index. */
  ruleCount: 6,
  /** 0: no server rejects. */
  serverRejects: 7,
  /** {@link RejectBits} of the gateway: for flows none of whose ends is a server any more. */
  reject: 8,
  /** Answers that the gateway sends a second, and how many of them to packets of one source. */
  answersPerSecond: 9,
  answersPerSource: 10,
  /** A bit for each rule: its flows are logged when they begin. 0: none are. */
  ruleLogs: 11,
  /** 0: no server observes. */
  serverObserves: 12,
  length: 16,
} as const;

/** In which directions the lack of a rule is answered, not only dropped. */
export const RejectBits = { inbound: 1, outbound: 2 } as const;

/** A server observes for no longer: 14 days. A word that is further ahead is of an end that has long passed. */
export const longestObservationMs: number = 14 * 86_400_000;

/** Words of a program. */
export const ProgramWord = {
  classifiers: 0,
  /** 1: the server has another program, behind this one. */
  more: 6,
  length: 8,
} as const;

/** Words of a set, from its offset. */
export const SetWord = { count: 0, indexShift: 1, index: 2, starts: 3 } as const;

/** Words of a classifier. */
export const ClassifierWord = { leaves: 0, ports: 1, nodes: 2 } as const;

/** Words of a use. */
export const UseWord = { set: 0, rule: 1, next: 2, length: 3 } as const;

/** Marks the offset of a use. */
export const useBit = 0x80000000;
/** Marks the offset of a chunked set. */
export const chunkedBit = 0x80000000;
const offsetBits = 0x7fffffff;

/** Result of {@link Matcher.match}. */
export const MatchResult = {
  allowed: 0,
  /** Neither end is a server. */
  noServer: 1,
  noInboundRule: 2,
  noOutboundRule: 3,
} as const;

const inbound = 0;
const outbound = 3;

/** A policy, as the packet threads get it. */
export interface PolicyProgram {
  readonly words: Int32Array;
  /** Where its header is. */
  readonly root: number;
}

/** What the packet threads count of each rule, by its index; shared by them, written under their lock. */
export interface RuleHits {
  /** How many flows it has opened. */
  readonly counts: Float64Array;
  /** When it opened the last one, by the clock of the queues: ms modulo 2^32, never 0. 0: none yet. */
  readonly lastMs: Int32Array;
}

/** @param shared to be seen by other threads */
export function createRuleHits(rules: number, shared = false): RuleHits {
  const memory = (bytes: number): ArrayBuffer =>
    // Typed arrays take both, and are typed by the one that is not shared.
    shared ? (new SharedArrayBuffer(bytes) as unknown as ArrayBuffer) : new ArrayBuffer(bytes);
  return { counts: new Float64Array(memory(rules * 8)), lastMs: new Int32Array(memory(rules * 4)) };
}

/** Where the search for an address starts in the server table. */
export function serverSlot(address: number, shift: number): number {
  return Math.imul(address, 0x9e3779b1) >>> shift;
}

export class Matcher {
  readonly epoch: number;
  readonly #words: Int32Array;
  readonly #serverShift: number;
  readonly #serverTable: number;
  readonly #serverMask: number;
  readonly #serverPrograms: number;
  readonly #serverSlots: number;
  readonly #serverRejects: number;
  readonly #reject: number;
  readonly #ruleLogs: number;
  readonly #serverObserves: number;
  /** Whether any rule has its flows logged. */
  readonly logsAny: boolean;
  /** Whether any packet is answered. */
  readonly rejectsAny: boolean;
  readonly answersPerSecond: number;
  readonly answersPerSource: number;
  readonly hits: RuleHits;
  readonly #hitCounts: Float64Array;
  readonly #lastHitMs: Int32Array;

  /** The servers of the last match, by index; -1 if that end is no server. */
  inboundServer = -1;
  outboundServer = -1;
  /** The rules that allowed it, by index; -1 if none was needed or none found. */
  inboundRule = -1;
  outboundRule = -1;

  /**
   * @param words made by src/policy/compile.ts
   * @param hits of its rules. Default: memory of its own
   * @param root offset of the header
   */
  constructor(words: Int32Array, hits?: RuleHits, root = 0) {
    if (words[root + Header.magic] !== policyMagic) throw new Error('not a compiled policy');
    this.#words = words;
    this.epoch = words[root + Header.epoch]!;
    this.#serverShift = words[root + Header.serverShift]!;
    this.#serverTable = words[root + Header.serverTable]!;
    this.#serverMask = (1 << (32 - this.#serverShift)) - 1;
    this.#serverPrograms = words[root + Header.serverPrograms]!;
    this.#serverSlots = words[root + Header.serverSlots]!;
    this.#serverRejects = words[root + Header.serverRejects]!;
    this.#reject = words[root + Header.reject]!;
    this.#ruleLogs = words[root + Header.ruleLogs]!;
    this.#serverObserves = words[root + Header.serverObserves]!;
    this.logsAny = this.#ruleLogs !== 0;
    this.rejectsAny = this.#serverRejects !== 0 || this.#reject !== 0;
    this.answersPerSecond = words[root + Header.answersPerSecond]!;
    this.answersPerSource = words[root + Header.answersPerSource]!;
    this.hits = hits ?? createRuleHits(words[root + Header.ruleCount]!);
    this.#hitCounts = this.hits.counts;
    this.#lastHitMs = this.hits.lastMs;
  }

  /**
   * Whether a packet that opens a flow is allowed.
   *
   * @param protocol 1 ICMP, 6 TCP or 17 UDP
   * @param srcAddr @param dstAddr 32-bit addresses, signed or not
   * @param dstPort ignored for ICMP
   * @returns {@link MatchResult}; a packet meets its source's outbound rules first
   */
  match(protocol: number, srcAddr: number, dstAddr: number, dstPort: number): number {
    this.outboundServer = this.#findServer(srcAddr);
    this.inboundServer = this.#findServer(dstAddr);
    this.outboundRule = -1;
    this.inboundRule = -1;
    if (this.outboundServer < 0 && this.inboundServer < 0) return MatchResult.noServer;
    if (this.outboundServer >= 0) {
      this.outboundRule = this.#matchSide(
        this.outboundServer,
        outbound,
        protocol,
        dstAddr,
        dstPort,
      );
      if (this.outboundRule < 0) return MatchResult.noOutboundRule;
    }
    if (this.inboundServer >= 0) {
      this.inboundRule = this.#matchSide(this.inboundServer, inbound, protocol, srcAddr, dstPort);
      if (this.inboundRule < 0) return MatchResult.noInboundRule;
    }
    return MatchResult.allowed;
  }

  /**
   * What becomes of a packet that the last match refused: an end without a rule lets it pass while its server observes. The
   * rules of the last match are those of both ends then, if it passes.
   *
   * @param refused what the match gave, @param protocol and the rest as it was asked
   * @returns {@link MatchResult}: the end that drops it
   */
  observe(
    refused: number,
    protocol: number,
    srcAddr: number,
    dstPort: number,
    nowMs: number,
  ): number {
    if (refused === MatchResult.noServer) return refused;
    if (refused === MatchResult.noOutboundRule) {
      if (!this.observes(this.outboundServer, nowMs)) return refused;
      if (this.inboundServer < 0) return MatchResult.allowed;
      this.inboundRule = this.#matchSide(this.inboundServer, inbound, protocol, srcAddr, dstPort);
      if (this.inboundRule >= 0) return MatchResult.allowed;
    }
    return this.observes(this.inboundServer, nowMs)
      ? MatchResult.allowed
      : MatchResult.noInboundRule;
  }

  /** Whether a server lets pass what no rule allows. @param server its index */
  observes(server: number, nowMs: number): boolean {
    if (this.#serverObserves === 0) return false;
    const until = this.#words[this.#serverObserves + server]!;
    const left = (until - nowMs) | 0;
    return until !== 0 && left > 0 && left <= longestObservationMs;
  }

  /**
   * The inbound rule by which one server alone allows a packet, whatever else is asked of it; -1 if none does.
   *
   * @param server its index, @param peer where the packet comes from
   */
  inboundRuleOf(server: number, protocol: number, peer: number, port: number): number {
    return this.#matchSide(server, inbound, protocol, peer, port);
  }

  /** Counts a flow that the last match allowed. */
  countHits(nowMs: number): void {
    const stamp = nowMs | 1;
    if (this.inboundRule >= 0) {
      this.#hitCounts[this.inboundRule]! += 1;
      this.#lastHitMs[this.inboundRule] = stamp;
    }
    if (this.outboundRule >= 0) {
      this.#hitCounts[this.outboundRule]! += 1;
      this.#lastHitMs[this.outboundRule] = stamp;
    }
  }

  /** Whether a rule of the last match has its flows logged. To be asked if any has. */
  logsMatch(): boolean {
    return this.#logs(this.inboundRule) || this.#logs(this.outboundRule);
  }

  #logs(rule: number): boolean {
    return rule >= 0 && (this.#words[this.#ruleLogs + (rule >>> 5)]! & (1 << (rule & 31))) !== 0;
  }

  /** Slots of the last match's servers: inbound in the low half, outbound in the high half; 0 = none. */
  matchedSlots(): number {
    return this.#slotOfServer(this.inboundServer) | (this.#slotOfServer(this.outboundServer) << 16);
  }

  /** Slots of the servers at both ends of any packet, likewise. */
  slotsOf(srcAddr: number, dstAddr: number): number {
    const from = this.#slotOfServer(this.#findServer(srcAddr));
    return this.#slotOfServer(this.#findServer(dstAddr)) | (from << 16);
  }

  /** Whether the server at the last match's source rejects: answers what it has no outbound rule for. */
  get rejectsOutbound(): boolean {
    return (this.#rejectOf(this.outboundServer) & RejectBits.outbound) !== 0;
  }

  /** Whether the server at its destination rejects what it has no inbound rule for. */
  get rejectsInbound(): boolean {
    return (this.#rejectOf(this.inboundServer) & RejectBits.inbound) !== 0;
  }

  /** Whether the ends of a flow are told of its end: if the server at either of them rejects in the flow's direction. */
  rejectsFlow(originalAddr: number, replyAddr: number): boolean {
    if (!this.rejectsAny) return false;
    const from = this.#findServer(originalAddr);
    const to = this.#findServer(replyAddr);
    if (from < 0 && to < 0) return this.#reject !== 0;
    const outwards = this.#rejectOf(from) & RejectBits.outbound;
    const inwards = this.#rejectOf(to) & RejectBits.inbound;
    return (outwards | inwards) !== 0;
  }

  #rejectOf(server: number): number {
    return server < 0 || this.#serverRejects === 0 ? 0 : this.#words[this.#serverRejects + server]!;
  }

  #slotOfServer(server: number): number {
    return server < 0 ? 0 : this.#words[this.#serverSlots + server]!;
  }

  #findServer(address: number): number {
    const words = this.#words;
    const wanted = address | 0;
    let slot = serverSlot(wanted, this.#serverShift);
    for (;;) {
      const at = this.#serverTable + (slot << 1);
      const server = words[at + 1]!;
      if (server === 0) return -1;
      if (words[at] === wanted) return server - 1;
      slot = (slot + 1) & this.#serverMask;
    }
  }

  /** The rule by which one server allows the packet, or -1. */
  #matchSide(server: number, side: number, protocol: number, peer: number, port: number): number {
    const words = this.#words;
    const column = side + (protocol === 6 ? 1 : protocol === 17 ? 2 : 0);
    let program = words[this.#serverPrograms + server]!;
    for (;;) {
      const classifier = words[program + column]!;
      if (classifier !== 0) {
        const rule = this.#classify(classifier, peer, port);
        if (rule !== 0) return rule - 1;
      }
      if (words[program + ProgramWord.more] === 0) return -1;
      program += ProgramWord.length;
    }
  }

  /** The index + 1 of a rule that allows the packet, or 0. */
  #classify(classifier: number, peer: number, port: number): number {
    const words = this.#words;
    const ports = words[classifier + ClassifierWord.ports]!;
    const portClass = ports === 0 ? 0 : this.#locate(ports, port << 16);
    let node = words[classifier + ClassifierWord.leaves]! + portClass;
    while (node > 0) {
      const set = words[classifier + ClassifierWord.nodes + node - 1]!;
      if (set !== 0) {
        const rule = set > 0 ? this.#valueAt(set, peer) : this.#ruleOfUses(set, peer);
        if (rule !== 0) return rule;
      }
      node >>= 1;
    }
    return 0;
  }

  #valueAt(set: number, key: number): number {
    const words = this.#words;
    return words[set + SetWord.starts + words[set + SetWord.count]! + this.#locate(set, key)]!;
  }

  /** Of a node with uses of shared sets, and perhaps a set of its own behind them. */
  #ruleOfUses(first: number, peer: number): number {
    const words = this.#words;
    let set = first;
    while (set < 0) {
      const use = set & offsetBits;
      const shared = words[use + UseWord.set]!;
      const isIn =
        shared < 0
          ? isInChunks(words, shared & offsetBits, peer)
          : (this.#locate(shared, peer) & 1) !== 0;
      if (isIn) return words[use + UseWord.rule]!;
      set = words[use + UseWord.next]!;
    }
    return set === 0 ? 0 : this.#valueAt(set, peer);
  }

  /** The last start of a set that is not above the key. */
  #locate(set: number, key: number): number {
    const words = this.#words;
    const flipped = key ^ 0x80000000;
    const starts = set + SetWord.starts;
    let low = 0;
    let high = words[set + SetWord.count]!;
    const index = words[set + SetWord.index]!;
    if (index !== 0) {
      const bucket = index + (key >>> words[set + SetWord.indexShift]!);
      low = words[bucket]!;
      high = words[bucket + 1]! + 1;
    }
    // starts[low] <= key < starts[high], with no start behind the last one.
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if (words[starts + middle]! <= flipped) low = middle;
      else high = middle;
    }
    return low;
  }
}
