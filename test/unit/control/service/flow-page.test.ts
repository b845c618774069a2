/** The flow table as it is listed: filters, order and pages against a model; ids; ending flows. */
import { describe, expect, it } from 'vitest';
import { FlowEvent } from '../../../../src/dataplane/flow/flow-events.ts';
import type { Flow, FlowQuery } from '../../../../src/control/api/context.ts';
import { describeFlow, flowPage, parseFlowId } from '../../../../src/control/service/flow-page.ts';
import { EngineFixture } from '../../../support/engine-fixture.ts';
import { observe } from '../../../support/observed.ts';
import {
  addressToInt,
  icmpQuery,
  synOptions,
  tcpPacket,
  udpPacket,
} from '../../../../src/testing/packets.ts';
import { policyOf } from '../../../support/policies.ts';

const client = '198.51.100.2';
const [web, db] = ['10.0.0.2', '10.0.0.3'] as const;
const names = [undefined, 'web', 'db'];
const nameOf = (slot: number): string | undefined => names[slot];

const open = policyOf(
  { open: { inbound: [{ protocol: 'all' }], outbound: [{ protocol: 'all' }] } },
  [
    { name: 'web', addresses: [web], templates: ['open'] },
    { name: 'db', addresses: [db], templates: ['open'] },
  ],
);

function fixture(capacity = 64) {
  const engine = new EngineFixture({ policy: open, capacity });
  const { flows, lock } = observe(engine);
  const page = (query: Partial<FlowQuery> = {}) => {
    const slot = query.server === undefined ? 0 : Math.max(0, names.indexOf(query.server));
    const address = query.address === undefined ? undefined : addressToInt(query.address);
    return flowPage(flows, { sort: 'age', limit: 100, ...query }, { slot, address }, nameOf);
  };
  return { engine, flows, lock, page };
}

/** Ends a flow by the id that a page has shown. */
function kill({ flows }: ReturnType<typeof fixture>, id: string): boolean {
  const { flow, tag } = parseFlowId(id)!;
  return flows.kill(flow, tag);
}

describe('a flow', () => {
  it('is reported with all that it is', async () => {
    const { engine, page } = fixture();
    engine.forward(
      tcpPacket(client, web, {
        srcPort: 4000,
        dstPort: 443,
        flags: 'S',
        seq: 1,
        options: synOptions(7),
      }),
    );
    engine.nowMs += 4500;
    engine.forward(
      tcpPacket(web, client, { srcPort: 443, dstPort: 4000, flags: 'SA', seq: 9, ack: 2 }),
    );
    engine.nowMs += 3600;
    const { flows, total } = await page();
    expect(total).toBe(1);
    expect(flows[0]).toEqual({
      id: expect.stringMatching(/^1-[0-9a-f]+$/) as string,
      protocol: 'tcp',
      state: 'syn_recv',
      source: client,
      sourcePort: 4000,
      destination: web,
      destinationPort: 443,
      destinationServer: 'web',
      original: { packets: 1, bytes: 52 },
      reply: { packets: 1, bytes: 40 },
      ageSeconds: 8,
      idleSeconds: 3,
      expiresSeconds: 56,
      epoch: 1,
    });
  });

  it('of ICMP has a type and an identifier, and between servers two names', async () => {
    const { engine, page } = fixture();
    engine.forward(icmpQuery(web, db, 8, 77));
    const [flow] = (await page()).flows;
    expect(flow).toMatchObject({ protocol: 'icmp', icmpType: 8, icmpId: 77, state: 'unanswered' });
    expect(flow).toMatchObject({ sourceServer: 'web', destinationServer: 'db' });
    expect(flow).not.toHaveProperty('sourcePort');
  });

  it('is none any more when its time is over', async () => {
    const { engine, page } = fixture();
    engine.forward(udpPacket(client, web, 4000, 53));
    engine.nowMs += 29_999;
    expect((await page()).total).toBe(1);
    engine.nowMs += 1;
    expect((await page()).total).toBe(0);
  });
});

