/** What a change opens, in sentences; and that it is exactly what was not allowed before. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { judgeRule, judgeServer, judgeSet, judgeTemplate } from '../../../src/policy/bodies.ts';
import type { Judged } from '../../../src/policy/bodies.ts';
import {
  exposureOf,
  joinExposures,
  opened,
  openings,
  trafficWords,
} from '../../../src/policy/openings.ts';
import type { Gate } from '../../../src/policy/openings.ts';
import { hasAddress, rangesOf } from '../../../src/policy/ranges.ts';
import { Resolver } from '../../../src/policy/resolve.ts';
import type { PolicySource } from '../../../src/policy/types.ts';
import { seed } from '../../support/seed.ts';

const nowMs = Date.parse('2030-01-01T00:00:00Z');

function valid<T>(judged: Judged<T>): T {
  if ('problems' in judged) throw new Error(JSON.stringify(judged.problems));
  return judged.value;
}

interface Written {
  readonly templates: Readonly<Record<string, object>>;
  readonly servers: Readonly<Record<string, object>>;
}

function source({ templates, servers }: Written): PolicySource {
  const names = new Set(Object.keys(templates));
  return {
    templates: Object.entries(templates).map(([name, body]) => valid(judgeTemplate(name, body))),
    servers: Object.entries(servers).map(([name, body]) => valid(judgeServer(name, body, names))),
    sets: [valid(judgeSet('office', { addresses: ['192.0.2.0/24'] }))],
  };
}

const tcp = (ports: unknown[] | undefined, more: object = {}): object => ({
  ...{ protocol: 'tcp', ...(ports !== undefined && { ports }) },
  ...more,
});
const servers = {
  'web-1': { addresses: ['10.0.0.2'], templates: ['web'] },
  'web-2': { addresses: ['10.0.0.3'], templates: ['web'] },
  db: { addresses: ['10.0.0.4'], templates: ['data'] },
};
const base: Written = {
  templates: {
    web: { inbound: [tcp([80])] },
    data: { inbound: [] },
    ssh: { inbound: [tcp([22])] },
  },
  servers,
};

describe('sentences', () => {
  it.each<[string, Written, string[]]>([
    ['nothing', base, []],
    [
      'an open door',
      { ...base, templates: { ...base.templates, web: { inbound: [tcp(undefined)] } } },
      ['web-1, web-2: TCP, ports 0-79, 81-65535, from the whole Internet'],
    ],
    [
      'every protocol',
      { ...base, templates: { ...base.templates, data: { inbound: [{ protocol: 'all' }] } } },
      ['db: every protocol, every port, from the whole Internet'],
    ],
    [
      'names as they are written, and what is excepted',
      {
        ...base,
        templates: {
          ...base.templates,
          data: {
            inbound: [
              tcp([5432], { sources: ['template:web', 'set:office'] }),
              { protocol: 'icmp', except: ['192.0.2.0/24'] },
            ],
            outbound: [{ protocol: 'udp', ports: [53, '100-200'], destinations: ['9.9.9.9'] }],
          },
        },
      },
      [
        'db: TCP, port 5432, from template:web, set:office',
        'db: ICMP, from the whole Internet except 192.0.2.0/24',
        'db: UDP, ports 53, 100-200, to 9.9.9.9',
      ],
    ],
    [
      'a template more, a rule that was there already, and a rule that does not count',
      {
        templates: {
          ...base.templates,
          ssh: { inbound: [tcp([22]), tcp([80]), tcp([23], { enabled: false })] },
        },
        servers: { ...servers, 'web-1': { ...servers['web-1'], templates: ['web', 'ssh'] } },
      },
      ['web-1: TCP, port 22, from the whole Internet'],
    ],
    [
      'a new address',
      {
        ...base,
        servers: { ...servers, 'web-1': { addresses: ['10.0.0.9'], templates: ['web'] } },
      },
      ['web-1: TCP, port 80, from the whole Internet'],
    ],
    [
      'another name alone: nothing',
      { ...base, servers: { site: servers['web-1'], 'web-2': servers['web-2'], db: servers.db } },
      [],
    ],
    [
      'another name, and a template more',
      { ...base, servers: { ...servers, db: { ...servers['web-1'], templates: ['web', 'ssh'] } } },
      ['db: TCP, port 22, from the whole Internet'],
    ],
    [
      'an address of another server, and a new one',
      { ...base, servers: { db: { addresses: ['10.0.0.2', '10.0.0.9'], templates: ['web'] } } },
      ['db: TCP, port 80, from the whole Internet'],
    ],
  ])('%s', (_, after, sentences) => {
    const names = Object.keys(after.servers);
    expect(openings(source(base), source(after), names, nowMs)).toEqual(sentences);
  });

  it('a server that observes does so under another name', () => {
    const [now, until] = [Date.now(), new Date(Date.now() + 86_400_000).toISOString()];
    const observing = { ...servers.db, mode: 'observe', until };
    const [before, after] = [{ db: observing }, { data: observing }].map((each) =>
      source({ ...base, servers: each }),
    );
    expect(openings(before!, after!, ['data'], now)).toEqual([]);
    expect(openings(source(base), after!, ['data'], now)).toEqual([
      'data: all that no rule allows passes, in both directions: observed',
    ]);
  });

  it('the other way round it says what closes', () => {
    const after = { ...base, servers: { ...servers, db: { ...servers.db, templates: [] } } };
    const before = { ...base, templates: { ...base.templates, data: { inbound: [tcp([5432])] } } };
    expect(openings(source(after), source(before), ['db'], nowMs)).toEqual([
      'db: TCP, port 5432, from the whole Internet',
    ]);
    expect(openings(source(before), source(after), ['db'], nowMs)).toEqual([]);
  });

  it('a rule that is written as before, of a template that was read again, for a group that means others now', () => {
    const withRole = (role: string, description: string): Written => ({
      templates: {
        ...base.templates,
        data: { description, inbound: [tcp([5432], { sources: ['label:role=web'] })] },
      },
      servers: { ...servers, 'web-1': { ...servers['web-1'], labels: { role } } },
    });
    const [none, web] = [source(withRole('none', 'before')), source(withRole('web', 'after'))];
    expect(openings(none, web, ['db'], nowMs)).toEqual(['db: TCP, port 5432, from label:role=web']);
    expect(openings(web, none, ['db'], nowMs)).toEqual([]);
    const again = source(withRole('web', 'and again'));
    expect(openings(web, again, ['db'], nowMs)).toEqual([]);
  });
});

it('exposure: what is open to half of all addresses and more', () => {
  const { templates, ...rest } = source({
    ...base,
    templates: {
      web: {
        inbound: [
          tcp([80, 443]),
          tcp([22], { sources: ['10.0.0.0/8'] }),
          { protocol: 'udp', ports: [53], sources: ['0.0.0.0/1', '128.0.0.0/2'] },
          tcp([23], { expires: '2029-01-01T00:00:00Z' }),
        ],
      },
      all: { inbound: [{ protocol: 'all' }] },
      data: { inbound: [] },
    },
  });
  const resolver = new Resolver({ templates, ...rest }, nowMs);
  const [web, all] = ['web', 'all'].map((name) =>
    exposureOf(resolver, templates.find((each) => each.name === name)!.inbound),
  );
  expect(trafficWords(web!)).toEqual(['TCP, ports 80, 443', 'UDP, port 53']);
  expect(trafficWords(joinExposures([web!, all!]))).toEqual(['every protocol, every port']);
  expect(valid(judgeRule('inbound', tcp([80]))).protocol).toBe('tcp');
});

it('is exactly what was not allowed before', () => {
  const most = 12;
  const range = fc.tuple(fc.nat(most), fc.nat(most)).map(([a, b]) => ({
    from: Math.min(a, b),
    to: Math.max(a, b),
  }));
  const ranges = fc.array(range, { minLength: 1, maxLength: 3 }).map(rangesOf);
  const gate: fc.Arbitrary<Gate> = fc.record({
    protocol: fc.constantFrom('all', 'tcp', 'udp', 'icmp'),
    ports: ranges,
    addresses: ranges,
    peers: fc.constant(undefined),
  });
  const gates = fc.array(gate, { maxLength: 4 });
  const allows = (each: Gate, protocol: string, port: number, address: number): boolean =>
    (each.protocol === 'all' || each.protocol === protocol) &&
    (protocol === 'icmp' || hasAddress(each.ports, port)) &&
    hasAddress(each.addresses, address);
  fc.assert(
    fc.property(gates, gates, (before, after) => {
      const found = opened(before, after);
      for (const protocol of ['tcp', 'udp', 'icmp'] as const) {
        for (let port = 0; port <= most; port++) {
          for (let address = 0; address <= most; address++) {
            const wanted =
              after.some((each) => allows(each, protocol, port, address)) &&
              !before.some((each) => allows(each, protocol, port, address));
            const said = found.some(
              (each) =>
                each.protocol === protocol &&
                hasAddress(each.ports, port) &&
                hasAddress(each.addresses, address),
            );
            if (wanted !== said) return false;
          }
        }
      }
      return true;
    }),
    { seed, numRuns: 300 },
  );
});

describe('a change of a policy', () => {
  const addresses = ['10.0.0.2', '10.0.0.3', '192.0.2.1', '192.0.2.200'];
  const peers = ['any', 'set:office', 'server:a', 'template:t', 'label:k=1', ...addresses.slice(2)];
  const ports = [80, 81, '80-90'];
  const rule = fc.record(
    {
      protocol: fc.constantFrom('all', 'tcp', 'udp', 'icmp'),
      ports: fc.subarray(ports, { minLength: 1 }),
      sources: fc.subarray(peers, { minLength: 1, maxLength: 2 }),
      except: fc.subarray(peers.slice(1), { minLength: 1, maxLength: 1 }),
      enabled: fc.boolean(),
    },
    { requiredKeys: ['protocol', 'sources'] },
  );
  const body = fc
    .array(rule, { maxLength: 4 })
    .map((rules) => ({
      inbound: rules.map(({ ports: own, ...rest }) =>
        rest.protocol === 'tcp' || rest.protocol === 'udp' ? { ...rest, ports: own ?? [80] } : rest,
      ),
    }))
    .map((content) => JSON.stringify(content));
  const written = fc.record({
    t: body,
    u: body,
    labels: fc.tuple(fc.constantFrom('1', '2'), fc.constantFrom('1', '2')),
    templates: fc.tuple(fc.subarray(['t', 'u']), fc.subarray(['t', 'u'])),
  });
  type Policy = typeof written extends fc.Arbitrary<infer T> ? T : never;

  // What has not changed is the same object in both states, as in a store.
  const judged = new Map<string, PolicySource['templates'][number]>();
  const template = (name: string, text: string): PolicySource['templates'][number] => {
    const key = `${name} ${text}`;
    if (!judged.has(key)) judged.set(key, valid(judgeTemplate(name, JSON.parse(text) as object)));
    return judged.get(key)!;
  };
  const policyOf = ({ t, u, labels, templates }: Policy): PolicySource => ({
    ...source({
      templates: {},
      servers: {},
    }),
    templates: [template('t', t), template('u', u)],
    servers: ['a', 'b'].map((name, index) => ({
      ...{ name, addresses: [0x0a000002 + index], templates: templates[index]! },
      labels: { k: labels[index]! },
    })),
  });
  /** Every packet to a server that there is a difference for. */
  function allows(policy: PolicySource, server: number): Set<string> {
    const resolver = new Resolver(policy, nowMs);
    const found = new Set<string>();
    for (const { template: name } of resolver.assignmentsOf(server)) {
      for (const each of policy.templates.find((one) => one.name === name)!.inbound) {
        if (!resolver.isLive(each)) continue;
        const ranges = resolver.rangesOf(each);
        for (const protocol of ['tcp', 'udp', 'icmp']) {
          if (each.protocol !== 'all' && each.protocol !== protocol) continue;
          for (const port of protocol === 'icmp' ? [0] : [79, 80, 81, 90, 91]) {
            const isIn = each.ports?.some(({ from, to }) => from <= port && port <= to) ?? true;
            if (!isIn && protocol !== 'icmp') continue;
            // And one of each kind that no rule names: of the set, and elsewhere.
            for (const text of [...addresses, '192.0.2.7', '8.8.8.8']) {
              const address = text.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
              if (ranges === undefined || hasAddress(ranges, address)) {
                found.add(`${protocol} ${port} ${text}`);
              }
            }
          }
        }
      }
    }
    return found;
  }

  it('names a server if it opens anything there, and only then', () => {
    fc.assert(
      fc.property(
        written,
        written,
        fc.subarray(['t', 'u', 'labels', 'templates']),
        (a, b, kept) => {
          const next = {
            ...b,
            ...Object.fromEntries(kept.map((key) => [key, a[key as keyof Policy]])),
          };
          const [before, after] = [policyOf(a), policyOf(next)];
          ['a', 'b'].forEach((name, server) => {
            const had = allows(before, server);
            const opens = [...allows(after, server)].filter((each) => !had.has(each));
            const said = openings(before, after, [name], nowMs);
            expect(said.length > 0, `${name}: ${opens.join(', ')}`).toBe(opens.length > 0);
          });
        },
      ),
      { seed, numRuns: 500 },
    );
  });
});
