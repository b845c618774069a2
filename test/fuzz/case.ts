/**
 * A fuzz case: everything that an engine is given, as plain data, so that it can be replayed, shrunk and written to a file.
 */
import { internetChecksum } from '../../src/testing/packets.ts';

/** A packet, and what was done to it afterwards: each edit can be taken back by itself. */
export interface FuzzPacket {
  /** IPv4, as a builder made it. */
  readonly bytes: Uint8Array;
  /** Flags and segmentation type of the virtio header. */
  readonly vnetFlags: number;
  readonly gsoType: number;
  /** Overwritten bytes: position, value. */
  readonly edits: readonly (readonly [number, number])[];
  /** Length to which the packet is cut or filled up with zeros; undefined: as it is. */
  readonly length?: number | undefined;
  /** Whether checksums are put right behind the edits, so that what is wrong is only what was edited. */
  readonly repaired: boolean;
}

/** A new policy, by its number in policies.ts. */
export interface PolicyChange {
  readonly policy: number;
  /** ReloadMode of the engine. */
  readonly mode: number;
  readonly drainMs: number;
  /** It reaches the other engine only some steps later. */
  readonly late: boolean;
}

/** One turn of a packet thread: time goes by, a policy may arrive, a batch is judged, housekeeping may be due. */
export interface FuzzStep {
  readonly afterMs: number;
  /** Which of the two engines. */
  readonly engine: 0 | 1;
  readonly packets: readonly FuzzPacket[];
  readonly change?: PolicyChange | undefined;
  readonly tick: boolean;
}

export interface FuzzSettings {
  readonly capacity: number;
  readonly serverShare: number;
  readonly fragmentBytes: number;
  readonly startMs: number;
  readonly loose: boolean;
  readonly liberal: boolean;
}

export interface FuzzCase {
  readonly settings: FuzzSettings;
  readonly steps: readonly FuzzStep[];
}

/** The packet as it goes into the batch. */
export function finalBytes(packet: FuzzPacket): Uint8Array {
  const bytes = new Uint8Array(packet.length ?? packet.bytes.length);
  bytes.set(packet.bytes.subarray(0, bytes.length));
  for (const [at, value] of packet.edits) {
    if (at < bytes.length) bytes[at] = value;
  }
  if (packet.repaired) repair(bytes);
  return bytes;
}

/** Puts the IPv4 header's and the transport's checksums right, as far as they are there. */
function repair(bytes: Uint8Array): void {
  const headerLength = (bytes[0]! & 15) << 2;
  if (headerLength < 20 || bytes.length < headerLength) return;
  const view = new DataView(bytes.buffer);
  view.setUint16(10, 0);
  view.setUint16(10, internetChecksum(bytes.subarray(0, headerLength)));
  const end = Math.min(bytes.length, view.getUint16(2));
  const fragmented = (view.getUint16(6) & 0x3fff) !== 0;
  const protocol = bytes[9]!;
  const checksumAt = headerLength + (protocol === 6 ? 16 : protocol === 17 ? 6 : 2);
  if (fragmented || end < checksumAt + 2 || ![1, 6, 17].includes(protocol)) return;
  view.setUint16(checksumAt, 0);
  const payload = bytes.subarray(headerLength, end);
  const pseudo = new Uint8Array(12);
  pseudo.set(bytes.subarray(12, 20));
  pseudo[9] = protocol;
  new DataView(pseudo.buffer).setUint16(10, payload.length);
  const parts = protocol === 1 ? [payload] : [pseudo, payload];
  view.setUint16(checksumAt, internetChecksum(...parts));
}

/** Packets as hexadecimal; one line a step is what a reader looks through. */
export function formatCase({ settings, steps }: FuzzCase): string {
  const lines = steps.map((step) =>
    JSON.stringify({
      ...step,
      packets: step.packets.map(({ bytes, ...rest }) => ({
        bytes: Buffer.from(bytes).toString('hex'),
        ...rest,
      })),
    }),
  );
  return `{"settings":${JSON.stringify(settings)},"steps":[\n${lines.join(',\n')}\n]}\n`;
}

export function parseCase(text: string): FuzzCase {
  return JSON.parse(text, (key, value: unknown) =>
    key === 'bytes' ? Uint8Array.from(Buffer.from(value as string, 'hex')) : value,
  ) as FuzzCase;
}