describe('a page', () => {
  const mixed = () => {
    const all = fixture();
    const { engine } = all;
    engine.forward(
      tcpPacket(client, web, { srcPort: 4000, dstPort: 443, flags: 'S', seq: 1 }),
      udpPacket(client, web, 4001, 53),
      udpPacket(web, db, 443, 5432),
      icmpQuery('198.51.100.9', db, 8, 443),
    );
    engine.forward(udpPacket(web, client, 53, 4001));
    return all;
  };

  it.each<[string, Partial<FlowQuery>, number]>([
    ['a server', { server: 'web' }, 3],
    ['the other one', { server: 'db' }, 2],
    ['an unknown server', { server: 'mail' }, 0],
    ['an address', { address: client }, 2],
    ['an address that is a server', { address: db }, 2],
    ['an address without flows', { address: '192.0.2.1' }, 0],
    ['a port at either end', { port: 443 }, 2],
    ['a protocol', { protocol: 'udp' }, 2],
    ['ICMP, which has no ports', { protocol: 'icmp', port: 443 }, 0],
    ['a state', { state: 'unanswered' }, 2],
    ['a state of one protocol', { state: 'syn_sent' }, 1],
    ['all of it', { server: 'web', protocol: 'udp', port: 53, state: 'answered' }, 1],
    ['nothing', {}, 4],
  ])('shows flows of %s', async (_what, query, count) => {
    const { page } = mixed();
    const { flows, total, next } = await page(query);
    expect([flows.length, total, next]).toEqual([count, count, undefined]);
  });

  it.each(['bytes', 'packets', 'age'] as const)(
    'of flows by %s goes on where the one before has ended',
    async (sort) => {
      const { engine, page } = fixture(4096);
      const sizes = Array.from({ length: 2500 }, (_, i) => (i * 7919) % 311);
      for (const [i, size] of sizes.entries()) {
        engine.nowMs += i % 50 === 0 ? 10 : 0;
        const packet = udpPacket(client, web, 1000 + i, 53, new Uint8Array(size));
        engine.forward(...Array<Uint8Array>(1 + (size % 3)).fill(packet));
      }
      const seen: Flow[] = [];
      let after: string | undefined;
      let pages = 0;
      do {
        const { flows, total, next } = await page({
          sort,
          limit: 400,
          ...(after !== undefined && { after }),
        });
        expect(total).toBe(2500);
        seen.push(...flows);
        after = next;
        pages++;
        engine.nowMs += 5;
      } while (after !== undefined);
      expect(pages).toBe(7);
      expect(new Set(seen.map(({ id }) => id)).size).toBe(2500);
      const key = ({ original, sourcePort }: Flow): number =>
        sort === 'age' ? -Math.floor((sourcePort! - 1000) / 50) : original[sort];
      const keys = seen.map(key);
      expect(keys).toEqual([...keys].sort((a, b) => b - a));
    },
  );
});

describe('ending a flow', () => {
  it('leaves its next packet to the rules', async () => {
    const all = fixture();
    const { engine, page } = all;
    engine.forward(tcpPacket(client, web, { srcPort: 4000, dstPort: 443, flags: 'S', seq: 1 }));
    engine.forward(udpPacket(client, web, 4001, 53));
    const answer = tcpPacket(web, client, {
      srcPort: 443,
      dstPort: 4000,
      flags: 'SA',
      seq: 9,
      ack: 2,
    });
    for (const { id } of (await page()).flows) {
      expect(kill(all, id)).toBe(true);
      expect(kill(all, id)).toBe(false);
    }
    expect(engine.check().size).toBe(0);
    expect(engine.judge(answer)).toBe('flow-killed');
    expect(engine.judge(udpPacket(client, web, 4001, 53))).toBe('pass');
  });

  it('never ends a later one in its place', async () => {
    const all = fixture();
    const { engine, page } = all;
    engine.forward(udpPacket(client, web, 4000, 53));
    const [{ id } = { id: '' }] = (await page()).flows;
    kill(all, id);
    // The same record, within the same millisecond.
    engine.forward(udpPacket(client, web, 4001, 53));
    expect(kill(all, id)).toBe(false);
    // The same tuple later.
    kill(all, (await page()).flows[0]!.id);
    engine.nowMs += 1;
    engine.forward(udpPacket(client, web, 4000, 53));
    expect(kill(all, id)).toBe(false);
    expect(engine.check().size).toBe(1);
  });

  it('knows ids from other texts', async () => {
    const all = fixture();
    all.engine.forward(udpPacket(client, web, 4000, 53));
    const [{ id } = { id: '' }] = (await all.page()).flows;
    for (const text of [
      '',
      '1',
      '1-',
      '-1-2',
      '0-12',
      '1-xyz',
      `${id}0000000`,
      `0${id}`,
      ` ${id}`,
    ]) {
      expect(parseFlowId(text), text).toBeUndefined();
    }
    expect(kill(all, '65000-1')).toBe(false);
    expect(kill(all, '2-1')).toBe(false);
    expect(kill(all, id)).toBe(true);
  });
});

it('a walk meets every flow that stays exactly once, whatever others do', async () => {
  const { engine, flows, lock } = fixture(8192);
  for (let port = 1; port <= 5000; port++) engine.forward(udpPacket(client, web, port, 53));
  let port = 10_000;
  lock.meddle = () => {
    for (let i = 0; i < 50; i++) engine.forward(udpPacket(client, db, ++port, 53));
    for (let gone = 2; gone < 5000; gone += 100) {
      const copy = flows.find(17, addressToInt(client), gone, addressToInt(web), 53);
      if (copy !== undefined) engine.engine.table.remove(copy.flow, FlowEvent.none, 0);
    }
  };
  const met = new Map<number, number>();
  await flows.walk((copy) => {
    const flow = describeFlow(copy, flows, nameOf);
    if (flow.destination === web) met.set(flow.sourcePort!, (met.get(flow.sourcePort!) ?? 0) + 1);
  });
  const staying = Array.from({ length: 5000 }, (_, i) => i + 1).filter((p) => p % 100 !== 2);
  expect(staying.filter((p) => met.get(p) !== 1)).toEqual([]);
  engine.check();
});
