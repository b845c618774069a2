/** Explanations of rules that name groups, that end or are off: which peer matched, by whom, and why not. */
import { describe, expect, it } from 'vitest';
import { explainCommand } from '../../../src/cli/explain-command.ts';
import { parseAddress } from '../../../src/policy/addresses.ts';
import { validateSet } from '../../../src/policy/address-set.ts';
import { compilePolicy } from '../../../src/policy/compile.ts';
import { explainFlow } from '../../../src/policy/explain.ts';
import type { ExplainedSide } from '../../../src/policy/explain.ts';
import { validateServers, validateTemplate } from '../../../src/policy/validate.ts';
import { runCli } from '../../support/cli.ts';

const files: Record<string, string> = {
  db: `appliesTo: [role=db]
inbound:
  - { protocol: tcp, ports: [5432], sources: [192.0.2.0/24, "label:role=web", "set:all"], except: ["server:web-9"] }
  - { protocol: tcp, ports: [22], sources: ["template:open"], enabled: false }
  - { protocol: tcp, ports: [23], expires: 2026-01-31T18:00:00Z }
  - { protocol: udp, ports: [53], sources: ["label:role=mail"] }`,
  open: 'outbound: [{ protocol: all }]',
};
const templates = Object.entries(files).map(
  ([name, text]) => validateTemplate(name, `${name}.yaml`, text).value!,
);
const servers = validateServers(
  'servers.yaml',
  `servers:
  - { name: web-1, addresses: [10.0.0.2], templates: [open], region: hkg, labels: { role: web } }
  - { name: web-9, addresses: [10.0.0.9], templates: [open], labels: { role: web } }
  - { name: db-1, addresses: [10.0.0.3], labels: { role: db } }`,
  new Set(['db', 'open']),
).value!;
const setFiles: Record<string, string> = {
  office: 'addresses: [198.51.100.0/24]',
  vpn: 'addresses: [203.0.113.0/24]\ninclude: ["set:office"]\nexcept: [203.0.113.9]',
  all: 'addresses: [192.88.99.1]\ninclude: ["set:office", "set:vpn"]',
};
const sets = Object.entries(setFiles).map(
  ([name, text]) => validateSet(name, `${name}.yaml`, text).value!,
);
const source = {
  templates,
  servers,
  compiled: compilePolicy({ templates, servers, sets }, 1),
  loose: false,
};

const address = (text: string): number => (parseAddress(text) as { value: number }).value;
const question = (from: string, port: number, protocol: 'tcp' | 'udp' = 'tcp') => ({
  ...{ protocol, source: address(from), destination: address('10.0.0.3') },
  destinationPort: port,
});
const inbound = (...asked: Parameters<typeof question>): ExplainedSide =>
  explainFlow(source, question(...asked)).sides.find(({ direction }) => direction === 'inbound')!;

describe('what matched', () => {
  it.each<[string, object]>([
    ['10.0.0.2', { peer: 'label:role=web', server: 'web-1' }],
    ['192.88.99.1', { peer: 'set:all', set: 'all' }],
    ['198.51.100.7', { peer: 'set:all', set: 'office' }],
    ['203.0.113.7', { peer: 'set:all', set: 'vpn' }],
    ['192.0.2.7', { peer: '192.0.2.0/24' }],
  ])('from %s', (from, matched) => {
    expect(inbound(from, 5432)).toMatchObject({
      allowed: true,
      rules: 2,
      rule: { template: 'db', position: 0, selector: 'role=db', matched },
    });
  });

  it('and by what a template is the server’s', () => {
    const { sides } = explainFlow(source, question('10.0.0.2', 5432));
    const [outbound] = sides;
    expect(Object.keys(outbound!.rule!)).toEqual([
      'template',
      'direction',
      'index',
      'position',
      'line',
      'text',
    ]);
  });
});

describe('why not', () => {
  const failed = (...asked: Parameters<typeof question>): unknown =>
    inbound(...asked).nearest!.failed;

  it('the rule excepts the server', () => {
    const found = '10.0.0.9 (server web-9: role=web)';
    expect(failed('10.0.0.9', 5432)).toEqual([
      { field: 'except', expected: 'server:web-9', found },
    ]);
  });

  it('nobody of the group has the address', () => {
    const expected = '192.0.2.0/24, label:role=web, set:all except server:web-9';
    const found = '203.0.114.1 (no server)';
    expect(failed('203.0.114.1', 5432)).toEqual([{ field: 'sources', expected, found }]);
  });

  it('the group has no members', () => {
    const found = '10.0.0.2 (server web-1: role=web, region=hkg)';
    expect(failed('10.0.0.2', 53, 'udp')).toEqual([
      { field: 'sources', expected: 'label:role=mail (nobody now)', found },
    ]);
  });

  it('the rule is off', () => {
    expect(failed('10.0.0.2', 22)).toEqual([
      { field: 'enabled', expected: 'true', found: 'false' },
    ]);
    expect(inbound('10.0.0.2', 22)).toMatchObject({
      nearest: { text: 'TCP: 22 from template:open (off)', matched: { server: 'web-1' } },
    });
  });

  it('the rule has ended', () => {
    expect(inbound('192.0.2.1', 23).nearest).toMatchObject({
      text: 'TCP: 23 from any (expired 2026-01-31T18:00:00Z)',
      failed: [{ field: 'expires', found: '2026-01-31T18:00:00Z' }],
    });
  });
});

it.each<[args: string[], words: string[]]>([
  [
    ['10.0.0.2', '10.0.0.3:5432'],
    ['db applies to role=db', 'label:role=web: server web-1'],
  ],
  [['198.51.100.7', '10.0.0.3:5432'], ['set:all: set office']],
  [
    ['10.0.0.9', '10.0.0.3:5432'],
    ['except: the rule takes away server:web-9, the packet has 10.0.0.9 (server web-9: role=web)'],
  ],
  [['10.0.0.2', '10.0.0.3:22'], ['enabled: the rule is off']],
  [['10.0.0.2', '10.0.0.3:23'], ['expires: the rule has ended at 2026-01-31T18:00:00Z']],
])('on the command line: %j', async ([from, to], words) => {
  const verb = explainCommand({
    answer: () =>
      Promise.resolve({
        explanation: explainFlow(source, question(from!, Number(to!.split(':')[1]))),
        fileOf: (template) => `${template}.yaml`,
      }),
    readText: () => Promise.reject(new Error('not asked')),
  });
  const { out } = await runCli([verb], ['explain', '--from', from!, '--to', to!, '--proto', 'tcp']);
  for (const each of words) expect(out).toContain(`\n  ${each}\n`);
});
