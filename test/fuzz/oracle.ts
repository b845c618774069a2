/**
 * What must be true of a batch that was judged, whatever was in it: derived from the packets themselves, the naive parser and
 * the naive policy match, not from the engine.
 */
import {
  evictionClassOfList,
  EvictionClass,
  protectedIdleMs,
} from '../../src/dataplane/flow/flow-lists.ts';
import type { FlowMemory } from '../../src/dataplane/flow/flow-memory.ts';
import { Hot, StateBits, hotShift } from '../../src/dataplane/flow/flow-record.ts';
import { naiveParse } from '../support/naive-parser.ts';
import { serverOf } from '../support/table-check.ts';
import { naivelyAllowed } from './policies.ts';

export function must(condition: boolean, what: () => string): void {
  if (!condition) throw new Error(what());
}

/** A flow's tuple as a packet of its original direction has it. */
export interface Tuple {
  readonly kind: number;
  readonly src: number;
  readonly srcPort: number;
  readonly dst: number;
  readonly dstPort: number;
}

const reversed = ({ kind, src, srcPort, dst, dstPort }: Tuple): Tuple => ({
  kind,
  src: dst,
  srcPort: dstPort,
  dst: src,
  dstPort: srcPort,
});

const keyOf = ({ kind, src, srcPort, dst, dstPort }: Tuple): string =>
  `${kind} ${src}:${srcPort} ${dst}:${dstPort}`;

export function sameConversation(a: Tuple, b: Tuple): boolean {
  return keyOf(a) === keyOf(b) || keyOf(a) === keyOf(reversed(b));
}

/** The flows of a table by tuple; throws if two of them are the same conversation. */
export class FlowSnapshot {
  readonly #keys: Set<string> = new Set();
  /** Conversations that were silent for so long that pressure may end them. */
  readonly idleConversations: number;
  /** Flows of the server that has the most. */
  readonly largestShare: number;

  constructor(memory: FlowMemory, flows: Iterable<number>, nowMs: number) {
    const hot = new Int32Array(memory.hot);
    const shares = new Map<number, number>();
    let idle = 0;
    for (const flow of flows) {
      const record = flow << hotShift;
      const tuple = {
        kind: hot[record + Hot.kind]!,
        src: hot[record + Hot.originalAddr]!,
        srcPort: hot[record + Hot.ports]! >>> 16,
        dst: hot[record + Hot.replyAddr]!,
        dstPort: hot[record + Hot.ports]! & 0xffff,
      };
      must(!this.has(tuple), () => `two flows of one conversation: ${keyOf(tuple)}`);
      this.#keys.add(keyOf(tuple));
      const server = serverOf(hot, flow);
      shares.set(server, (shares.get(server) ?? 0) + 1);
      const list = (hot[record + Hot.state]! & StateBits.listMask) >> StateBits.listShift;
      const idleMs = (nowMs - hot[record + Hot.lastRefresh]!) | 0;
      if (evictionClassOfList[list] === EvictionClass.established && idleMs >= protectedIdleMs) {
        idle++;
      }
    }
    this.idleConversations = idle;
    this.largestShare = Math.max(0, ...shares.values());
  }

  /** Whether a packet belongs to a flow, in either direction. */
  has(tuple: Tuple): boolean {
    return this.#keys.has(keyOf(tuple)) || this.#keys.has(keyOf(reversed(tuple)));
  }
}

const requestOf: Record<number, number> = {
  8: 8,
  0: 8,
  13: 13,
  14: 13,
  15: 15,
  16: 15,
  17: 17,
  18: 17,
};

/** The key of an ICMP query's flow: the request's type, the code, and whether the lower address asks. */
function queryKind(type: number, code: number, src: number, dst: number): number {
  const asker = requestOf[type] === type ? src : dst;
  const lowerAsks = asker === Math.min(src, dst) ? 1 : 0;
  return 1 | ((requestOf[type] ?? 255) << 8) | (lowerAsks << 15) | (code << 16);
}

/** What a passed packet is, read naively. */
export interface PassedPacket {
  readonly kind: 'flow' | 'fragment' | 'icmp-error';
  readonly tuple: Tuple;
  readonly isReset: boolean;
  /** Of an ICMP error: what it quotes. */
  readonly quoted?: Tuple;
}

/** The tuple that an ICMP error quotes; throws if it is not the error's receiver that has sent it. */
function readQuoted(bytes: Uint8Array): Tuple {
  const at = ((bytes[0]! & 15) << 2) + 8;
  const quote = new DataView(bytes.buffer, bytes.byteOffset + at, bytes.length - at);
  const l4 = (quote.getUint8(0) & 15) << 2;
  const protocol = quote.getUint8(9);
  const type = quote.getUint8(l4);
  const kind = queryKind(type, quote.getUint8(l4 + 1), quote.getInt32(12), quote.getInt32(16));
  const receiver = new DataView(bytes.buffer, bytes.byteOffset).getInt32(16);
  must(receiver === quote.getInt32(12), () => 'an ICMP error went to somebody else');
  return {
    kind: protocol === 1 ? kind : protocol,
    src: quote.getInt32(12),
    srcPort: quote.getUint16(protocol === 1 ? l4 + 4 : l4),
    dst: quote.getInt32(16),
    dstPort: quote.getUint16(protocol === 1 ? l4 + 4 : l4 + 2),
  };
}

/** Reads a packet that passed; throws if there is anything wrong with it for which it should have been dropped. */
export function readPassed(bytes: Uint8Array, vnetFlags: number): PassedPacket {
  const { reason, fields } = naiveParse(bytes, vnetFlags);
  const field = (name: string): number => fields[name] ?? 0;
  const protocol = field('protocol');
  const type = field('icmpType');
  const tuple = {
    kind:
      protocol === 1
        ? queryKind(type, field('icmpCode'), field('srcAddr'), field('dstAddr'))
        : protocol,
    src: field('srcAddr'),
    srcPort: field('srcPort'),
    dst: field('dstAddr'),
    dstPort: field('dstPort'),
  };
  const isReset = protocol === 6 && (field('tcpFlags') & 4) !== 0;
  if (reason === 'fragment') return { kind: 'fragment', tuple, isReset };
  must(reason === 'none', () => `a packet passed that is ${reason}`);
  if (protocol !== 1 || requestOf[type] !== undefined) return { kind: 'flow', tuple, isReset };
  must([3, 11, 12].includes(type), () => `ICMP type ${type} passed`);
  return { kind: 'icmp-error', tuple, isReset, quoted: readQuoted(bytes) };
}

/** Whether any of the policies admits the conversation that a packet belongs to, opened from either end. */
export function allowedByAny(policies: Iterable<number>, tuple: Tuple): boolean {
  const back = reversed(tuple);
  for (const policy of policies) {
    const protocol = tuple.kind & 0xff;
    if (naivelyAllowed(policy, protocol, tuple.src, tuple.dst, tuple.dstPort)) return true;
    if (naivelyAllowed(policy, protocol, back.src, back.dst, back.dstPort)) return true;
  }
  return false;
}
