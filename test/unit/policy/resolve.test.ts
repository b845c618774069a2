/**
 * What groups mean: random servers, labels, templates, sets and rules, compiled and matched, against a naive evaluator that
 * looks up the members of each group for each packet.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Matcher } from '../../../src/dataplane/match/matcher.ts';
import { validateSet } from '../../../src/policy/address-set.ts';
import { compilePolicy } from '../../../src/policy/compile.ts';
import { parsePeer } from '../../../src/policy/peers.ts';
import { checkReferences } from '../../../src/policy/references.ts';
import { parseSelector } from '../../../src/policy/selector.ts';
import type {
  AddressSet,
  Peer,
  PolicySource,
  Rule,
  Selector,
  Server,
  Template,
} from '../../../src/policy/types.ts';
import { validateTemplate } from '../../../src/policy/validate.ts';
import { NaivePolicy } from '../../support/naive-policy.ts';
import { seed } from '../../support/seed.ts';

const now = Date.parse('2026-06-01T12:00:00Z');

function peerOf(text: string): Peer {
  const parsed = parsePeer(text);
  if ('message' in parsed) throw new Error(parsed.message);
  return parsed.value;
}

function selectorOf(text: string): Selector {
  const parsed = parseSelector(text);
  if ('message' in parsed) throw new Error(parsed.message);
  return parsed.value;
}

// A small world: some rule names every server and set, and addresses meet.
const base = 0x0a000000;
const serverNames = ['s0', 's1', 's2', 's3'];
const templateNames = ['t0', 't1', 't2'];
const setNames = ['set0', 'set1', 'set2'];
const selectors = [
  'role=web',
  'role!=web',
  '!env',
  'env in (a,b)',
  'region=hkg',
  'role=db,env',
  'env',
];
const addressTexts = ['any', '10.0.0.0/30', '10.0.0.3', '10.0.0.2-10.0.0.9', '192.0.2.1'];

const maybe = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(value, { nil: undefined });
const peer = fc
  .oneof(
    fc.constantFrom(...addressTexts),
    fc.constantFrom(...serverNames).map((name) => `server:${name}`),
    fc.constantFrom(...templateNames).map((name) => `template:${name}`),
    fc.constantFrom(...setNames).map((name) => `set:${name}`),
    fc.constantFrom(...selectors).map((text) => `label:${text}`),
  )
  .map(peerOf);
const peers = fc.array(peer, { minLength: 1, maxLength: 3 });
const rule = fc
  .record({
    protocol: fc.constantFrom('all', 'tcp', 'udp'),
    ports: maybe(fc.constant([{ from: 80, to: 80 }])),
    peers: maybe(peers),
    except: maybe(peers),
    enabled: maybe(fc.boolean()),
    expires: maybe(fc.constantFrom('2026-06-01T11:59:59Z', '2026-06-01T15:00:00+02:00')),
  })
  .map((fields) => {
    const given = Object.entries(fields).filter(
      ([key, each]) => each !== undefined && !(key === 'ports' && fields.protocol === 'all'),
    );
    return Object.fromEntries(given) as unknown as Rule;
  });
const rules = fc.array(rule, { maxLength: 3 });
const templates = fc.tuple(
  ...templateNames.map((name) =>
    fc
      .record({
        appliesTo: maybe(fc.array(fc.constantFrom(...selectors).map(selectorOf), { maxLength: 2 })),
        inbound: rules,
        outbound: rules,
      })
      .map(({ appliesTo, ...rest }): Template => ({
        name,
        ...rest,
        ...(appliesTo && { appliesTo }),
      })),
  ),
);
const servers = fc.tuple(
  ...serverNames.map((name, index) =>
    fc
      .record({
        templates: fc.subarray(templateNames),
        labels: maybe(
          fc.dictionary(fc.constantFrom('role', 'env'), fc.constantFrom('web', 'db', 'a', 'b')),
        ),
        region: maybe(fc.constantFrom('hkg', 'sgp')),
      })
      .map(({ templates: named, labels, region }): Server => ({
        name,
        addresses: [base + 1 + index * 2, base + 2 + index * 2],
        templates: named,
        ...(labels && { labels }),
        ...(region !== undefined && { region }),
      })),
  ),
);
const ranges = fc.array(
  fc.constantFrom('10.0.0.0/29', '10.0.0.4', '10.0.0.1-10.0.0.2', '192.0.2.0/24').map((text) => {
    const value = peerOf(text);
    if ('kind' in value) throw new Error('not a range');
    return value;
  }),
  { maxLength: 2 },
);
// A set includes later ones only: no circles.
const sets = fc.tuple(
  ...setNames.map((name, index) =>
    fc
      .record({
        addresses: ranges,
        except: ranges,
        include: fc.subarray(setNames.slice(index + 1)),
      })
      .map((rest): AddressSet => ({ name, ...rest })),
  ),
);

it('a policy with groups means what a naive evaluator finds', () => {
  const seen = new Map<number, number>();
  const addresses = [...Array.from({ length: 11 }, (_, i) => base + i), 0xc0000201, 0xc0000301];
  fc.assert(
    fc.property(templates, servers, sets, (someTemplates, someServers, someSets) => {
      const source = { templates: someTemplates, servers: someServers, sets: someSets };
      const matcher = new Matcher(compilePolicy(source, 1, { nowMs: now }).words);
      const naive = new NaivePolicy(source, now);
      for (const from of addresses) {
        for (const to of addresses) {
          if (from === to) continue;
          for (const [protocol, port] of [
            ['tcp', 80],
            ['udp', 81],
          ] as const) {
            const number = protocol === 'tcp' ? 6 : 17;
            const found = matcher.match(number, from | 0, to | 0, port);
            const wanted = naive.match(protocol, from, to, port);
            seen.set(wanted, (seen.get(wanted) ?? 0) + 1);
            expect(found, `${from} to ${to} ${protocol}`).toBe(wanted);
          }
        }
      }
    }),
    { seed, numRuns: 150 },
  );
  // All four answers were asked for.
  expect(seen.size).toBe(4);
});

describe('references', () => {
  const server = (name: string, labels?: Record<string, string>): Server => ({
    name,
    addresses: [base + name.length],
    templates: [],
    ...(labels && { labels }),
  });
  const problemsOf = (rule: string, someSets: Record<string, string> = {}): string[] => {
    const read = validateTemplate('web', 'templates/web.yaml', `inbound:\n  - ${rule}\n`);
    const files = Object.entries(someSets).map(([name, text]) => validateSet(name, name, text));
    const source: PolicySource = {
      templates: [read.value!],
      servers: [server('web-1', { role: 'web' }), server('bastion')],
      sets: files.map(({ value }) => value!),
    };
    const references = [read, ...files].flatMap((each) => each.references ?? []);
    return checkReferences(source, references).map(
      ({ severity, file, line, column, path, message }) =>
        `${severity} ${file}:${line}:${column} ${path} ${message}`,
    );
  };

  it('that exist have no problems', () => {
    expect(
      problemsOf(
        '{ protocol: tcp, sources: ["server:bastion", "template:web", "set:a", "label:role=web"] }',
        { a: 'include: ["set:b"]', b: 'addresses: [10.0.0.1]' },
      ),
    ).toEqual([]);
  });

  it.each<[string, string]>([
    [
      '{ protocol: tcp, sources: ["server:bastoin"] }',
      'error templates/web.yaml:2:32 inbound[0].sources[0] there is no server "bastoin"; did you mean "bastion"?',
    ],
    [
      '{ protocol: tcp, except: ["template:wbe"] }',
      'error templates/web.yaml:2:31 inbound[0].except[0] there is no template "wbe"; did you mean "web"?',
    ],
    [
      '{ protocol: tcp, sources: ["set:office"] }',
      'error templates/web.yaml:2:32 inbound[0].sources[0] there is no set "office"',
    ],
    [
      '{ protocol: tcp, sources: ["label:role=db"] }',
      'warning templates/web.yaml:2:32 inbound[0].sources[0] no server matches "role=db": it means nobody until one does',
    ],
  ])('%s is reported in its place', (text, expected) => {
    expect(problemsOf(text)).toEqual([expected]);
  });

  it('of sets in a circle show the circle', () => {
    const circle = { a: 'include: ["set:b"]', b: 'include: ["set:c"]', c: 'include: ["set:b"]' };
    expect(problemsOf('{ protocol: tcp }', circle)).toEqual([
      'error a:1:11 include[0] sets contain each other: b → c → b',
      'error b:1:11 include[0] sets contain each other: c → b → c',
      'error c:1:11 include[0] sets contain each other: b → c → b',
    ]);
  });
});
