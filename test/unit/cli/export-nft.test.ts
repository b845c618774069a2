/** The nft export: its text by hand, and that nft takes every ruleset and loads it. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { run as runProcess } from '../../../src/lab/network.ts';
import type { Finished } from '../../../src/lab/types.ts';
import { exportCommand } from '../../../src/cli/export-command.ts';
import { createOutput } from '../../../src/cli/output.ts';
import { runProgram } from '../../../src/cli/program.ts';
import { exportNft } from '../../../src/interop/rules/nft.ts';
import {
  intersectRanges,
  mergeRanges,
  rangesCover,
} from '../../../src/interop/rules/range-lists.ts';
import type { Range } from '../../../src/interop/rules/range-lists.ts';
import { parsePeer } from '../../../src/policy/peers.ts';
import type { Peer } from '../../../src/policy/types.ts';
import { toServers, toTemplates } from '../../support/policies.ts';
import { PolicyMaker } from '../../support/random-policy.ts';
import { seed, seededRandom } from '../../support/seed.ts';

const templates = toTemplates({
  web: {
    inbound: [
      { protocol: 'tcp', ports: [80, 443, [8000, 8100], [8050, 8200]] },
      { protocol: 'icmp', sources: ['10.0.0.0/8', '10.1.2.3', '192.0.2.7'] },
    ],
    outbound: [{ protocol: 'all' }],
  },
  db: {
    inbound: [{ protocol: 'tcp', ports: [5432], sources: ['10.0.0.2'] }],
    outbound: [{ protocol: 'udp', destinations: ['0.0.0.0/0'] }],
  },
  silent: { inbound: [{ protocol: 'tcp' }], outbound: [] },
});
const servers = toServers([
  { name: 'web-1', addresses: ['10.0.0.2', '10.0.1.2'], templates: ['web'] },
  { name: 'web-2', addresses: ['10.0.0.4'], templates: ['web'] },
  { name: 'db-1', addresses: ['10.0.0.3'], templates: ['silent', 'db'] },
  { name: 'bare', addresses: ['10.0.0.5'], templates: [] },
]);

const source = { templates, servers };

describe('the ruleset', () => {
  const text = exportNft(source);
  const block = (head: string): string[] => {
    const at = text.indexOf(`\t${head} {`);
    const lines = text.slice(at, text.indexOf('\n\t}', at)).split('\n');
    return lines.slice(1).map((line) => line.trim());
  };

  it('replaces its table', () => {
    expect(text.split('\n').slice(0, 3)).toEqual([
      'table inet tunwall',
      'delete table inet tunwall',
      'table inet tunwall {',
    ]);
    expect(block('chain forward')[0]).toBe(
      'type filter hook forward priority filter; policy drop;',
    );
  });

  it('has a chain for each set of templates, merged ranges, and drops where no rules are', () => {
    expect(block('map inbound')).toEqual([
      'type ipv4_addr : verdict',
      'elements = {',
      '10.0.0.2 : jump servers_1_inbound,',
      '10.0.1.2 : jump servers_1_inbound,',
      '10.0.0.4 : jump servers_1_inbound,',
      '10.0.0.3 : jump servers_2_inbound,',
      '10.0.0.5 : drop',
      '}',
    ]);
    expect(block('chain servers_1_inbound')).toEqual([
      'tcp dport { 80, 443, 8000-8200 } return comment "web inbound[0]"',
      'ip protocol icmp ip saddr { 10.0.0.0-10.255.255.255, 192.0.2.7 } return comment "web inbound[1]"',
      'drop',
    ]);
    expect(block('chain servers_1_outbound')).toEqual([
      'ip protocol { icmp, tcp, udp } return comment "web outbound[0]"',
      'drop',
    ]);
    expect(block('chain servers_2_inbound')).toEqual([
      'ip saddr 10.0.0.2 tcp dport 5432 return comment "db inbound[0]"',
      'ip protocol tcp return comment "silent inbound[0]"',
      'drop',
    ]);
    expect(block('chain servers_2_outbound')[0]).toBe(
      'ip protocol udp return comment "db outbound[0]"',
    );
  });
});

it('a set has its name there, and what else groups mean has a set for each way to write it', () => {
  const group = (text: string): Peer => (parsePeer(text) as { value: Peer }).value;
  const office = { name: 'office', addresses: [], except: [], include: ['vpn'] };
  const range = { from: 0xc0000200, to: 0xc00002ff, text: '192.0.2.0/24' };
  const text = exportNft({
    templates: [
      {
        name: 'web',
        inbound: [
          { protocol: 'tcp', peers: [group('set:office')] },
          { protocol: 'udp', peers: [group('set:office')], except: [group('server:web-1')] },
          { protocol: 'icmp', peers: [group('label:role=web')] },
        ],
        outbound: [],
      },
    ],
    servers: servers.map((each) => ({ ...each, labels: { role: 'web' } })),
    sets: [office, { name: 'vpn', addresses: [range], except: [], include: [] }],
  });
  const rulesOf = (name: string): number => text.split(`ip saddr @${name} `).length - 1;
  expect(text).toContain(
    '\t# set:office\n\tset set_office {\n\t\ttype ipv4_addr\n\t\tflags interval\n\t\telements = {\n\t\t\t192.0.2.0-192.0.2.255\n',
  );
  expect(text).toContain('\t# set:office except server:web-1\n\tset peers_2 {\n');
  expect(text).toContain('\t# label:role=web\n\tset peers_3 {\n');
  expect([rulesOf('set_office'), rulesOf('peers_2'), rulesOf('peers_3')]).toEqual([1, 1, 1]);
});

describe('ranges', () => {
  const range = fc
    .tuple(fc.nat(40), fc.nat(10))
    .map(([from, length]): Range => ({ from, to: from + length }));
  const ranges = fc.array(range, { maxLength: 6 });
  const has = (list: readonly Range[], value: number): boolean =>
    list.some(({ from, to }) => from <= value && value <= to);
  const all = Array.from({ length: 55 }, (_, i) => i);

  it('merge, intersect and cover like sets', () => {
    fc.assert(
      fc.property(ranges, ranges, (a, b) => {
        const merged = mergeRanges(a);
        const both = intersectRanges(mergeRanges(a), mergeRanges(b));
        for (const value of all) {
          expect(has(merged, value)).toBe(has(a, value));
          expect(has(both, value)).toBe(has(a, value) && has(b, value));
        }
        merged.forEach(({ from }, i) => {
          if (i > 0) expect(from).toBeGreaterThan(merged[i - 1]!.to + 1);
        });
        expect(rangesCover(merged, b)).toBe(all.every((value) => !has(b, value) || has(a, value)));
      }),
      { seed, numRuns: 500 },
    );
  });
});

/** Checks and loads every file of a directory, one after another, in a network namespace that ends with it. */
const loadAll = 'for file in "$1"/*; do nft -c -f "$file" && nft -f "$file" || echo "$file"; done';
const nft = (directory: string): Promise<Finished> =>
  runProcess('unshare', ['-n', 'sh', '-c', loadAll, '-', directory], { timeoutMs: 100_000 });
