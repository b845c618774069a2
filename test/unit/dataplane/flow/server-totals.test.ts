/** What servers have sent and received: every packet counts once, whatever becomes of its flow and whoever looks meanwhile. */
import { describe, expect, it } from 'vitest';
import { FlowEvent } from '../../../../src/dataplane/flow/flow-events.ts';
import { ReloadMode } from '../../../../src/dataplane/engine/engine.ts';
import { Control, createFlowMemory } from '../../../../src/dataplane/flow/flow-memory.ts';
import type { FlowMemory } from '../../../../src/dataplane/flow/flow-memory.ts';
import { Cold, coldWords } from '../../../../src/dataplane/flow/flow-record.ts';
import type { FlowIndex } from '../../../../src/dataplane/flow/flow-record.ts';
import type { FlowTable } from '../../../../src/dataplane/flow/flow-table.ts';
import type { ServerTraffic } from '../../../../src/dataplane/worker/flow-inspector.ts';
import { loadGuardedBuild } from '../../../fuzz/guarded-build.ts';
import { EngineFixture, timeoutsMs } from '../../../support/engine-fixture.ts';
import { observe } from '../../../support/observed.ts';
import { icmpMessage, ipv4Packet, tcpPacket, udpPacket } from '../../../../src/testing/packets.ts';
import { policyOf } from '../../../support/policies.ts';
import type { PlainRule } from '../../../support/policies.ts';
import { seed } from '../../../support/seed.ts';
import { naiveServerTotals } from '../../../support/server-totals.ts';

const client = '198.51.100.2';
const [web, db] = ['10.0.0.2', '10.0.0.3'] as const;

/** Everybody may do everything with TCP and UDP. Slots of servers in policies of tests are their places: web 1, db 2. */
const open = (epoch = 1) => {
  const rules: PlainRule[] = [{ protocol: 'tcp' }, { protocol: 'udp' }];
  return policyOf(
    { open: { inbound: rules, outbound: rules } },
    [
      { name: 'web', addresses: [web], templates: ['open'] },
      { name: 'db', addresses: [db], templates: ['open'] },
    ],
    epoch,
  );
};

const words = (traffic: ServerTraffic | undefined): number[] =>
  traffic === undefined
    ? [0, 0, 0, 0, 0, 0, 0, 0]
    : [
        traffic.packetsIn,
        traffic.packetsOut,
        traffic.bytesIn,
        traffic.bytesOut,
        traffic.droppedPacketsIn,
        traffic.droppedPacketsOut,
        traffic.droppedBytesIn,
        traffic.droppedBytesOut,
      ];

function fixture(capacity = 64) {
  const engine = new EngineFixture({ policy: open(), capacity });
  const { flows, lock } = observe(engine);
  const totals = async (): Promise<number[][]> => {
    // Older than the totals that are served twice.
    engine.nowMs += 1000;
    const traffic = await flows.serverTraffic(3);
    return [1, 2].map((slot) => words(traffic.get(slot)));
  };
  const naive = (): number[][] => {
    const all = naiveServerTotals(engine.memory.flows);
    return [1, 2].map((slot) => all.get(slot) ?? [0, 0, 0, 0, 0, 0, 0, 0]);
  };
  return { engine, flows, lock, totals, naive };
}

const payload = (length: number): Uint8Array => new Uint8Array(length);

