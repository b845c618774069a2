/**
 * The parser's naive twin: the same checks, written from the RFCs with slices, views and early returns, and with no thought
 * of speed. The property tests compare the two on random and mutated bytes.
 */
import { dropReasonNames } from '../../src/dataplane/wire/drop-reason.ts';
import { internetChecksum } from '../../src/testing/packets.ts';

export interface NaiveResult {
  reason: string;
  fields: Record<string, number>;
}

const drop = (reason: string, fields: Record<string, number> = {}): NaiveResult => {
  if (!dropReasonNames.includes(reason)) throw new Error(`unknown reason ${reason}`);
  return { reason, fields };
};

function transportSum(ip: DataView, l4: Uint8Array, protocol: number): number {
  const pseudo = new Uint8Array(12);
  for (let i = 0; i < 8; i++) pseudo[i] = ip.getUint8(12 + i);
  pseudo[9] = protocol;
  pseudo[10] = l4.length >> 8;
  pseudo[11] = l4.length & 255;
  return internetChecksum(pseudo, l4);
}

/** @param whole looks at each option that is all there, and may find it malformed */
function walkOptions(
  options: Uint8Array,
  each: (kind: number) => string | undefined,
  whole: (option: Uint8Array) => boolean = () => true,
): string {
  for (let i = 0; i < options.length;) {
    const kind = options[i]!;
    if (kind === 0) return 'end';
    const verdict = each(kind);
    if (verdict !== undefined) return verdict;
    if (kind === 1) {
      i += 1;
      continue;
    }
    const length = options[i + 1];
    if (length === undefined || length < 2 || i + length > options.length) return 'malformed';
    if (!whole(options.slice(i, i + length))) return 'malformed';
    i += length;
  }
  return 'end';
}

/** What a router reads: a pointer to the next free entry (RFC 791 section 3.1), each kind once, a router alert's value. */
function ipOptionReader(): (option: Uint8Array) => boolean {
  const seen = new Set<number>();
  return (option) => {
    const kind = option[0]!;
    if (kind === 148) return option.length >= 4;
    if (kind !== 7 && kind !== 68) return true;
    if (seen.has(kind)) return false;
    seen.add(kind);
    const fixed = kind === 7 ? 3 : 4;
    if (option.length < fixed) return false;
    const pointer = option[2]!;
    const flag = kind === 68 ? option[3]! & 15 : 0;
    const entry = flag === 1 || flag === 3 ? 8 : 4;
    const isFull = pointer > option.length;
    if (pointer <= fixed || (!isFull && option.length - pointer + 1 < entry)) return false;
    const overflow = kind === 68 ? option[3]! >> 4 : 0;
    return !(isFull && overflow === 15 && flag !== 3);
  };
}

export function naiveParse(bytes: Uint8Array, vnetFlags: number): NaiveResult {
  const vouched = (vnetFlags & 3) !== 0;
  if (bytes.length === 0) return drop('truncated');
  const version = bytes[0]! >> 4;
  if (version === 6) return drop('ipv6');
  if (version !== 4) return drop('bad-ip-header');
  if (bytes.length < 20) return drop('truncated');
  const ip = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const headerLength = (bytes[0]! & 15) * 4;
  const totalLength = ip.getUint16(2);
  if (headerLength < 20 || totalLength < headerLength) return drop('bad-ip-header');
  if (totalLength > bytes.length) return drop('truncated');
  if (internetChecksum(bytes.slice(0, headerLength)) !== 0) return drop('bad-ip-checksum');
  const martian = (at: number): boolean => [0, 127].includes(bytes[at]!) || bytes[at]! >= 224;
  if (martian(12)) return drop('martian-source');
  if (martian(16)) return drop('martian-destination');
  if (ip.getInt32(12) === ip.getInt32(16)) return drop('land');
  const verdict = walkOptions(
    bytes.slice(20, headerLength),
    (kind) => (kind === 131 || kind === 137 ? 'source-route' : undefined),
    ipOptionReader(),
  );
  if (verdict === 'source-route') return drop('source-route');
  if (verdict === 'malformed') return drop('bad-ip-header');
  const protocol = bytes[9]!;
  if (![1, 6, 17].includes(protocol)) return drop('protocol');
  const fragment = ip.getUint16(6) & 0x3fff;
  const l4 = bytes.slice(headerLength, totalLength);
  const fields: Record<string, number> = {
    srcAddr: ip.getInt32(12),
    dstAddr: ip.getInt32(16),
    protocol,
    totalLength,
    l4Length: l4.length,
  };
  if (fragment !== 0) return drop('fragment', fields);
  const view = new DataView(l4.buffer, l4.byteOffset, l4.length);
  if (protocol === 17) return naiveUdp(ip, l4, view, vouched, fields);
  if (protocol === 1) {
    if (l4.length < 8) return drop('bad-icmp');
    if (!vouched && internetChecksum(l4) !== 0) return drop('bad-checksum');
    return drop('none', {
      ...fields,
      icmpType: l4[0]!,
      icmpCode: l4[1]!,
      srcPort: view.getUint16(4),
      dstPort: view.getUint16(4),
    });
  }
  return naiveTcp(ip, l4, view, vouched, fields);
}

function naiveUdp(
  ip: DataView,
  l4: Uint8Array,
  view: DataView,
  vouched: boolean,
  fields: Record<string, number>,
): NaiveResult {
  if (l4.length < 8) return drop('bad-udp-length');
  const length = view.getUint16(4);
  if (length < 8 || length > l4.length) return drop('bad-udp-length');
  const hasChecksum = view.getUint16(6) !== 0;
  if (!vouched && hasChecksum && transportSum(ip, l4.slice(0, length), 17) !== 0) {
    return drop('bad-checksum');
  }
  return drop('none', { ...fields, srcPort: view.getUint16(0), dstPort: view.getUint16(2) });
}

function naiveTcp(
  ip: DataView,
  l4: Uint8Array,
  view: DataView,
  vouched: boolean,
  fields: Record<string, number>,
): NaiveResult {
  if (l4.length < 20) return drop('bad-tcp-header');
  const tcpHeaderLength = (l4[12]! >> 4) * 4;
  if (tcpHeaderLength < 20 || tcpHeaderLength > l4.length) return drop('bad-tcp-header');
  const flags = l4[13]!;
  // S, S+U, S+A, R, R+A, F+A, F+A+U, A, A+U with PSH, ECE and CWR aside.
  if (![2, 34, 18, 4, 20, 17, 49, 16, 48].includes(flags & 0x37)) return drop('bad-tcp-flags');
  if (walkOptions(l4.slice(20, tcpHeaderLength), () => undefined) === 'malformed') {
    return drop('bad-tcp-options');
  }
  if (!vouched && transportSum(ip, l4, 6) !== 0) return drop('bad-checksum');
  return drop('none', {
    ...fields,
    srcPort: view.getUint16(0),
    dstPort: view.getUint16(2),
    sequence: view.getInt32(4),
    acknowledgment: view.getInt32(8),
    window: view.getUint16(14),
    tcpFlags: flags,
    tcpHeaderLength,
  });
}
