/** A configuration to replay through, and packets at their times. */
import type { ReplayConfig } from '../../src/interop/captures/replay.ts';
import { defaultGatewayConfig } from '../../src/policy/validate-gateway.ts';
import type { Recorded } from './captures.ts';
import { tcpPacket } from '../../src/testing/packets.ts';
import { toServers, toTemplates } from './policies.ts';

export const client = '198.51.100.2';
export const server = '10.0.0.2';
export const db = '10.0.0.3';

export const config: ReplayConfig = {
  gateway: defaultGatewayConfig,
  templates: toTemplates({
    web: {
      inbound: [{ protocol: 'tcp', ports: [80] }, { protocol: 'udp' }, { protocol: 'icmp' }],
      outbound: [{ protocol: 'tcp', ports: [5432] }],
    },
    db: { inbound: [{ protocol: 'tcp', ports: [5432], sources: [server] }], outbound: [] },
  }),
  servers: toServers([
    { name: 'web', addresses: [server], templates: ['web'] },
    { name: 'db', addresses: [db], templates: ['db'] },
  ]),
};

/** A packet so many milliseconds after the start. */
export const at = (
  ms: number,
  bytes: Uint8Array,
  originalLength: number = bytes.length,
): Recorded => ({
  seconds: 1_700_000_000 + Math.floor(ms / 1000),
  fraction: (ms % 1000) * 1000,
  bytes,
  originalLength,
});

export const fromClient = (flags: string, seq: number, ack = 0, dstPort = 80): Uint8Array =>
  tcpPacket(client, server, { srcPort: 4000, dstPort, flags, seq, ack });
export const fromServer = (flags: string, seq: number, ack = 0): Uint8Array =>
  tcpPacket(server, client, { srcPort: 80, dstPort: 4000, flags, seq, ack });
export const handshake: readonly Recorded[] = [
  at(0, fromClient('S', 1)),
  at(1, fromServer('SA', 100, 2)),
  at(2, fromClient('A', 2, 101)),
];
