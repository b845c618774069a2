/** Drops by source, destination, port and reason: counts, times, order, filters, and what a flood does to them. */
import { describe, expect, it } from 'vitest';
import type { DropGroupsQuery } from '../../../../src/control/api/context.ts';
import { DropCounter, keptKinds } from '../../../../src/control/service/drop-groups.ts';
import { EventWord } from '../../../../src/dataplane/engine/event-ring.ts';
import { DropReason } from '../../../../src/dataplane/wire/drop-reason.ts';
import { Protocol } from '../../../../src/dataplane/wire/headers.ts';
import { addressToInt } from '../../../../src/testing/packets.ts';

const beginMs = Date.UTC(2030, 0, 1);
const names = new Map([[3, 'web']]);
const web = '10.0.0.2';

interface Dropped {
  readonly from?: string;
  readonly port?: number;
  readonly protocol?: number;
  readonly reason?: number;
  readonly atMs?: number;
}

class Drops {
  readonly counter: DropCounter = new DropCounter({
    wallClockOf: (thenMs) => beginMs + thenMs,
    serverName: (slot) => names.get(slot),
  });

  add(dropped: Dropped): this {
    const { from = '198.51.100.7', port = 22, protocol = Protocol.tcp, atMs = 0 } = dropped;
    const words = new Int32Array(16);
    words[EventWord.timeMs] = atMs;
    words[EventWord.reason] = dropped.reason ?? DropReason.noInboundRule;
    words[EventWord.srcAddr] = addressToInt(from);
    words[EventWord.dstAddr] = addressToInt(web);
    words[EventWord.ports] = (4000 << 16) | port;
    words[EventWord.protocol] = protocol;
    words[EventWord.length] = 60;
    words[EventWord.servers] = 3;
    this.counter.add(words);
    return this;
  }

  groups(query: Partial<DropGroupsQuery>) {
    const by = ['source', 'destination', 'port', 'reason'] as const;
    return this.counter.groups({ by, sort: 'count', limit: 100, ...query });
  }
}

const at = (ms: number): string => new Date(beginMs + ms).toISOString();

describe('drops are grouped', () => {
  const drops = new Drops()
    .add({ atMs: 1000 })
    .add({ atMs: 3000 })
    .add({ port: 23, atMs: 2000 })
    .add({ from: '203.0.113.9', atMs: 5000 })
    .add({ protocol: Protocol.icmp, reason: DropReason.land, atMs: 4000 });

  it('by all that tells them apart, the most frequent first', () => {
    const { groups, total, drops: count, forgotten } = drops.groups({});
    expect(groups[0]).toEqual({
      ...{ source: '198.51.100.7', destination: web, destinationServer: 'web' },
      ...{ protocol: 'tcp', destinationPort: 22, reason: 'no-inbound-rule' },
      ...{ count: 2, bytes: 120, first: at(1000), last: at(3000) },
    });
    expect([groups.length, total, count, forgotten]).toEqual([4, 4, 5, 0]);
  });

  it.each<[Partial<DropGroupsQuery>, (readonly [unknown, number])[]]>([
    [
      { by: ['source'] },
      [
        ['198.51.100.7', 4],
        ['203.0.113.9', 1],
      ],
    ],
    [
      { by: ['port'] },
      [
        ['tcp 22', 3],
        ['icmp ', 1],
        ['tcp 23', 1],
      ],
    ],
    [{ by: ['reason'], reason: 'land' }, [['land', 1]]],
    [{ by: ['destination'], server: 'web' }, [[web, 5]]],
    [{ by: ['destination'], server: 'db' }, []],
    [{ by: ['source'], sort: 'last', limit: 1 }, [['203.0.113.9', 1]]],
  ])('%j', (query, wanted) => {
    const groups = drops.groups(query).groups.map((group) => {
      const { source, destination, protocol, destinationPort = '', reason } = group;
      const port = protocol === undefined ? undefined : `${protocol} ${destinationPort}`;
      return [source ?? destination ?? port ?? reason, group.count] as const;
    });
    expect(groups).toEqual(wanted);
  });
});

it('a flood of invented sources does not drive out what keeps coming', () => {
  const drops = new Drops();
  const address = (n: number): string => `100.${n >>> 16}.${(n >>> 8) & 255}.${n & 255}`;
  const flood = 3 * keptKinds;
  for (let n = 0; n < flood; n++) {
    drops.add({ from: address(n), atMs: n });
    if (n % 1000 === 0) drops.add({ from: '203.0.113.9', atMs: n });
  }
  const { groups, total, drops: counted, forgotten } = drops.groups({ by: ['source'] });
  expect(groups[0]).toMatchObject({ source: '203.0.113.9', count: Math.ceil(flood / 1000) });
  expect(total).toBeLessThanOrEqual(keptKinds);
  // None is counted twice or lost.
  expect(counted + forgotten).toBe(flood + Math.ceil(flood / 1000));
});
