/**
 * The naive twin: what one would write first. A packet becomes an object, read through a DataView; flows are in an lru-cache under
 * a string; rules are a list that is looked through from its start. It has no TCP state, no fragments, and no counters: it does
 * less than the engine, and what it does correctly is the same.
 */
import { LRUCache } from 'lru-cache';
import type { Batch } from '../../../src/dataplane/tun/batch.ts';
import type { Rules } from '../../net/policy.ts';
import { addressOf } from './firewall.ts';

export interface NaivePacket {
  readonly protocol: number;
  readonly source: number;
  readonly destination: number;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly length: number;
}

interface NaiveFlow {
  lastSeenMs: number;
  packets: number;
  bytes: number;
}

interface NaiveRule {
  readonly protocol: number;
  readonly firstPort: number;
  readonly lastPort: number;
  readonly source: number | undefined;
}

/** @param vnetOffset of the virtio header; undefined for what is no packet that can be tracked */
export function parseNaively(
  bytes: Uint8Array,
  vnetOffset: number,
  length: number,
): NaivePacket | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset + vnetOffset + 10, length - 10);
  if (view.byteLength < 20 || view.getUint8(0) >> 4 !== 4) return undefined;
  const headerLength = (view.getUint8(0) & 15) * 4;
  const totalLength = view.getUint16(2);
  if (headerLength < 20 || headerLength > totalLength || totalLength > view.byteLength)
    return undefined;
  let sum = 0;
  for (let at = 0; at < headerLength; at += 2) sum += view.getUint16(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  if (sum !== 0xffff) return undefined;
  const protocol = view.getUint8(9);
  if ((protocol !== 6 && protocol !== 17) || totalLength < headerLength + 8) return undefined;
  return {
    protocol,
    source: view.getUint32(12),
    destination: view.getUint32(16),
    sourcePort: view.getUint16(headerLength),
    destinationPort: view.getUint16(headerLength + 2),
    length: totalLength,
  };
}

/** The same for both directions. */
function keyOf({
  protocol,
  source,
  destination,
  sourcePort,
  destinationPort,
}: NaivePacket): string {
  return source < destination
    ? `${protocol} ${source}:${sourcePort} ${destination}:${destinationPort}`
    : `${protocol} ${destination}:${destinationPort} ${source}:${sourcePort}`;
}

export class NaiveFirewall {
  readonly flows: LRUCache<string, NaiveFlow>;
  readonly #rules: readonly NaiveRule[];
  readonly #server: number;
  passed = 0;
  dropped = 0;

  constructor(capacity: number, rules: Rules, server: number) {
    this.flows = new LRUCache({ max: capacity });
    this.#server = server >>> 0;
    this.#rules = rules.map(({ protocol, firstPort, lastPort, source }) => ({
      protocol: protocol === 'tcp' ? 6 : 17,
      firstPort,
      lastPort,
      source: source === undefined ? undefined : addressOf(source) >>> 0,
    }));
  }

  judge({ bytes, offsets, lengths }: Batch, count: number, nowMs: number): void {
    for (let slot = 0; slot < count; slot++) {
      const packet = parseNaively(bytes, offsets[slot]!, lengths[slot]!);
      if (packet !== undefined && this.#mayPass(packet, nowMs)) this.passed++;
      else this.dropped++;
    }
  }

  #mayPass(packet: NaivePacket, nowMs: number): boolean {
    const key = keyOf(packet);
    const flow = this.flows.get(key);
    if (flow !== undefined) {
      flow.lastSeenMs = nowMs;
      flow.packets++;
      flow.bytes += packet.length;
      return true;
    }
    if (!this.#allows(packet)) return false;
    this.flows.set(key, { lastSeenMs: nowMs, packets: 1, bytes: packet.length });
    return true;
  }

  #allows(packet: NaivePacket): boolean {
    if (packet.destination !== this.#server) return false;
    return this.#rules.some(
      (rule) =>
        rule.protocol === packet.protocol &&
        packet.destinationPort >= rule.firstPort &&
        packet.destinationPort <= rule.lastPort &&
        (rule.source === undefined || rule.source === packet.source),
    );
  }

  /** Looks at every flow. */
  expire(nowMs: number, timeoutMs: number): number {
    let removed = 0;
    for (const [key, flow] of this.flows.entries()) {
      if (nowMs - flow.lastSeenMs < timeoutMs) continue;
      this.flows.delete(key);
      removed++;
    }
    return removed;
  }
}
