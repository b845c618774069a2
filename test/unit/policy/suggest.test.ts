/** Rules from what was seen: against the naive matcher and naive minima, and by hand. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatRange } from '../../../src/policy/addresses.ts';
import { compilePolicy } from '../../../src/policy/compile.ts';
import type { QuestionProtocol } from '../../../src/policy/opening-packet.ts';
import { parsePeer } from '../../../src/policy/peers.ts';
import { hasAddress } from '../../../src/policy/ranges.ts';
import { fewProducts } from '../../../src/policy/rule-cover.ts';
import { formatRule } from '../../../src/policy/rule-notation.ts';
import { suggest } from '../../../src/policy/suggest.ts';
import type { SeenFlows, SuggestOptions, Suggestion } from '../../../src/policy/suggest.ts';
import type { Peer, Template } from '../../../src/policy/types.ts';
import { blocksAround } from '../../../src/policy/written-peers.ts';
import { addressToInt } from '../../../src/testing/packets.ts';
import type { RuleDirection } from '../../../src/text/rule-text.ts';
import { directions } from '../../../src/text/rule-text.ts';
import { NaivePolicy } from '../../support/naive-policy.ts';
import { toServers } from '../../support/policies.ts';
import { withGroups } from '../../support/random-groups.ts';
import { PolicyMaker, interestingPorts } from '../../support/random-policy.ts';
import { seed, seededRandom } from '../../support/seed.ts';

const nowMs = Date.parse('2026-06-01T00:00:00Z');
const unsigned = (text: string): number => addressToInt(text) >>> 0;
const random = fc.integer({ min: 0, max: 2 ** 31 - 1 });

describe('against the naive matcher', () => {
  const pool = [1, 2, 3, 4, 5, 6, 7, 16, 255].map((last) => unsigned('10.0.0.0') + last);
  const probes = [...pool, unsigned('10.0.0.8'), unsigned('9.255.255.255'), unsigned('10.77.0.1')];
  const protocols: QuestionProtocol[] = ['icmp', 'tcp', 'udp'];
  const portsOf = (protocol: QuestionProtocol): readonly number[] =>
    protocol === 'icmp' ? [0] : [0, ...interestingPorts, 2, 7999];

  interface Case {
    readonly naive: NaivePolicy;
    readonly server: string;
    readonly seen: SeenFlows[];
    readonly options: SuggestOptions;
  }

  function caseOf(start: number): Case {
    const maker = new PolicyMaker(seededRandom(start), pool);
    const naive = new NaivePolicy(withGroups(maker.policy(2), maker), nowMs);
    const kinds = new Map<string, SeenFlows>();
    for (let round = maker.below(30); round >= 0; round--) {
      const direction = maker.pick(directions);
      const protocol = maker.pick(protocols);
      const [peer, port] = [maker.pick(pool), maker.pick(portsOf(protocol))];
      const kind = { direction, protocol, peer, port, count: 1 + maker.below(3), lastMs: nowMs };
      kinds.set(`${direction} ${protocol} ${peer} ${port}`, kind);
    }
    return {
      naive,
      server: maker.pick(naive.source.servers).name,
      seen: [...kinds.values()],
      options: { mostPeers: 1 + maker.below(5), atLeast: 1 + maker.below(2) },
    };
  }

  function answerOf({ naive: { source }, server, seen, options }: Case): Suggestion {
    return suggest(
      { ...source, compiled: compilePolicy(source, 1, { nowMs }) },
      server,
      seen,
      options,
    );
  }

  /** The same policy with the suggested rules in a template of the server. */
  function withRules({ source }: NaivePolicy, server: string, { rules }: Suggestion): NaivePolicy {
    const own = (direction: RuleDirection) =>
      rules.filter((each) => each.direction === direction).map(({ rule }) => rule);
    const added = { name: 'added', inbound: own('inbound'), outbound: own('outbound') };
    return new NaivePolicy(
      {
        ...source,
        templates: [...source.templates, added],
        servers: source.servers.map((each) =>
          each.name === server ? { ...each, templates: [...each.templates, 'added'] } : each,
        ),
      },
      nowMs,
    );
  }

  const passes = (
    naive: NaivePolicy,
    name: string,
    {
      direction,
      protocol,
      peer,
      port,
    }: Pick<SeenFlows, 'direction' | 'protocol' | 'peer' | 'port'>,
  ): boolean => {
    const server = naive.source.servers.find((each) => each.name === name)!;
    return naive
      .templatesOf(server)
      .some((each) => each[direction].some((rule) => naive.allows(rule, protocol, peer, port)));
  };

  it('all that was seen passes, and what else would is exactly what it says', () => {
    const property = fc.property(random, (start) => {
      const each = caseOf(start);
      const { naive, server, seen, options } = each;
      const answer = answerOf(each);
      const after = withRules(naive, server, answer);
      let [allowed, leftOut] = [0, 0];
      for (const kind of seen) {
        if (passes(naive, server, kind)) allowed += kind.count;
        else if (kind.count < options.atLeast || (kind.port === 0 && kind.protocol !== 'icmp')) {
          leftOut += kind.count;
        } else expect(passes(after, server, kind), JSON.stringify(kind)).toBe(true);
      }
      expect([answer.allowed, answer.leftOut]).toEqual([allowed, leftOut]);
      for (const direction of directions) {
        for (const protocol of protocols) {
          for (const port of portsOf(protocol)) {
            for (const peer of probes) {
              const kind = { direction, protocol, peer, port };
              const isSeen = seen.some(
                (one) =>
                  one.direction === direction &&
                  one.protocol === protocol &&
                  one.peer === peer &&
                  one.port === port,
              );
              const told = answer.rules.some(
                ({ direction: own, rule, alsoAdmits }) =>
                  own === direction &&
                  rule.protocol === protocol &&
                  alsoAdmits.some(
                    ({ ports, addresses }) =>
                      (ports === undefined || hasAddress(ports, port)) &&
                      hasAddress(addresses, peer),
                  ),
              );
              const isNew = passes(after, server, kind) && !passes(naive, server, kind) && !isSeen;
              expect(told, JSON.stringify(kind)).toBe(isNew);
            }
          }
        }
      }
    });
    fc.assert(property, { seed, numRuns: 60 });
  });

  it('the order in which it was seen does not matter', () => {
    const property = fc.property(random, (start) => {
      const each = caseOf(start);
      expect(answerOf({ ...each, seen: each.seen.toReversed() })).toEqual(answerOf(each));
    });
    fc.assert(property, { seed, numRuns: 30 });
  });
});