describe('the totals of servers', () => {
  it('count both directions of a flow, before and after its end', async () => {
    const { engine, totals } = fixture();
    engine.forward(
      udpPacket(client, web, 4000, 53, payload(100)),
      udpPacket(web, client, 53, 4000, payload(300)),
    );
    const expected = [
      [1, 1, 128, 328, 0, 0, 0, 0],
      [0, 0, 0, 0, 0, 0, 0, 0],
    ];
    expect(await totals()).toEqual(expected);
    engine.nowMs += 60_000;
    engine.engine.tick(engine.nowMs);
    expect(engine.check().size).toBe(0);
    expect(await totals()).toEqual(expected);
  });

  it('count between two servers on both sides', async () => {
    const { engine, totals } = fixture();
    engine.forward(
      udpPacket(web, db, 4000, 53, payload(12)),
      udpPacket(db, web, 53, 4000, payload(72)),
    );
    expect(await totals()).toEqual([
      [1, 1, 100, 40, 0, 0, 0, 0],
      [1, 1, 40, 100, 0, 0, 0, 0],
    ]);
  });

  it('count the RST that ends a flow, and ICMP errors about it', async () => {
    const { engine, totals } = fixture();
    const syn = tcpPacket(client, web, { srcPort: 4000, dstPort: 80, flags: 'S', seq: 1 });
    const query = udpPacket(client, web, 4000, 53);
    const error = ipv4Packet({
      src: web,
      dst: client,
      protocol: 1,
      payload: icmpMessage(3, 3, 0, query.slice(0, 28)),
    });
    const reset = tcpPacket(web, client, {
      srcPort: 80,
      dstPort: 4000,
      flags: 'RA',
      seq: 0,
      ack: 2,
    });
    expect([syn, query, error, reset].map((packet) => engine.judge(packet))).toEqual(
      Array<string>(4).fill('pass'),
    );
    const sent = error.length + reset.length;
    expect((await totals())[0]).toEqual([2, 2, syn.length + query.length, sent, 0, 0, 0, 0]);
  });

  it('count drops at both ends that are servers', async () => {
    const { engine, totals } = fixture();
    const gre = (src: string, dst: string): Uint8Array =>
      ipv4Packet({ src, dst, protocol: 47, payload: payload(80) });
    engine.forward(gre(client, web), gre(web, db), gre(client, '192.0.2.1'));
    expect(await totals()).toEqual([
      [0, 0, 0, 0, 1, 1, 100, 100],
      [0, 0, 0, 0, 1, 0, 100, 0],
    ]);
  });

  it('count fragments that are given up', async () => {
    const { engine, totals } = fixture();
    const part = { src: client, dst: web, protocol: 17, payload: payload(80) };
    engine.forward(ipv4Packet({ ...part, moreFragments: true }));
    engine.nowMs += 31_000;
    engine.engine.tick(engine.nowMs);
    expect((await totals())[0]).toEqual([0, 0, 0, 0, 1, 0, 100, 0]);
  });

  it('go on where the counts of a flow begin again', async () => {
    const { engine, totals } = fixture();
    engine.forward(udpPacket(client, web, 4000, 53), udpPacket(web, client, 53, 4000));
    const [flow] = [...engine.check()];
    const { cold } = engine.engine.table;
    const record = flow! * coldWords;
    cold[record + Cold.packets] = -1;
    cold[record + Cold.bytes] = -1;
    cold[record + Cold.bytes + 1] = -10;
    cold[record + Cold.bytesHigh] = 0xffff | (7 << 16);
    engine.forward(
      udpPacket(client, web, 4000, 53, payload(8)),
      udpPacket(web, client, 53, 4000, payload(8)),
    );
    const [packetsIn, packetsOut, bytesIn, bytesOut] = (await totals())[0]!;
    expect([packetsIn, packetsOut]).toEqual([2 ** 32, 2]);
    expect([bytesIn, bytesOut]).toEqual([2 ** 48 + 35, 8 * 2 ** 32 + 26]);
  });

  it('stay with the server that an address had when it was used', async () => {
    const { engine, totals } = fixture();
    engine.forward(udpPacket(client, web, 4000, 53, payload(12)));
    // The first server has moved to the other address: of two slots the names change places.
    const moved = policyOf(
      { open: { inbound: [{ protocol: 'all' }], outbound: [] } },
      [
        { name: 'web', addresses: [db], templates: ['open'] },
        { name: 'db', addresses: [web], templates: ['open'] },
      ],
      2,
    );
    engine.engine.setPolicy(moved, ReloadMode.cut, 0);
    engine.forward(udpPacket(client, web, 4000, 53, payload(22)));
    expect(await totals()).toEqual([
      [1, 0, 40, 0, 0, 0, 0, 0],
      [1, 0, 50, 0, 0, 0, 0, 0],
    ]);
    engine.engine.table.remove([...engine.check()][0] as FlowIndex, FlowEvent.none, 0);
    expect(await totals()).toEqual([
      [1, 0, 40, 0, 0, 0, 0, 0],
      [1, 0, 50, 0, 0, 0, 0, 0],
    ]);
  });
});