const obstacle =
  process.getuid?.() !== 0
    ? 'they need root'
    : spawnSync('unshare', ['-n', 'nft', '--version']).status !== 0
      ? 'nft or network namespaces are missing'
      : undefined;
if (obstacle !== undefined) console.log(`tests with nft do not run: ${obstacle}`);

describe.skipIf(obstacle !== undefined)('nft', () => {
  it('takes every ruleset, also twice', { timeout: 120_000 }, async () => {
    const addresses = Array.from({ length: 14 }, (_, i) => 0x0a000000 + i * 3);
    const maker = new PolicyMaker(seededRandom(), [...addresses, 0xc0000201, 0xdf000000]);
    const rulesets = [
      exportNft({ templates: [], servers: [] }),
      exportNft(source),
      // The same table again, and with less in it.
      exportNft(source),
      exportNft(source, ['db-1']),
      ...Array.from({ length: 25 }, () => {
        const policy = maker.policy(12);
        return exportNft(policy);
      }),
    ];
    const directory = mkdtempSync(join(tmpdir(), 'twt-nft-'));
    try {
      rulesets.forEach((ruleset, index) => {
        writeFileSync(join(directory, `${String(index).padStart(2, '0')}.nft`), ruleset);
      });
      const { code, stdout, stderr } = await nft(directory);
      expect(code).toBe(0);
      expect(
        stdout + stderr,
        stdout === '' ? '' : readFileSync(stdout.split('\n')[0]!, 'utf8'),
      ).toBe('');
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});

describe('tunwall export nft', () => {
  async function run(...args: string[]): Promise<{ code: number; out: string; err: string }> {
    let out = '';
    let err = '';
    const output = createOutput(
      { write: (text) => (out += text) },
      { write: (text) => (err += text) },
      {},
    );
    const problem = {
      severity: 'error',
      file: 'bad',
      line: 0,
      column: 0,
      path: '',
      message: 'cannot be read',
    } as const;
    const verb = exportCommand((directory) =>
      Promise.resolve({ templates, servers, problems: directory === 'bad' ? [problem] : [] }),
    );
    const parts = { version: '1', output, verbs: [verb] };
    const code = await runProgram(['export', 'nft', ...args], parts);
    return { code, out, err };
  }

  it('prints the whole policy, or that of a server', async () => {
    const text = exportNft(source);
    expect(await run()).toEqual({ code: 0, out: text, err: '' });
    expect((await run('--server', 'db-1')).out).toBe(exportNft(source, ['db-1']));
    expect(JSON.parse((await run('--json')).out)).toEqual({ ruleset: text });
  });

  it('says what is wrong', async () => {
    const unknown = await run('--server', 'db1');
    expect(unknown).toMatchObject({ code: 1, out: '' });
    expect(unknown.err).toContain('there is no server "db1"; did you mean "db-1"?');
    expect((await run('--config', 'bad')).err).toContain('bad: cannot be read');
  });
});