describe('few products', () => {
  const matrix = fc.array(fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }), {
    ...{ minLength: 1, maxLength: 4 },
  });
  const pairsOf = (rows: readonly number[], columns: readonly number[]): string[] =>
    rows.flatMap((row) => columns.map((column) => `${row} ${column}`));

  /** Tries all. */
  function minimumOf(rows: readonly ReadonlySet<number>[]): number {
    const wanted = new Set(rows.flatMap((row, index) => pairsOf([index], [...row])));
    const subsets = Array.from({ length: 2 ** rows.length - 1 }, (_, bits) =>
      rows.flatMap((_row, index) => (((bits + 1) >> index) & 1 ? index : [])),
    );
    const products = subsets
      .map((own) =>
        pairsOf(
          own,
          [0, 1, 2, 3].filter((each) => own.every((row) => rows[row]!.has(each))),
        ),
      )
      .filter((pairs) => pairs.length > 0);
    let found: Set<string>[] = [new Set()];
    for (let count = 0; ; count++) {
      if (found.some((covered) => covered.size === wanted.size)) return count;
      found = found.flatMap((covered) => products.map((pairs) => new Set([...covered, ...pairs])));
    }
  }

  it('cover each pair and no other: at most one more than the fewest', () => {
    const property = fc.property(matrix, (cells) => {
      const rows = cells.map((row) => new Set(row.flatMap((isIn, column) => (isIn ? column : []))));
      const products = fewProducts(rows);
      const covered = new Set(products.flatMap((each) => pairsOf(each.rows, each.columns)));
      expect(covered).toEqual(new Set(rows.flatMap((row, index) => pairsOf([index], [...row]))));
      expect(products.length).toBeLessThanOrEqual(minimumOf(rows) + 1);
      const kinds = new Set(rows.filter(({ size }) => size > 0).map((row) => [...row].join()));
      expect(products.length).toBeLessThanOrEqual(kinds.size);
    });
    fc.assert(property, { seed, numRuns: 200 });
  });
});

