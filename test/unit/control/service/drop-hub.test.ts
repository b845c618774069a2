/** The last drops: all fields, filters, the bound, and everybody who listens. */
import { describe, expect, it } from 'vitest';
import type { Drop } from '../../../../src/control/api/context.ts';
import { DropHub, keptDrops } from '../../../../src/control/service/drop-hub.ts';
import { EngineFixture } from '../../../support/engine-fixture.ts';
import { icmpMessage, ipv4Packet, tcpPacket, udpPacket } from '../../../../src/testing/packets.ts';
import { policyOf } from '../../../support/policies.ts';

const client = '198.51.100.2';
const [web, db] = ['10.0.0.2', '10.0.0.3'] as const;
const names = [undefined, 'web', 'db'];

function fixture() {
  const engine = new EngineFixture({
    policy: policyOf(
      { none: { inbound: [], outbound: [{ protocol: 'udp' }] } },
      [
        { name: 'web', addresses: [web], templates: ['none'] },
        { name: 'db', addresses: [db], templates: [] },
      ],
      7,
    ),
  });
  const startMs = Date.parse('2026-01-02T03:04:05.000Z');
  const hub = new DropHub({
    wallClockOf: (thenMs) => startMs + thenMs - 1_000_000,
    serverName: (slot) => names[slot],
  });
  const drop = (...packets: Uint8Array[]): void => {
    for (const packet of packets) {
      engine.forward(packet);
      while (engine.events.read()) hub.add(engine.events.record);
    }
  };
  return { engine, hub, drop };
}

describe('a drop', () => {
  it('is reported with all that was read of it', () => {
    const { engine, hub, drop } = fixture();
    engine.nowMs += 1234;
    drop(
      tcpPacket(client, web, { srcPort: 4000, dstPort: 22, flags: 'S' }),
      ipv4Packet({ src: web, dst: db, protocol: 1, payload: icmpMessage(5, 1, 0) }),
      udpPacket(web, db, 5, 6),
      Uint8Array.of(0x60, 0, 0),
    );
    const at = '2026-01-02T03:04:06.234Z';
    expect(hub.recent({}, 10)).toEqual([
      {
        id: 1,
        at,
        reason: 'no-inbound-rule',
        direction: 'inbound',
        protocol: 'tcp',
        source: client,
        sourcePort: 4000,
        destination: web,
        destinationPort: 22,
        destinationServer: 'web',
        tcpFlags: 'S',
        bytes: 40,
        epoch: 7,
      },
      {
        id: 2,
        at,
        reason: 'icmp-redirect',
        direction: 'none',
        protocol: 'icmp',
        source: web,
        destination: db,
        sourceServer: 'web',
        destinationServer: 'db',
        icmpType: 5,
        icmpCode: 1,
        bytes: 36,
        epoch: 7,
      },
      {
        id: 3,
        at,
        reason: 'no-inbound-rule',
        direction: 'internal',
        protocol: 'udp',
        source: web,
        sourcePort: 5,
        destination: db,
        destinationPort: 6,
        sourceServer: 'web',
        destinationServer: 'db',
        bytes: 36,
        epoch: 7,
      },
      {
        id: 4,
        at,
        reason: 'ipv6',
        direction: 'none',
        protocol: '0',
        source: '0.0.0.0',
        destination: '0.0.0.0',
        bytes: 3,
        epoch: 7,
      },
    ]);
  });

  it('has no TCP flags and no ICMP type that an earlier packet had', () => {
    const { hub, drop } = fixture();
    const short = (protocol: number): Uint8Array =>
      ipv4Packet({ src: client, dst: web, protocol, payload: new Uint8Array(4) });
    drop(tcpPacket(client, web, { srcPort: 4000, dstPort: 22, flags: 'S' }), short(6));
    drop(
      ipv4Packet({ src: client, dst: web, protocol: 1, payload: icmpMessage(5, 1, 0) }),
      short(1),
    );
    const [, badTcp, , badIcmp] = hub.recent({}, 10);
    expect(badTcp).toMatchObject({ reason: 'bad-tcp-header', protocol: 'tcp' });
    expect(badTcp).not.toHaveProperty('tcpFlags');
    expect(badIcmp).toMatchObject({ reason: 'bad-icmp', protocol: 'icmp' });
    expect(badIcmp).not.toHaveProperty('icmpType');
  });
});

describe('the hub', () => {
  it('keeps the last thousand, and finds by server and reason', () => {
    const { engine, hub, drop } = fixture();
    drop(udpPacket(client, db, 1, 1));
    for (let port = 1; port < keptDrops; port++) {
      engine.nowMs++;
      drop(
        tcpPacket(client, web, { srcPort: port, dstPort: 22, flags: port % 100 === 0 ? 'A' : 'S' }),
      );
    }
    expect(hub.recent({}, 5000)).toHaveLength(keptDrops);
    expect(hub.recent({ server: 'db' }, 10).map(({ id }) => id)).toEqual([1]);
    expect(hub.recent({ server: 'mail' }, 10)).toEqual([]);
    const ids = hub.recent({ server: 'web', reason: 'invalid-state' }, 3).map(({ id }) => id);
    expect(ids).toEqual([701, 801, 901]);
    drop(udpPacket(client, db, 2, 1));
    expect(hub.recent({ server: 'db' }, 10).map(({ id }) => id)).toEqual([1001]);
    const all = hub.recent({}, 5000);
    expect([all.length, all[0]!.id, all.at(-1)!.id]).toEqual([keptDrops, 2, 1001]);
  });

  it('sends every listener the drops of its filter, and nothing after it has left', () => {
    const { hub, drop } = fixture();
    const heard: Record<string, Drop[]> = { all: [], db: [], udp: [] };
    const stops = [
      hub.subscribe({}, (each) => heard.all!.push(each)),
      hub.subscribe({ server: 'db' }, (each) => heard.db!.push(each)),
      hub.subscribe({ reason: 'no-outbound-rule' }, (each) => heard.udp!.push(each)),
    ];
    drop(udpPacket(client, db, 1, 1), udpPacket(client, web, 1, 1), udpPacket(db, client, 1, 1));
    expect(heard.all!.map(({ id }) => id)).toEqual([1, 2, 3]);
    expect(heard.db!.map(({ id }) => id)).toEqual([1, 3]);
    expect(heard.udp!.map(({ id }) => id)).toEqual([3]);
    for (const stop of stops) stop();
    drop(udpPacket(client, db, 1, 1));
    expect(heard.all).toHaveLength(3);
  });
});
