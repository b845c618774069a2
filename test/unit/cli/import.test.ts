/** Importing JSON of clouds, writing template files, the verb and its progress bar. */
import { chmod, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { importCommand } from '../../../src/cli/import-command.ts';
import { createOutput } from '../../../src/cli/output.ts';
import { runProgram } from '../../../src/cli/program.ts';
import { createProgress } from '../../../src/cli/progress.ts';
import { readInput } from '../../../src/cli/read-input.ts';
import { NameGiver, toTemplateName } from '../../../src/interop/rules/import-result.ts';
import type { ImportFormat, ImportResult } from '../../../src/interop/rules/import-result.ts';
import { importRules } from '../../../src/interop/rules/import.ts';
import { importIntoStore, writeImported } from '../../../src/cli/import-target.ts';
import { formatAddressNumber } from '../../../src/policy/addresses.ts';
import { compilePolicy } from '../../../src/policy/compile.ts';
import { namePattern } from '../../../src/policy/validate.ts';
import { MatchResult, Matcher } from '../../../src/dataplane/match/matcher.ts';
import { FileStore } from '../../../src/control/store/files/file-store.ts';
import { readConfigDirectory } from '../../../src/control/store/files/config-directory.ts';
import { read, reported } from '../../support/imports.ts';
import { PolicyMaker, interestingPorts } from '../../support/random-policy.ts';
import { seed, seededRandom } from '../../support/seed.ts';

const fixtureFile = (name: string): string =>
  new URL(`../../fixtures/import/${name}`, import.meta.url).pathname;
const run = (document: unknown, format?: ImportFormat, name?: string): ImportResult =>
  importRules(typeof document === 'string' ? document : JSON.stringify(document), format, {
    fallbackName: 'file',
    ...(name !== undefined && { name }),
  });
const fixture = (name: string): ImportResult => run(readFileSync(fixtureFile(name), 'utf8'));

describe('DigitalOcean', () => {
  it('the shape of its API', () => {
    const result = fixture('digitalocean.json');
    const gateway = ['18.0.0.0/8', '192.0.2.0/24', 'label:tag-gateway'];
    expect(result.format).toBe('digitalocean');
    expect(result.templates).toEqual([
      {
        name: 'web-tier',
        description: 'Imported from the DigitalOcean firewall "Web Tier"',
        appliesTo: ['tag-web'],
        inbound: [
          { protocol: 'tcp', ports: [80], sources: ['0.0.0.0/0'] },
          { protocol: 'tcp', ports: [22], sources: gateway },
          { protocol: 'icmp', sources: ['0.0.0.0/0'] },
        ],
        outbound: [
          { protocol: 'tcp', destinations: ['0.0.0.0/0'] },
          { protocol: 'udp', destinations: ['192.0.2.53'] },
        ],
      },
    ]);
    const lost = reported(result).filter((each) => each.startsWith('lost'));
    expect(lost.map((each) => each.split(': ')[0])).toEqual([
      'lost firewalls[0].inbound_rules[3].sources.load_balancer_uids',
      'lost firewalls[0].inbound_rules[3]',
      'lost firewalls[0].inbound_rules[4].ports',
      'lost firewalls[0].outbound_rules[2].destinations.kubernetes_ids',
      'lost firewalls[0].outbound_rules[2]',
    ]);
    read(result);
  });

  const one = (rule: object): ImportResult =>
    run({ firewall: { name: 'f', inbound_rules: [rule], outbound_rules: [] } });
  const any = { addresses: ['0.0.0.0/0'] };

  it.each<[string, object, string]>([
    ['no sources', { protocol: 'tcp', ports: '80' }, 'none of its sources can be expressed'],
    ['empty sources', { protocol: 'tcp', ports: '80', sources: {} }, 'none of its sources'],
    [
      'an empty list',
      { protocol: 'tcp', ports: '80', sources: { addresses: [] } },
      'none of its sources',
    ],
    [
      'a text for a list',
      { protocol: 'tcp', ports: '80', sources: { addresses: 'any' } },
      'expected a list',
    ],
    [
      'any for an address',
      { protocol: 'tcp', ports: '80', sources: { addresses: ['any'] } },
      '"any" is not',
    ],
    ['no ports', { protocol: 'tcp', sources: any }, 'no ports are given'],
    ['a list of ports', { protocol: 'tcp', ports: '80,81', sources: any }, 'expected a port'],
    ['ports of ICMP', { protocol: 'icmp', ports: '8', sources: any }, 'ICMP has no ports'],
    ['another protocol', { protocol: 'sctp', ports: '8', sources: any }, '"sctp": only ICMP'],
    ['no protocol', { ports: '8', sources: any }, 'null: only ICMP'],
    [
      'an unknown key',
      { protocol: 'tcp', ports: '8', sources: any, priority: 7 },
      'what priority means is not known: it may deny',
    ],
    ['a number', 7 as never, 'expected a rule'],
  ])('a rule with %s is left out', (_name, rule, message) => {
    const result = one(rule);
    expect(result.templates[0]!.inbound).toEqual([]);
    expect(reported(result).join('\n')).toContain(message);
    expect(
      reported(result).every((each) => each.startsWith('lost firewall.inbound_rules[0]')),
    ).toBe(true);
  });

  it('one firewall by itself, a list of them, and names', () => {
    const bare = { name: 'A', inbound_rules: [], outbound_rules: [] };
    const namesOf = (document: unknown, name?: string): string[] =>
      run(document, undefined, name).templates.map((template) => template.name);
    expect(namesOf(bare)).toEqual(['a']);
    expect(namesOf([bare, { ...bare, name: 'a' }, { ...bare, name: '' }])).toEqual([
      'a',
      'a-2',
      'file',
    ]);
    expect(namesOf({ firewall: bare }, 'mine')).toEqual(['mine']);
    expect(namesOf({ firewalls: [bare, { ...bare, name: 'B!' }] }, 'mine')).toEqual([
      'mine-a',
      'mine-b',
    ]);
  });
});

describe('Hetzner Cloud', () => {
  it('the shape of its API', () => {
    const result = fixture('hetzner.json');
    expect(result.format).toBe('hetzner');
    const [intranet, ping] = result.templates;
    expect(intranet).toEqual({
      name: 'corporate-intranet-protection',
      description: 'Imported from the Hetzner Cloud firewall "Corporate Intranet Protection"',
      inbound: [
        {
          protocol: 'tcp',
          ports: [80],
          sources: ['28.239.13.1', '28.239.14.0/24'],
          comment: 'Allow port 80',
        },
        { protocol: 'udp', ports: ['1024-5000'], sources: ['0.0.0.0/0'] },
      ],
      outbound: [{ protocol: 'tcp', destinations: ['28.239.14.0/24'] }],
    });
    expect(ping!.outbound).toMatchObject([{ protocol: 'all' }]);
    expect(reported(result).map((each) => each.split(': ')[0])).toEqual([
      'note firewalls[0].applied_to',
      'note firewalls[0].rules[0].source_ips[2]',
      'note firewalls[0].rules[1].source_ips[1]',
      'lost firewalls[0].rules[2].protocol',
      'lost firewalls[0].rules[3].source_ips[0]',
      'lost firewalls[0].rules[3]',
      'note firewalls[1].rules',
    ]);
    read(result);
  });

  const any = ['0.0.0.0/0'];
  it.each<[string, object, string]>([
    ['no sources', { direction: 'in', protocol: 'tcp', port: '80' }, 'none of its source_ips'],
    [
      'no port',
      { direction: 'in', protocol: 'tcp', port: null, source_ips: any },
      'no ports are given',
    ],
    ['port 0', { direction: 'in', protocol: 'udp', port: '0', source_ips: any }, 'expected a port'],
    ['GRE', { direction: 'in', protocol: 'gre', port: null, source_ips: any }, '"gre": only'],
    [
      'both ends',
      { direction: 'in', protocol: 'icmp', source_ips: any, destination_ips: ['10.0.0.1'] },
      'destination_ips cannot be expressed',
    ],
    [
      'a port of ICMP',
      { direction: 'in', protocol: 'icmp', port: '1', source_ips: any },
      'ICMP has no ports',
    ],
    ['no direction', { protocol: 'icmp', source_ips: any }, 'the direction in or out'],
  ])('a rule with %s is left out', (_name, rule, message) => {
    const out = { direction: 'out', protocol: 'icmp', destination_ips: any };
    const result = run({ name: 'f', rules: [rule, out] });
    expect(result.templates[0]!.inbound).toEqual([]);
    expect(result.templates[0]!.outbound).toEqual([{ protocol: 'icmp', destinations: any }]);
    expect(reported(result).join('\n')).toContain(message);
  });

  it('outbound is open only if there surely was no outbound rule', () => {
    const outbound = (rules: unknown): unknown =>
      run({ name: 'f', rules }, 'hetzner').templates[0]!.outbound;
    expect(outbound([])).toMatchObject([{ protocol: 'all' }]);
    expect(outbound([{ direction: 'out', protocol: 'esp', destination_ips: any }])).toEqual([]);
    expect(outbound(['?'])).toEqual([]);
    expect(outbound(undefined)).toEqual([]);
    expect(outbound(null)).toEqual([]);
    expect(outbound('?')).toEqual([]);
  });
});

it.each([
  ['{', 'not valid JSON'],
  ['[]', 'this is nothing that can be imported'],
  ['{"a": 1}', 'this is nothing that can be imported'],
  ['[1]', '[0] is not a firewall'],
  ['{"firewalls": 5}', 'firewalls is not a firewall'],
])('%j is refused', (text, message) => {
  expect(() => run(text)).toThrow(message);
});

it('names are those of templates, each once', () => {
  const names = new NameGiver();
  for (const text of [
    '',
    '...',
    'Größe ✓',
    'x'.repeat(90),
    'x'.repeat(90),
    '-a',
    '../etc/passwd',
    'A B',
  ]) {
    expect(toTemplateName(text)).toMatch(namePattern);
    expect(names.give(text)).toMatch(namePattern);
  }
  expect(names.give('a b')).toBe('a-b-2');
  expect(names.give('x'.repeat(70))).toHaveLength(63);
});

describe('random documents against a naive reading', () => {
  const addresses = Array.from({ length: 10 }, (_, i) => 0x0a000000 + i * 7);
  const maker = new PolicyMaker(seededRandom(), addresses);
  const server = 0xc0000201;

  interface Plain {
    inbound: boolean;
    protocol: 'tcp' | 'udp' | 'icmp' | 'esp';
    ports: [number, number] | 'all';
    /** The blocks that are IPv4, as they are written. */
    blocks: { base: number; bits: number }[];
    others: string[];
  }

  const list = <T>(most: number, make: () => T): T[] =>
    Array.from({ length: maker.below(most + 1) }, make);
  const rule = (): Plain => {
    const protocol = maker.pick(['tcp', 'tcp', 'udp', 'icmp', 'esp'] as const);
    const [a, b] = [maker.pick(interestingPorts), maker.pick(interestingPorts)];
    return {
      inbound: maker.chance(0.5),
      protocol,
      ports: protocol === 'icmp' || maker.chance(0.2) ? 'all' : [Math.min(a, b), Math.max(a, b)],
      blocks: list(3, () => ({
        base: maker.pick(addresses),
        bits: maker.pick([32, 31, 28, 8, 0]),
      })),
      others: list(1, () => maker.pick(['::/0', '2001:db8::1'])),
    };
  };
  const ips = ({ blocks, others }: Plain): string[] => [
    ...blocks.map(({ base, bits }) => `${formatAddressNumber(base)}/${bits}`),
    ...others,
  ];
  const portText = ({ ports }: Plain, all: string | null): string | null =>
    ports === 'all' ? all : ports[0] === ports[1] ? `${ports[0]}` : `${ports[0]}-${ports[1]}`;

  const toDigitalOcean = (rules: Plain[]): object => {
    const part = (inbound: boolean, key: string): object[] =>
      rules
        .filter((each) => each.inbound === inbound)
        .map((each) => ({
          protocol: each.protocol,
          ports: portText(each, maker.pick(['0', 'all'])),
          [key]: { addresses: ips(each), ...(maker.chance(0.2) && { tags: ['x'] }) },
        }));
    return {
      firewalls: [
        {
          name: 'f',
          inbound_rules: part(true, 'sources'),
          outbound_rules: part(false, 'destinations'),
        },
      ],
    };
  };
  const toHetzner = (rules: Plain[]): object => ({
    firewall: {
      name: 'f',
      rules: rules.map((each) => ({
        direction: each.inbound ? 'in' : 'out',
        protocol: each.protocol,
        port: portText(each, each.protocol === 'icmp' ? null : 'any'),
        source_ips: each.inbound ? ips(each) : [],
        destination_ips: each.inbound ? [] : ips(each),
        description: null,
      })),
    },
  });

  /** IPv4 of a block by its bits, one by one: no arithmetic in common with the importer. */
  const inBlock = (address: number, { base, bits }: { base: number; bits: number }): boolean =>
    address.toString(2).padStart(32, '0').slice(0, bits) ===
    base.toString(2).padStart(32, '0').slice(0, bits);
  const allows = (rules: Plain[], inbound: boolean, protocol: string, peer: number, port: number) =>
    rules.some(
      (each) =>
        each.inbound === inbound &&
        each.protocol === protocol &&
        (each.ports === 'all' || (each.ports[0] <= port && port <= each.ports[1])) &&
        each.blocks.some((block) => inBlock(peer, block)),
    );

  it.each(['digitalocean', 'hetzner'] as const)('of %s', (format) => {
    const seen = { allowed: 0, denied: 0 };
    for (let round = 0; round < 150; round++) {
      const rules = list(8, rule);
      const document = format === 'digitalocean' ? toDigitalOcean(rules) : toHetzner(rules);
      const result = run(document);
      expect(result.format).toBe(format);
      const [template] = read(result);
      const compiled = compilePolicy(
        { templates: [template!], servers: [{ name: 's', addresses: [server], templates: ['f'] }] },
        1,
      );
      const policy = new Matcher(compiled.words);
      const open = format === 'hetzner' && rules.every(({ inbound }) => inbound);
      for (let probe = 0; probe < 40; probe++) {
        const protocol = maker.pick(['tcp', 'udp', 'icmp'] as const);
        const port = protocol === 'icmp' ? 0 : maker.pick(interestingPorts);
        const peer = maker.pick(addresses) + maker.below(2);
        const inbound = maker.chance(0.5);
        const [src, dst] = inbound ? [peer, server] : [server, peer];
        const number = { icmp: 1, tcp: 6, udp: 17 }[protocol];
        const allowed = policy.match(number, src, dst, port) === MatchResult.allowed;
        const expected = allows(rules, inbound, protocol, peer, port) || (open && !inbound);
        expect(allowed, `TUNWALL_SEED=${seed} ${JSON.stringify(document)}`).toBe(expected);
        seen[allowed ? 'allowed' : 'denied']++;
      }
    }
    for (const count of Object.values(seen)) expect(count).toBeGreaterThan(300);
  });
});

describe('files', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'twt-import-'));
  });
  afterEach(async () => {
    await rm(directory, { recursive: true });
  });

  const openStore = (path: string): Promise<FileStore> =>
    FileStore.open(path, { onWarning: () => undefined });

  async function command(...args: string[]): Promise<{ code: number; out: string; err: string }> {
    let out = '';
    let err = '';
    const output = createOutput(
      { write: (text) => (out += text) },
      { write: (text) => (err += text) },
      {},
    );
    const verb = importCommand({
      readText: readInput,
      openStore,
      actor: 'alice',
      progress: (label) => createProgress(label, { write: () => undefined }, () => 0),
    });
    const code = await runProgram(['import', ...args], { version: '1', output, verbs: [verb] });
    return { code, out, err };
  }

  it('join a configuration directory, which stays valid', async () => {
    const ran = await command(fixtureFile('hetzner.json'), '--config', directory);
    expect(ran.code).toBe(0);
    expect(ran.out).toContain(
      `corporate-intranet-protection  2              1               ${directory}/templates/corporate-intranet-protection.yaml\n`,
    );
    expect(ran.err).toContain('firewalls[0].rules[2].protocol: not expressed: "esp": only ICMP');
    expect(ran.err).toContain('3 things could not be expressed\n');
    const { templates, problems } = await readConfigDirectory(directory);
    expect(problems.filter(({ severity }) => severity === 'error')).toEqual([]);
    expect(templates.map(({ name }) => name)).toEqual(['corporate-intranet-protection', 'ping']);
    expect(await readFile(join(directory, 'templates/ping.yaml'), 'utf8')).toBe(
      `description: "Imported from the Hetzner Cloud firewall \\"ping\\""
inbound:
  - { protocol: icmp, sources: [0.0.0.0/0] }
outbound:
  - { protocol: all, comment: "There were no outbound rules, which means: all" }
`,
    );
  });

  it('are not overwritten, and then none is written, unless that is asked for', async () => {
    await writeFile(join(directory, 'ping.yaml'), '# mine\n');
    const args = [fixtureFile('hetzner.json'), '--output', directory];
    const refused = await command(...args);
    expect(refused.code).toBe(1);
    expect(refused.err).toContain('ping.yaml exists\n  choose another --name, or overwrite');
    expect(await readdir(directory)).toEqual(['ping.yaml']);
    expect(await readFile(join(directory, 'ping.yaml'), 'utf8')).toBe('# mine\n');
    expect((await command(...args, '--force')).code).toBe(0);
    expect(await readdir(directory)).toEqual(['corporate-intranet-protection.yaml', 'ping.yaml']);
    expect(await readFile(join(directory, 'ping.yaml'), 'utf8')).toContain('protocol: icmp');
  });

  it('a template that would not be valid is never written', async () => {
    const bad = {
      name: 'x',
      description: '',
      inbound: [],
      outbound: [{ protocol: 'tcp', ports: [0] }],
    } as const;
    await expect(writeImported(directory, [bad], false)).rejects.toThrow('expected a port');
    const made = importIntoStore(await openStore(directory), 'alice', [bad], { overwrite: false });
    await expect(made).rejects.toThrow('expected a port');
    expect(await readdir(directory)).toEqual([]);
  });

  it('are printed, not written, by a dry run', async () => {
    const ran = await command(
      fixtureFile('host.rules'),
      '--name',
      'old',
      '--dry-run',
      '--output',
      directory,
    );
    expect(ran.code).toBe(0);
    expect(ran.out).toMatch(/^# old\.yaml\ndescription: "Imported from iptables/);
    expect(await readdir(directory)).toEqual([]);
  });

  it('strict fails where something is lost, and writes nothing', async () => {
    const ran = await command(fixtureFile('host.rules'), '--strict', '--output', directory);
    expect(ran.code).toBe(1);
    expect(ran.err).toContain(
      'tunwall: 5 things could not be expressed: nothing was written (--strict)',
    );
    expect(await readdir(directory)).toEqual([]);
    const whole = join(directory, 'whole.json');
    const icmp = { direction: 'in', protocol: 'icmp', source_ips: ['10.0.0.0/8'] };
    await writeFile(whole, JSON.stringify({ name: 'whole', rules: [icmp] }));
    expect((await command(whole, '--strict', '--output', directory)).code).toBe(0);
  });

  it('a direction of which every accepting rule is lost fails, and writes nothing', async () => {
    const rules = join(directory, 'zones.rules');
    const lines = ['*filter', ':INPUT DROP [0:0]', ':OUTPUT ACCEPT [0:0]'];
    const accept = '-A INPUT -i eth0 -p tcp -m tcp --dport 22 -j ACCEPT';
    await writeFile(rules, [...lines, accept, 'COMMIT', ''].join('\n'));
    const ran = await command(rules, '--output', join(directory, 'out'));
    expect(ran.code).toBe(1);
    expect(ran.err).toContain(
      'none of the 1 accepting rules of INPUT could be expressed: nothing was written',
    );
    expect(await readdir(directory)).toEqual(['zones.rules']);
    const known = await command(rules, '--interface', 'eth0', '--dry-run');
    expect(known.code).toBe(0);
    expect(known.out).toContain('- { protocol: tcp, ports: [22] }');
  });

  it('JSON has templates, remarks and files', async () => {
    const ran = await command(fixtureFile('digitalocean.json'), '--json', '--output', directory);
    const { templates, remarks } = fixture('digitalocean.json');
    expect(JSON.parse(ran.out)).toEqual({
      ok: true,
      format: 'digitalocean',
      templates,
      remarks,
      files: [join(directory, 'web-tier.yaml')],
    });
    expect(ran.err).toBe('');
  });

  it('says what is wrong', async () => {
    const file = join(directory, 'x');
    await writeFile(file, '{"rules": [{"direction": "out", "protocol": "esp"}]}');
    expect(await command(file)).toMatchObject({
      code: 1,
      err: expect.stringContaining(
        'none of its rules could be expressed: nothing was written',
      ) as string,
    });
    await writeFile(file, '*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n');
    expect((await command(file)).err).toContain('there are no firewall rules in it');
    await writeFile(file, 'hello');
    expect((await command(file)).err).toContain('this is nothing that can be imported\n  expected');
    await writeFile(file, Uint8Array.of(0xff, 0xfe));
    expect((await command(file)).err).toContain(`${file} cannot be read: it is not UTF-8 text`);
    await chmod(file, 0o600);
    expect((await command(join(directory, 'nothing'))).err).toContain('it does not exist');
    expect((await command(file, '--name', 'A b')).err).toContain(
      '"A b" cannot be a template\'s name',
    );
    expect((await command(file, '--format', 'pf')).code).toBe(2);
    expect((await command()).code).toBe(2);
    expect((await command(file, '--config', 'a', '--output', 'b')).code).toBe(2);
  });
});