describe('blocks around addresses', () => {
  const base = unsigned('203.0.113.0');

  /** Tries all: the smallest sum of block sizes that holds the addresses, with at most so many blocks. */
  function smallest(addresses: readonly number[], most: number, width = 16, from = 0): number {
    const own = addresses.filter((each) => each >= from && each < from + width);
    if (own.length === 0) return 0;
    if (most === 0) return Infinity;
    let best = width;
    if (width === 1) return best;
    for (let low = 0; low <= most; low++) {
      const half = width / 2;
      const size = smallest(own, low, half, from) + smallest(own, most - low, half, from + half);
      best = Math.min(best, size);
    }
    return best;
  }

  it('hold all, and the fewest others', () => {
    const lists = fc.uniqueArray(fc.integer({ min: 0, max: 15 }), { minLength: 1 });
    const property = fc.property(lists, fc.integer({ min: 1, max: 5 }), (list, most) => {
      const addresses = list.toSorted((a, b) => a - b);
      const blocks = blocksAround(
        addresses.map((each) => base + each),
        most,
      )!;
      expect(blocks.length).toBeLessThanOrEqual(most);
      for (const each of addresses) {
        expect(blocks.some(({ from, to }) => from <= base + each && base + each <= to)).toBe(true);
      }
      for (const { from, to } of blocks) expect(formatRange(from, to)).not.toContain('-');
      const size = blocks.reduce((sum, { from, to }) => sum + to - from + 1, 0);
      expect(size).toBe(smallest(addresses, most));
      if (blocks.length > 1) {
        expect(smallest(addresses, blocks.length - 1)).toBeGreaterThan(size);
      }
    });
    fc.assert(property, { seed, numRuns: 300 });
  });

  it('none is wider than /16', () => {
    const far = ['10.0.0.1', '10.0.255.1', '10.1.0.1', '255.255.255.255'].map(unsigned);
    const texts = (most: number): unknown =>
      blocksAround(far, most)?.map(({ from, to }) => formatRange(from, to));
    expect(texts(4)).toEqual(['10.0.0.1', '10.0.255.1', '10.1.0.1', '255.255.255.255']);
    expect(texts(3)).toEqual(['10.0.0.0/16', '10.1.0.1', '255.255.255.255']);
    expect(texts(2)).toBeUndefined();
    expect(blocksAround([], 0)).toEqual([]);
    expect(blocksAround([1], 0)).toBeUndefined();
  });
});

