/** Who can open what: against the naive matcher on random policies, and by hand. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MatchResult } from '../../../src/dataplane/match/matcher.ts';
import { formatRange } from '../../../src/policy/addresses.ts';
import { compilePolicy } from '../../../src/policy/compile.ts';
import { addressesOf, addressOf, splitEnd } from '../../../src/policy/ends.ts';
import type { QuestionProtocol } from '../../../src/policy/opening-packet.ts';
import { hasAddress, rangesOf } from '../../../src/policy/ranges.ts';
import type { Ranges } from '../../../src/policy/ranges.ts';
import { TooManyPairsError, reach } from '../../../src/policy/reach.ts';
import type { ReachEnd, ReachQuestion, ReachRow } from '../../../src/policy/reach.ts';
import { addressToInt } from '../../../src/testing/packets.ts';
import { NaivePolicy } from '../../support/naive-policy.ts';
import { toServers, toTemplates } from '../../support/policies.ts';
import { withGroups } from '../../support/random-groups.ts';
import { PolicyMaker, interestingPorts } from '../../support/random-policy.ts';
import { seed, seededRandom } from '../../support/seed.ts';

const unsigned = (text: string): number => addressToInt(text) >>> 0;
const pool = [1, 2, 3, 4, 5, 16, 255].map((last) => unsigned('10.0.0.0') + last);
const probes = [...pool, unsigned('9.255.255.255'), unsigned('198.51.100.7')];
const protocols: QuestionProtocol[] = ['icmp', 'tcp', 'udp'];
const nowMs = Date.parse('2026-06-01T00:00:00Z');

function covers(row: ReachRow, ...packet: [QuestionProtocol, number, number, number]): boolean {
  const [protocol, source, destination, port] = packet;
  if (row.protocol !== 'all' && row.protocol !== protocol) return false;
  if (!hasAddress(row.from.ranges, source) || !hasAddress(row.to.ranges, destination)) return false;
  return row.ports === undefined || hasAddress(row.ports, port);
}

function randomSource(start: number): NaivePolicy {
  const maker = new PolicyMaker(seededRandom(start), pool);
  return new NaivePolicy(withGroups(maker.policy(6), maker), nowMs);
}

describe('against the naive matcher', () => {
  const random = fc.integer({ min: 0, max: 2 ** 31 - 1 });

  it('rows hold what passes, each packet in one row, and nothing else', () => {
    const property = fc.property(random, (start) => {
      const naive = randomSource(start);
      const compiled = compilePolicy(naive.source, 1, { nowMs });
      const rows = reach({ servers: naive.source.servers, compiled }, {});
      for (const source of probes) {
        for (const destination of probes) {
          if (source === destination) continue;
          for (const protocol of protocols) {
            for (const port of protocol === 'icmp' ? [0] : [...interestingPorts, 2, 7999]) {
              const passes =
                naive.match(protocol, source, destination, port) === MatchResult.allowed;
              const found = rows.filter((row) => covers(row, protocol, source, destination, port));
              expect(found.length, `${protocol} ${source} ${destination} ${port}`).toBe(
                passes ? 1 : 0,
              );
            }
          }
        }
      }
    });
    fc.assert(property, { seed, numRuns: 40 });
  });

  it('each rule of a row is one that admits some of it, and together they admit all of it', () => {
    const property = fc.property(random, (start) => {
      const naive = randomSource(start);
      const compiled = compilePolicy(naive.source, 1, { nowMs });
      for (const row of reach({ servers: naive.source.servers, compiled }, {})) {
        const protocol = row.protocol === 'all' ? 'udp' : row.protocol;
        const port = row.ports === undefined ? 2 : row.ports[0]!;
        const [source, destination] = [row.from.ranges[0]!, row.to.ranges[0]!];
        const sides = [
          { own: row.from, rules: row.outbound, peer: destination },
          { own: row.to, rules: row.inbound, peer: source },
        ];
        for (const { own, rules, peer } of sides) {
          expect(rules.length > 0).toBe(own.servers.length > 0);
          if (rules.length === 0) continue;
          expect(rules.some(({ rule }) => naive.allows(rule, protocol, peer, port))).toBe(true);
          for (const { rule, live } of rules) {
            expect(live).toBe(true);
            expect(rule.protocol === 'all' || rule.protocol === protocol).toBe(true);
          }
        }
      }
    });
    fc.assert(property, { seed, numRuns: 60 });
  });

  it('a narrower question has exactly the part of the whole answer that it asks about', () => {
    const property = fc.property(random, (start) => {
      const naive = randomSource(start);
      const source = {
        servers: naive.source.servers,
        compiled: compilePolicy(naive.source, 1, { nowMs }),
      };
      const maker = new PolicyMaker(seededRandom(start + 1), pool);
      const [a, b, c] = [maker.pick(pool), maker.pick(pool), maker.pick(interestingPorts)];
      const from = rangesOf([{ from: Math.min(a, b), to: Math.max(a, b) }]);
      const to = rangesOf([{ from: b, to: b }]);
      const [whole, part] = [
        reach(source, {}),
        reach(source, { from, to, protocol: 'tcp', ports: { from: 1, to: c } }),
      ];
      for (const address of probes) {
        for (const target of probes) {
          for (const port of interestingPorts) {
            const asked = hasAddress(from, address) && target === b && port <= c;
            const has = (rows: readonly ReachRow[]): boolean =>
              rows.some((row) => covers(row, 'tcp', address, target, port));
            expect(has(part)).toBe(asked && has(whole));
          }
        }
      }
    });
    fc.assert(property, { seed, numRuns: 60 });
  });
});

describe('by hand', () => {
  const templates = toTemplates({
    web: {
      inbound: [{ protocol: 'tcp', ports: [80, 443] }],
      outbound: [{ protocol: 'tcp', ports: [[5000, 6000]], destinations: ['10.0.0.3'] }],
    },
    db: {
      inbound: [
        { protocol: 'tcp', ports: [5432], sources: ['10.0.0.0/24'] },
        { protocol: 'tcp', ports: [5432], sources: ['10.0.0.128/25', '192.0.2.7'] },
      ],
      outbound: [],
    },
    open: { inbound: [{ protocol: 'all' }], outbound: [] },
  });
  const servers = toServers([
    { name: 'web-1', addresses: ['10.0.0.1'], templates: ['web'] },
    { name: 'web-2', addresses: ['10.0.0.2'], templates: ['web'] },
    { name: 'db-1', addresses: ['10.0.0.3'], templates: ['db'] },
    { name: 'bare', addresses: ['10.0.0.4'], templates: ['open'] },
  ]);
  const source = { servers, compiled: compilePolicy({ templates, servers }, 1) };
  const end = ({ servers: names, ranges }: ReachEnd): string => {
    const texts: string[] = [];
    for (let i = 0; i < ranges.length; i += 2) texts.push(formatRange(ranges[i]!, ranges[i + 1]!));
    return names.length > 0 ? names.join('+') : texts.join(' ');
  };
  const ask = (question: ReachQuestion): string[] =>
    reach(source, question).map(({ from, to, protocol, ports, inbound, outbound }) => {
      const rules = [...outbound, ...inbound].map((each) => `${each.template}${each.position}`);
      return `${end(from)} > ${end(to)} ${protocol} ${ports?.join('-') ?? 'all'} by ${rules.join()}`;
    });
  const only = (text: string): Ranges => rangesOf([{ from: unsigned(text), to: unsigned(text) }]);

  it('the other server has to let it out, and servers with the same rules are one row', () => {
    expect(ask({ to: only('10.0.0.3') })).toEqual([
      '10.0.0.0 10.0.0.5-10.0.0.127 > db-1 tcp 5432-5432 by db0',
      '10.0.0.128/25 > db-1 tcp 5432-5432 by db0,db1',
      '192.0.2.7 > db-1 tcp 5432-5432 by db1',
      'web-1+web-2 > db-1 tcp 5432-5432 by web0,db0',
    ]);
  });

  it('what a server opens itself', () => {
    expect(ask({ from: only('10.0.0.1') })).toEqual(['web-1 > db-1 tcp 5432-5432 by web0,db0']);
    expect(ask({ from: only('10.0.0.3') })).toEqual([]);
  });

  it('all protocols by the same rule are one row', () => {
    const from = only('198.51.100.7');
    expect(ask({ from, to: only('10.0.0.4') })).toEqual(['198.51.100.7 > bare all all by open0']);
    expect(ask({ from, to: only('10.0.0.4'), ports: { from: 22, to: 22 } })).toEqual([
      '198.51.100.7 > bare tcp 22-22 by open0',
      '198.51.100.7 > bare udp 22-22 by open0',
    ]);
  });

  it('too many pairs of servers at once are refused', () => {
    const many = Array.from({ length: 400 }, (_, index) => ({
      name: `s${index}`,
      addresses: [unsigned('10.1.0.0') + index],
      templates: [],
    }));
    const large = { servers: many, compiled: compilePolicy({ templates, servers: many }, 1) };
    expect(() => reach(large, {})).toThrow(TooManyPairsError);
    expect(reach(large, { to: only('10.1.0.1') })).toEqual([]);
  });
});

describe('ends of a question', () => {
  it.each([
    ['db-1:5432', 'db-1', { from: 5432, to: 5432 }],
    ['10.0.0.0/8', '10.0.0.0/8', undefined],
    ['10.0.0.1-10.0.0.9:80-90', '10.0.0.1-10.0.0.9', { from: 80, to: 90 }],
    ['label:role=web:22', 'label:role=web', { from: 22, to: 22 }],
    ['set:office', 'set:office', undefined],
  ])('%s', (text, whom, ports) => {
    expect(splitEnd(text)).toEqual({ value: { whom, ...(ports && { ports }) } });
  });

  it('a name that is nobody is an error with the nearest name', () => {
    const servers = toServers([
      { name: 'web-1', addresses: ['10.0.0.1', '10.0.0.2'], templates: [] },
      { name: 'web-2', addresses: ['10.0.0.3'], templates: [] },
    ]);
    const source = { templates: [], servers };
    const { resolver } = compilePolicy(source, 1);
    expect(addressesOf('web-1', source, resolver)).toEqual({
      value: Uint32Array.of(unsigned('10.0.0.1'), unsigned('10.0.0.2')),
    });
    const unknown =
      'expected an address or a server: there is no server "web-3"; did you mean "web-1"?';
    expect(addressesOf('web-3', source, resolver)).toEqual({ message: unknown });
    expect(addressOf('web-3', source)).toEqual({ message: unknown });
    expect(addressesOf('set:office', source, resolver)).toMatchObject({
      message: expect.stringContaining('there is no set "office"') as string,
    });
    expect(addressesOf('10.0.0.999', source, resolver)).toHaveProperty('message');
    expect(addressOf('web-2', source)).toEqual({ value: unsigned('10.0.0.3') });
    expect(addressOf('web-1', source)).toEqual({
      message: 'server web-1 has several addresses, say which one: 10.0.0.1, 10.0.0.2',
    });
    expect(splitEnd('db-1:99999')).toHaveProperty('message');
  });
});
