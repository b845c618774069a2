/** The compiled policy against the naive matcher, and each rule form by hand. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compilePolicy } from '../../../../src/policy/compile.ts';
import { rangesOf } from '../../../../src/policy/ranges.ts';
import { unionOf } from '../../../../src/policy/interval-union.ts';
import type { Rule, Server, Template } from '../../../../src/policy/types.ts';
import { MatchResult, Matcher } from '../../../../src/dataplane/match/matcher.ts';
import { addressToInt } from '../../../../src/testing/packets.ts';
import { naiveMatch, policyOf, ruleAllows } from '../../../support/policies.ts';
import type { PlainRule } from '../../../support/policies.ts';
import { seed, seededRandom } from '../../../support/seed.ts';

const server = '10.0.0.2';

describe('rule forms, inbound', () => {
  const matches = (rule: PlainRule, protocol: number, from: string, port = 0): boolean =>
    policyOf({ t: { inbound: [rule], outbound: [] } }, [
      { name: 's', addresses: [server], templates: ['t'] },
    ]).match(protocol, addressToInt(from), addressToInt(server), port) === MatchResult.allowed;

  it.each<[string, PlainRule, [number, string, number?][], [number, string, number?][]]>([
    [
      'ALL',
      { protocol: 'all' },
      [
        [1, '1.2.3.4'],
        [6, '1.2.3.4', 1],
        [17, '223.255.255.255', 65_535],
      ],
      [],
    ],
    [
      'TCP: ALL',
      { protocol: 'tcp' },
      [
        [6, '1.2.3.4', 1],
        [6, '1.2.3.4', 65_535],
      ],
      [
        [17, '1.2.3.4', 1],
        [1, '1.2.3.4'],
      ],
    ],
    [
      'TCP: 443',
      { protocol: 'tcp', ports: [443] },
      [[6, '1.2.3.4', 443]],
      [
        [6, '1.2.3.4', 442],
        [6, '1.2.3.4', 444],
        [17, '1.2.3.4', 443],
      ],
    ],
    [
      'TCP: 20-22',
      { protocol: 'tcp', ports: [[20, 22]] },
      [
        [6, '1.2.3.4', 20],
        [6, '1.2.3.4', 22],
      ],
      [
        [6, '1.2.3.4', 19],
        [6, '1.2.3.4', 23],
      ],
    ],
    [
      'UDP: a list',
      { protocol: 'udp', ports: [53, [60_000, 65_535]] },
      [
        [17, '1.2.3.4', 53],
        [17, '1.2.3.4', 65_535],
      ],
      [[17, '1.2.3.4', 59_999]],
    ],
    ['ICMP', { protocol: 'icmp' }, [[1, '1.2.3.4']], [[6, '1.2.3.4', 1]]],
    [
      'an address',
      { protocol: 'all', sources: ['192.0.2.7'] },
      [[6, '192.0.2.7', 1]],
      [
        [6, '192.0.2.6', 1],
        [6, '192.0.2.8', 1],
      ],
    ],
    [
      'a block',
      { protocol: 'all', sources: ['192.0.2.0/24'] },
      [
        [6, '192.0.2.0', 1],
        [6, '192.0.2.255', 1],
      ],
      [
        [6, '192.0.1.255', 1],
        [6, '192.0.3.0', 1],
      ],
    ],
    [
      'a range',
      { protocol: 'all', sources: ['192.0.2.10-192.0.2.20'] },
      [
        [6, '192.0.2.10', 1],
        [6, '192.0.2.20', 1],
      ],
      [
        [6, '192.0.2.9', 1],
        [6, '192.0.2.21', 1],
      ],
    ],
    [
      'several',
      { protocol: 'all', sources: ['192.0.2.7', '198.51.100.0/25'] },
      [
        [1, '192.0.2.7'],
        [1, '198.51.100.127'],
      ],
      [[1, '198.51.100.128']],
    ],
    [
      'everything as a block',
      { protocol: 'tcp', sources: ['0.0.0.0/0'] },
      [[6, '200.1.1.1', 5]],
      [[17, '200.1.1.1', 5]],
    ],
  ])('%s', (_name, rule, allowed, forbidden) => {
    for (const [protocol, from, port] of allowed)
      expect(matches(rule, protocol, from, port)).toBe(true);
    for (const [protocol, from, port] of forbidden)
      expect(matches(rule, protocol, from, port)).toBe(false);
  });
});

it('a server without templates and one with an empty template allow nothing', () => {
  const policy = policyOf({ empty: { inbound: [], outbound: [] } }, [
    { name: 'a', addresses: ['10.0.0.2'], templates: [] },
    { name: 'b', addresses: ['10.0.0.3'], templates: ['empty'] },
  ]);
  const outside = addressToInt('192.0.2.1');
  for (const address of ['10.0.0.2', '10.0.0.3'].map(addressToInt)) {
    expect(policy.match(6, outside, address, 80)).toBe(MatchResult.noInboundRule);
    expect(policy.match(6, address, outside, 80)).toBe(MatchResult.noOutboundRule);
  }
  expect(policy.match(6, outside, addressToInt('10.0.0.4'), 80)).toBe(MatchResult.noServer);
});

it('servers with the same templates share one program', () => {
  const template = { name: 't', inbound: [{ protocol: 'all' }], outbound: [] } satisfies Template;
  const servers = Array.from({ length: 500 }, (_, i) => ({
    name: `s${i}`,
    addresses: [0x0a000000 + i],
    templates: ['t'],
  }));
  const { stats, words } = compilePolicy({ templates: [template], servers }, 1);
  expect(stats.programs).toBe(1);
  const policy = new Matcher(words);
  for (const { addresses } of servers) expect(policy.match(6, 1, addresses[0]!, 1)).toBe(0);
});

describe('the union of ranges', () => {
  it('holds each key for the lowest rule that covers it', () => {
    const range = fc
      .tuple(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 0, max: 12 }), fc.nat(5))
      .map(([from, length, rule]) => ({ from, to: from + length, rule }));
    fc.assert(
      fc.property(fc.array(range, { maxLength: 10 }), (ranges) => {
        const rules = [1, 2, 3, 4, 5, 6].map((value) => ({
          value,
          ranges: rangesOf(ranges.filter(({ rule }) => rule + 1 === value)),
        }));
        const { starts, values } = unionOf(rules);
        expect(starts[0]).toBe(0);
        for (let key = 0; key <= 60; key++) {
          const covering = ranges.filter(({ from, to }) => from <= key && key <= to);
          const expected = covering.length === 0 ? 0 : Math.min(...covering.map((r) => r.rule)) + 1;
          const at = starts.findLastIndex((start) => start <= key);
          expect(values[at]).toBe(expected);
        }
        starts.forEach((start, i) => i > 0 && expect(start).toBeGreaterThan(starts[i - 1]!));
      }),
      { seed, numRuns: 2000 },
    );
  });
});

describe('random policies against the naive matcher', () => {
  const random = seededRandom();
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)]!;
  const below = (n: number): number => Math.floor(random() * n);

  /** Few interesting addresses and ports, so that ranges overlap and share edges. */
  const interesting = Array.from({ length: 24 }, () => 0x0a000000 + below(64));
  interesting.push(0, 0xffffffff, 0x7fffffff, 0x80000000, 0xdfffffff);
  const ports = [0, 1, 22, 80, 81, 443, 8000, 8080, 32_768, 65_534, 65_535];

  const pair = (values: readonly number[]): { from: number; to: number } => {
    const [a, b] = [pick(values), pick(values)];
    return random() < 0.4 ? { from: a, to: a } : { from: Math.min(a, b), to: Math.max(a, b) };
  };
  const list = <T>(most: number, make: () => T): T[] =>
    Array.from({ length: 1 + below(most) }, make);
  const rule = (): Rule => {
    const protocol = pick(['all', 'icmp', 'tcp', 'udp'] as const);
    const hasPorts = (protocol === 'tcp' || protocol === 'udp') && random() < 0.8;
    return {
      protocol,
      ...(hasPorts && { ports: list(3, () => pair(ports)) }),
      ...(random() < 0.7 && { peers: list(3, () => ({ ...pair(interesting), text: '' })) }),
    };
  };

  it('say the same of 60,000 packets, and name a rule that allows it', () => {
    const seen = new Map<number, number>();
    for (let round = 0; round < 150; round++) {
      const templates: Template[] = list(5, rule).map((_, i) => ({
        name: `t${i}`,
        inbound: random() < 0.9 ? list(round % 10 === 0 ? 60 : 6, rule) : [],
        outbound: random() < 0.9 ? list(6, rule) : [],
      }));
      const addresses = [...new Set(interesting.slice(0, 12))];
      const servers: Server[] = list(4, () => 0).map((_, i) => ({
        name: `s${i}`,
        addresses: addresses.splice(0, 1 + below(2)),
        templates: templates.filter(() => random() < 0.5).map(({ name }) => name),
      }));
      const compiled = compilePolicy({ templates, servers }, round);
      const policy = new Matcher(compiled.words);
      for (let probe = 0; probe < 400; probe++) {
        const near = (value: number, most: number): number =>
          Math.min(most, Math.max(0, value + below(3) - 1));
        const protocol = pick([1, 6, 17]);
        const src = near(pick(interesting), 0xffffffff);
        const dst = near(pick(interesting), 0xffffffff);
        const port = near(pick(ports), 0xffff);
        const expected = naiveMatch(templates, servers, protocol, src, dst, port);
        const context = `round ${round}: ${protocol} ${src} ${dst} ${port}`;
        expect(policy.match(protocol, src | 0, dst | 0, port), context).toBe(expected);
        seen.set(expected, (seen.get(expected) ?? 0) + 1);
        for (const [index, peer] of [
          [policy.inboundRule, src],
          [policy.outboundRule, dst],
        ] as const) {
          if (index >= 0) {
            expect(ruleAllows(compiled.rules[index]!.rule, protocol, peer, port), context).toBe(
              true,
            );
          }
        }
      }
    }
    for (const result of Object.values(MatchResult)) expect(seen.get(result)).toBeGreaterThan(1000);
  });
});