describe('by hand', () => {
  const named = (text: string): Peer => {
    const peer = parsePeer(text);
    if ('message' in peer) throw new Error(peer.message);
    return peer.value;
  };
  const office = { peers: [named('set:office')], except: [named('set:banned')] };
  const templates: Template[] = [
    {
      name: 'web',
      inbound: [
        { protocol: 'tcp', ports: [{ from: 443, to: 443 }], peers: [named('198.51.100.0/24')] },
        { protocol: 'tcp', ports: [{ from: 22, to: 22 }], ...office },
      ],
      outbound: [],
    },
  ];
  const server = (name: string, address: string, role: string) => ({
    ...{ name, addresses: [address], templates: [], labels: { role } },
  });
  const servers = toServers([
    { name: 'web-1', addresses: ['10.0.0.1'], templates: ['web'] },
    server('app-1', '10.0.0.11', 'app'),
    server('app-2', '10.0.0.12', 'app'),
    server('db-1', '10.0.0.21', 'db'),
    server('db-2', '10.0.0.22', 'db'),
  ]);
  const range = (from: string, to: string) => ({
    from: unsigned(from),
    to: unsigned(to),
    text: '',
  });
  const set = (name: string, from: string, to: string) => ({
    ...{ name, addresses: [range(from, to)], except: [], include: [] },
  });
  const sets = [
    set('office', '192.0.2.0', '192.0.2.255'),
    set('banned', '203.0.113.0', '203.0.113.255'),
  ];
  const source = { templates, servers, sets };

  type Row = readonly [RuleDirection, QuestionProtocol, number, readonly string[]];
  const ask = (rows: readonly Row[], options: Partial<SuggestOptions> = {}): string[] => {
    const seen = rows.flatMap(([direction, protocol, port, peers]) =>
      peers.map((peer): SeenFlows => ({
        ...{ direction, protocol, port, peer: unsigned(peer), count: 1, lastMs: nowMs },
      })),
    );
    const compiled = compilePolicy(source, 1, { nowMs });
    const { rules } = suggest({ ...source, compiled }, 'web-1', seen, {
      ...{ mostPeers: 16, atLeast: 1, ...options },
    });
    return rules.map(({ direction, rule, flows, peers, alsoAdmits }) => {
      const others = alsoAdmits.map(({ ports = [], addresses }) => {
        let size = 0;
        for (let at = 0; at < addresses.length; at += 2) {
          size += addresses[at + 1]! - addresses[at]! + 1;
        }
        return `${[...ports].join('-')}+${size}`;
      });
      return [`${direction} ${formatRule(direction, rule)}`, flows, peers, ...others].join(' | ');
    });
  };
  const hosts = (count: number, ...[block = '203.0.113.']): string[] =>
    Array.from({ length: count }, (_, index) => `${block}${index}`);

  it.each<[string, readonly Row[], readonly string[]]>([
    ['what a rule allows needs none', [['inbound', 'tcp', 443, ['198.51.100.7']]], []],
    [
      'ports with the same peers are one rule, neighbours a range',
      [
        ['inbound', 'tcp', 80, ['203.0.113.1']],
        ['inbound', 'tcp', 81, ['203.0.113.1']],
        ['inbound', 'tcp', 8080, ['203.0.113.1']],
        ['inbound', 'udp', 80, ['203.0.113.1']],
        ['outbound', 'icmp', 0, ['203.0.113.1']],
      ],
      [
        'inbound TCP: 80-81,8080 from 203.0.113.1 | 3 | 1',
        'inbound UDP: 80 from 203.0.113.1 | 1 | 1',
        'outbound ICMP to 203.0.113.1 | 1 | 1',
      ],
    ],
    [
      'one peer at many ports is one rule',
      [
        ['inbound', 'tcp', 80, ['203.0.113.1', '203.0.113.9']],
        ['inbound', 'tcp', 81, ['203.0.113.9', '203.0.113.30']],
        ['inbound', 'tcp', 82, ['203.0.113.9', '203.0.113.1', '203.0.113.30']],
      ],
      [
        'inbound TCP: 80,82 from 203.0.113.1, 203.0.113.9 | 4 | 2',
        'inbound TCP: 81-82 from 203.0.113.9, 203.0.113.30 | 4 | 2',
      ],
    ],
    [
      'a label whose servers were all seen, a server, a set that a rule allows, and the rest',
      [
        ['outbound', 'tcp', 5432, ['10.0.0.11', '10.0.0.12', '10.0.0.21', '192.0.2.7']],
        ['inbound', 'tcp', 80, ['192.0.2.7', '192.0.2.8', '203.0.113.4', '203.0.113.5']],
      ],
      [
        'inbound TCP: 80 from set:office, 203.0.113.4/31 | 4 | 4 | 80-80+254',
        'outbound TCP: 5432 to label:role=app, server:db-1, 192.0.2.7 | 4 | 4',
      ],
    ],
    [
      'more than 16 peers are blocks',
      [['inbound', 'tcp', 80, [...hosts(15), '203.0.113.15', '203.0.113.17', '10.9.0.1']]],
      ['inbound TCP: 80 from 10.9.0.1, 203.0.113.0/28, 203.0.113.17 | 18 | 18'],
    ],
    [
      'from all over the Internet is any',
      [['inbound', 'tcp', 80, Array.from({ length: 17 }, (_, index) => `${index + 20}.0.0.1`)]],
      [`inbound TCP: 80 from any | 17 | 17 | 80-80+${2 ** 32 - 17}`],
    ],
  ])('%s', (_, rows, wanted) => {
    expect(ask(rows)).toEqual(wanted);
  });

  it('many ports that were given by chance are a range, with all that this admits', () => {
    const rows = Array.from({ length: 17 }, (_, index): Row => [
      ...(['inbound', 'udp', 40_000 + index * 2, [`203.0.113.${index % 2}`]] as const),
    ]);
    expect(ask(rows.slice(1))).toHaveLength(2);
    const even = (first: number): string =>
      Array.from({ length: first === 0 ? 9 : 8 }, (_, index) => {
        const port = 40_000 + first + index * 4;
        return `${port}-${port}`;
      }).join('-');
    const odd = Array.from({ length: 16 }, (_, index) => {
      const port = 40_001 + index * 2;
      return `${port}-${port}`;
    }).join('-');
    expect(ask(rows)).toEqual([
      `inbound UDP: 40000-40032 from 203.0.113.0/31 | 17 | 2 | ${even(0)}+1 | ${odd}+2 | ${even(2)}+1`,
    ]);
  });

  it('fewer peers, if one wants; and what came once may be left out', () => {
    const rows: Row[] = [['inbound', 'tcp', 80, ['203.0.113.1', '203.0.113.6', '203.0.113.9']]];
    expect(ask(rows, { mostPeers: 2 })).toEqual([
      'inbound TCP: 80 from 203.0.113.0/29, 203.0.113.9 | 3 | 3 | 80-80+6',
    ]);
    expect(ask(rows, { atLeast: 2 })).toEqual([]);
  });
});