it('a walk returns what was true while it ran, whatever flows do meanwhile', async () => {
  const { engine, flows, lock, totals, naive } = fixture(8192);
  let state = seed;
  const random = (below: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  let epoch = 1;
  const happen = (): void => {
    const packets = Array.from({ length: 40 }, () => {
      const port = 1 + random(6000);
      const peers = [
        [client, web],
        [web, db],
        [db, client],
      ] as const;
      const [from, to] = peers[random(3)]!;
      const size = payload(random(200));
      return random(2) === 0
        ? udpPacket(from, to, port, 53, size)
        : udpPacket(to, from, 53, port, size);
    });
    engine.forward(...packets);
    const live = [...engine.check()];
    for (let i = 0; i < 15 && live.length > 0; i++) {
      const flow = live.splice(random(live.length), 1)[0]!;
      engine.engine.table.remove(flow as FlowIndex, FlowEvent.none, 0);
    }
    if (random(10) > 0) return;
    engine.engine.setPolicy(open(++epoch), ReloadMode.cut, 0);
  };
  for (let i = 0; i < 100; i++) happen();
  lock.meddle = happen;
  let last = naive();
  for (let walk = 0; walk < 12; walk++) {
    const before = naive();
    const walked = await totals();
    const after = naive();
    walked.forEach((server, slot) => {
      server.forEach((value, word) => {
        const range = [before[slot]![word]!, after[slot]![word]!];
        expect(value, `walk ${walk}, slot ${slot}, word ${word}`).toBeGreaterThanOrEqual(range[0]!);
        expect(value, `walk ${walk}, slot ${slot}, word ${word}`).toBeLessThanOrEqual(range[1]!);
        expect(value).toBeGreaterThanOrEqual(last[slot]![word]!);
      });
    });
    last = walked;
  }
  lock.meddle = () => undefined;
  expect(await totals()).toEqual(naive());
  expect(await flows.serverTraffic(3)).toBe(await flows.serverTraffic(3));
});

it('a walk that fails is the only one that does, and leaves nothing behind', async () => {
  const { engine, lock, totals, naive } = fixture();
  engine.forward(udpPacket(client, web, 4000, 53), udpPacket(web, client, 53, 4000));
  lock.meddle = () => {
    throw new Error('no walk today');
  };
  await expect(totals()).rejects.toThrow('no walk today');
  lock.meddle = () => undefined;
  expect(engine.engine.table.control[Control.countedBelow]).toBe(0);
  expect(await totals()).toEqual(naive());
});

describe('the totals that a killed process leaves', () => {
  const limits = { timeoutsMs: timeoutsMs(), serverShare: Infinity };
  /** Packets there of servers 1 to 4, with those of the flow: 10 came, 5 went. */
  const packetsIn = (flows: FlowMemory): number[] => {
    const totals = naiveServerTotals(flows);
    return [1, 2, 3, 4].map((slot) => totals.get(slot)?.[0] ?? 0);
  };

  it.each([
    [
      'a flow is removed',
      [10, 5, 0, 0],
      [10, 5, 0, 0],
      (table: FlowTable, flow: FlowIndex) => table.remove(flow, FlowEvent.timeout, 1),
    ],
    [
      'a flow comes to other servers',
      [10, 5, 0, 0],
      [10, 5, 0, 0],
      (table: FlowTable, flow: FlowIndex) => table.assign(flow, (4 << 16) | 3),
    ],
  ])('while %s: nothing counts twice', async (_what, before, after, step) => {
    const { runtime, flowTable } = await loadGuardedBuild();
    let lost = 0;
    for (let writes = 0; ; writes++) {
      const memory = createFlowMemory(4, [1, 2]);
      const table = new flowTable.FlowTable(memory, limits, { evictions: new Float64Array(4) });
      table.lookup(17, 1, 2, 3, 4, 1);
      const flow = table.insert(17, 1, 2, 3, 4, 10, 5, 1, 1, (2 << 16) | 1, 1);
      for (let i = 0; i < 15; i++) table.account(flow, i < 10 ? 0 : 1, 100);
      expect(packetsIn(memory)).toEqual(before);
      runtime.killAfter(writes);
      let killed = false;
      try {
        step(table, flow);
      } catch (error) {
        if (!(error instanceof runtime.Killed)) throw error;
        killed = true;
      } finally {
        runtime.killAfter(Infinity);
      }
      const left = packetsIn(memory);
      left.forEach((packets, slot) => {
        expect(packets, `${writes} writes`).toBeLessThanOrEqual(before[slot]!);
      });
      if (left.join() !== before.join()) lost++;
      if (killed) continue;
      expect(left).toEqual(after);
      // It was killed at places that matter.
      expect(lost).toBeGreaterThan(0);
      return;
    }
  });
});
