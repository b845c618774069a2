/** The frame of the command line: exit codes, messages, help, tables; and the verbs' printing. */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stripVTControlCharacters } from 'node:util';
import { describe, expect, test } from 'vitest';
import { checkCommand, type CheckedConfig } from '../../../src/cli/check-command.ts';
import { demoCommand, type DemoOptions } from '../../../src/cli/demo-command.ts';
import { parseSelector } from '../../../src/policy/selector.ts';
import type { Selector } from '../../../src/policy/types.ts';
import { UserError } from '../../../src/cli/errors.ts';
import { gatewayCommand, type GatewayActions } from '../../../src/cli/gateway-command.ts';
import { createOutput } from '../../../src/cli/output.ts';
import { runProgram, type Verb } from '../../../src/cli/program.ts';
import { runCommand } from '../../../src/cli/run-command.ts';
import { GatewayError, type GatewayOptions } from '../../../src/host/gateway.ts';
import { defaultGatewayConfig } from '../../../src/policy/validate-gateway.ts';
import { unwatched } from '../../support/cli.ts';

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function run(
  verbs: readonly Verb[],
  args: readonly string[],
  { tty = false, environment = {} }: { tty?: boolean; environment?: Record<string, string> } = {},
): Promise<Ran> {
  let out = '';
  let err = '';
  const stdout = { isTTY: tty, write: (text: string) => (out += text) };
  const stderr = { isTTY: tty, write: (text: string) => (err += text) };
  const output = createOutput(stdout, stderr, environment);
  const code = await runProgram(args, { version: '1.2.3', output, verbs });
  return { code, out, err };
}

const started: string[] = [];
const verbs = [
  runCommand(({ configDirectory }) => {
    started.push(configDirectory);
    return Promise.resolve(configDirectory === 'bad' ? 1 : 0);
  }),
  demoCommand(() => Promise.resolve(0)),
];

describe('exit codes', () => {
  test.each<[args: string[], code: number, out: RegExp, err: RegExp]>([
    [[], 2, /^$/, /Usage: tunwall/],
    [['--help'], 0, /Exit codes: 0 fine, 1 failed, 2 called wrongly/, /^$/],
    [['--version'], 0, /^1\.2\.3\n$/, /^$/],
    [['help', 'run'], 0, /Usage: tunwall run/, /^$/],
    [['run', '--help'], 0, /Examples:\n {2}tunwall run/, /^$/],
    [['demo', '--help'], 0, /Examples:/, /^$/],
    [['runn'], 2, /^$/, /tunwall: unknown command 'runn'\n\(Did you mean run\?\)/],
    [
      ['run', '--confg', 'x'],
      2,
      /^$/,
      /tunwall: unknown option '--confg'\n\(Did you mean --config\?\)/,
    ],
    [['run', '--config'], 2, /^$/, /argument missing/],
    [['run', 'surplus'], 2, /^$/, /too many arguments/],
    [['run', '--config', 'good'], 0, /^$/, /^$/],
    [['run', '--config', 'bad'], 1, /^$/, /^$/],
  ])('%j ends with %i', async (args, code, out, err) => {
    const ran = await run(verbs, args);
    expect(ran.out).toMatch(out);
    expect(ran.err).toMatch(err);
    expect(ran.code).toBe(code);
  });

  test('a verb gets its options', async () => {
    started.length = 0;
    await run(verbs, ['run']);
    await run(verbs, ['run', '--config', 'here']);
    expect(started).toEqual(['/etc/tunwall', 'here']);

    const demos: DemoOptions[] = [];
    const demo = demoCommand((options) => Promise.resolve(demos.push(options) * 0));
    await run([demo], ['demo']);
    await run([demo], ['demo', '--once', '--json']);
    expect(demos).toEqual([
      { once: false, json: false },
      { once: true, json: true },
    ]);
  });
});

describe('errors', () => {
  const failing = (error: unknown): Verb[] => [
    runCommand(() => {
      throw error;
    }),
  ];

  test.each<[string, Error]>([
    ['UserError', new UserError('no such template: web', 'list them: tunwall template list')],
    ['GatewayError', new GatewayError('no such template: web', 'list them: tunwall template list')],
  ])('a %s is a line of what and a line of what to do', async (_, error) => {
    expect(await run(failing(error), ['run'])).toEqual({
      code: 1,
      out: '',
      err: 'tunwall: no such template: web\n  list them: tunwall template list\n',
    });
  });

  test('a UserError needs no hint', async () => {
    const { err } = await run(failing(new UserError('no')), ['run']);
    expect(err).toBe('tunwall: no\n');
  });

  test('anything else says how to see the stack', async () => {
    expect(await run(failing(new TypeError('x is undefined')), ['run'])).toEqual({
      code: 1,
      out: '',
      err: 'tunwall: unexpected error: x is undefined\n  set TUNWALL_DEBUG=1 for the stack, and report it\n',
    });
    expect((await run(failing('just text'), ['run'])).err).toContain('unexpected error: just text');
  });

  test('TUNWALL_DEBUG=1 shows the stack and its causes', async () => {
    const error = new UserError('outer', 'hint', { cause: new Error('inner') });
    const { err } = await run(failing(error), ['run'], { environment: { TUNWALL_DEBUG: '1' } });
    expect(err).toMatch(/outer\n {2}hint\n.*outer\n\s+at [^]*caused by: Error: inner\n\s+at /);
  });
});

describe('colours', () => {
  const failing = [runCommand(() => Promise.reject(new UserError('no')))];
  test.each([
    ['a terminal', true, {}, true],
    ['a pipe', false, {}, false],
    ['NO_COLOR', true, { NO_COLOR: '1' }, false],
    ['an empty NO_COLOR, which does not count', true, { NO_COLOR: '' }, true],
    ['a dumb terminal', true, { TERM: 'dumb' }, false],
  ])('on %s', async (_, tty, environment, coloured) => {
    const { err } = await run(failing, ['run'], { tty, environment });
    expect(stripVTControlCharacters(err)).toBe('tunwall: no\n');
    expect(err !== 'tunwall: no\n').toBe(coloured);
  });
});

describe('check', () => {
  const rule = { protocol: 'icmp' } as const;
  const dns = { protocol: 'udp', ports: [{ from: 53, to: 53 }] } as const;
  const config: CheckedConfig = {
    revision: '5f0c',
    templates: [
      { name: 'web', inbound: [rule, dns], outbound: [rule] },
      { name: 'small', inbound: [], outbound: [] },
    ],
    servers: [
      { name: 'a', addresses: [1], templates: ['web', 'small'] },
      { name: 'b', addresses: [2, 3], templates: [] },
    ],
    problems: [],
  };
  const problems: CheckedConfig['problems'] = [
    {
      file: 'templates/web.yaml',
      line: 4,
      column: 17,
      path: 'inbound[0].ports[1]',
      message: '70000 is not a port, expected 1 to 65535',
      severity: 'error',
    },
    {
      file: 'servers.yaml',
      line: 0,
      column: 0,
      path: '',
      message: 'missing',
      severity: 'warning',
    },
  ];
  const check = (found: CheckedConfig, ...args: string[]): Promise<Ran> =>
    run([checkCommand(() => found)], ['check', '--config', 'dir', ...args]);

  test('prints a summary of what is valid', async () => {
    expect(await check(config)).toEqual({
      code: 0,
      out:
        'template  inbound rules  outbound rules  servers\n' +
        'web       2              1               1\n' +
        'small     0              0               1\n' +
        'dir is valid: 2 templates with 3 rules, 2 servers\n' +
        'without a template, so everything is dropped: b\n',
      err: '',
    });
  });

  test('sets are counted, and what is in them', async () => {
    const part = {
      addresses: [{ from: 1, to: 2, text: '0.0.0.1-0.0.0.2' }],
      except: [],
      include: [],
    };
    const sets = [
      { name: 'offices', ...part },
      { name: 'all', ...part, include: ['offices'], file: 'all.txt', listEntries: 3 },
    ];
    const { out } = await check({ ...config, sets });
    expect(out).toContain('dir is valid: 2 templates with 3 rules, 2 servers, 2 sets\n');
    const { out: json } = await check({ ...config, sets }, '--json');
    expect((JSON.parse(json) as { sets: unknown }).sets).toEqual([
      { name: 'offices', entries: 1 },
      { name: 'all', entries: 5 },
    ]);
  });

  test('a template that applies to a server counts', async () => {
    const { value: selector } = parseSelector('role=db') as { value: Selector };
    const applying = {
      ...config,
      templates: [{ name: 'db', appliesTo: [selector], inbound: [], outbound: [] }],
      servers: [{ name: 'b', addresses: [2], templates: [], labels: { role: 'db' } }],
    };
    const { out } = await check(applying);
    expect(out).toMatch(/\ndb +0 +0 +1\n/);
    expect(out).not.toContain('everything is dropped');
    expect(JSON.parse((await check(applying, '--json')).out)).toMatchObject({
      servers: [{ templates: [], appliedTemplates: [{ template: 'db', selector: 'role=db' }] }],
    });
  });

  test('prints every problem where an editor finds it', async () => {
    expect(await check({ ...config, problems })).toEqual({
      code: 1,
      out: '',
      err:
        'templates/web.yaml:4:17: inbound[0].ports[1]: 70000 is not a port, expected 1 to 65535\n' +
        'servers.yaml: warning: missing\n' +
        'dir: 1 error, 1 warning\n',
    });
  });

  test('passes with warnings', async () => {
    const { code, err, out } = await check({ ...config, problems: problems.slice(1) });
    expect({ code, err }).toEqual({
      code: 0,
      err: 'servers.yaml: warning: missing\ndir: 0 errors, 1 warning\n',
    });
    expect(out).toContain('dir is valid');
  });

  test('warns of rules whose flows are to be logged where there is no flow log', async () => {
    const logged = { ...dns, log: true };
    const templates = [{ name: 'web', inbound: [rule, logged, logged], outbound: [logged] }];
    const servers = [{ name: 'a', addresses: [1], templates: ['web'] }];
    const { log, reject } = defaultGatewayConfig;
    const at = async (flows?: { file: string }): Promise<string> => {
      const gateway = {
        reject,
        log: { ...log, ...(flows && { flows: { ...flowLog, ...flows } }) },
      };
      return (await check({ ...config, templates, servers, gateway })).err;
    };
    const flowLog = { of: 'rules', maxSize: 65_536, keep: 1 } as const;
    expect(await at()).toContain(
      'dir/templates/web.yaml: inbound[1].log: warning: log: true logs nothing: gateway.yaml has no log.flows\n',
    );
    expect((await at()).match(/log: true/g)).toHaveLength(1);
    expect(await at({ file: '/var/log/flows' })).not.toContain('log: true');
  });

  test('warns of what is valid and perhaps not meant, and fails for that only if told to', async () => {
    const spare = { name: 'spare', inbound: [rule, rule], outbound: [] };
    const doubtful = { ...config, templates: [...config.templates, spare] };
    const err =
      'dir/templates/spare.yaml: warning: no server has this template\n' +
      'dir/templates/spare.yaml: inbound[1]: warning: it says the same as inbound[0]\n' +
      'dir: 0 errors, 2 warnings\n';
    const out = expect.stringContaining('dir is valid') as string;
    expect(await check(doubtful)).toEqual({ code: 0, out, err });
    expect(await check(doubtful, '--strict')).toEqual({ code: 1, out, err });
    expect(JSON.parse((await check(doubtful, '--json', '--strict')).out)).toMatchObject({
      ok: false,
      problems: [{ severity: 'warning', path: '' }, { path: 'inbound[1]' }],
    });
    expect((await check(config, '--strict')).code).toBe(0);
    // Of a configuration with errors a part is not known.
    const broken = { ...doubtful, problems: problems.slice(0, 1) };
    expect((await check(broken)).err).toContain('dir: 1 error, 0 warnings\n');
  });

  test('tells of a folder above that others can write; that is no fault of the files', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'twt-'));
    try {
      chmodSync(folder, 0o777);
      mkdirSync(join(folder, 'dir'));
      const of = (...args: string[]): Promise<Ran> =>
        run([checkCommand(() => config)], ['check', '--config', join(folder, 'dir'), ...args]);
      const { code, err } = await of('--strict');
      expect(code).toBe(0);
      expect(err).toContain(`${folder}/dir: warning: ${folder} can be written by everybody`);
      expect(err).toContain('0 errors, 1 warning');
      expect(JSON.parse((await of('--json')).out)).toMatchObject({
        ok: true,
        problems: [{ file: join(folder, 'dir'), severity: 'warning' }],
      });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test('prints JSON with the same exit codes', async () => {
    const bad = await check({ ...config, problems }, '--json');
    expect(bad.code).toBe(1);
    expect(JSON.parse(bad.out)).toMatchObject({ ok: false, problems });
    const good = await check(config, '--json');
    expect(good.code).toBe(0);
    expect(JSON.parse(good.out)).toMatchObject({
      ok: true,
      templates: [{ name: 'web', inbound: 2, outbound: 1, servers: 1 }, { name: 'small' }],
    });
  });
});

describe('gateway', () => {
  const calls: [string, GatewayOptions][] = [];
  const item = {
    kind: 'rule',
    item: 'rule 20',
    expected: 'from all lookup 100',
    found: 'missing',
  } as const;
  const actions: GatewayActions = {
    up: (options) => {
      calls.push(['up', options]);
      return Promise.resolve({ device: 'fw0', changed: ['rule 20: x'], warnings: ['careful'] });
    },
    down: (options) => {
      calls.push(['down', options]);
      return Promise.resolve({ device: 'fw0', changed: [], warnings: [] });
    },
    status: ({ device = 'fw0' }) =>
      Promise.resolve({
        device,
        recorded: true,
        closed: false,
        bypass: { packets: 3 },
        fastPath:
          device === 'fw7'
            ? { mode: 'auto', interfaces: ['eth0'], why: [] }
            : { mode: 'off', interfaces: [], why: [] },
        warnings: [],
        attachedQueues: 0,
        state: 'ok',
        problems: [],
        items: [{ ...item, ok: device !== 'broken' }],
        ok: device !== 'broken',
      }),
    watch: unwatched,
    configured: (directory) =>
      Promise.resolve({
        ...{ device: `of-${directory}`, txQueueLength: 500, fastPath: 'auto', flowCapacity: 2048 },
      }),
  };
  const gateway = (...args: string[]): Promise<Ran> =>
    run([gatewayCommand(actions)], ['gateway', ...args]);

  test('hands on what was asked for', async () => {
    calls.length = 0;
    await gateway('up', '--user', 'nobody', '--txqueuelen', '99', '--device', 'x');
    await gateway('up', '--config', 'dir');
    await gateway('down');
    await gateway('up', '--no-guard');
    await gateway('up', '--guard');
    await gateway('up', '--fast-path', 'force');
    await gateway('down', '--keep-closed');
    expect(calls).toEqual([
      ['up', { device: 'x', user: 'nobody', txQueueLength: 99 }],
      ['up', { device: 'of-dir', txQueueLength: 500, fastPath: 'auto', flowCapacity: 2048 }],
      ['down', { device: undefined, user: undefined, txQueueLength: undefined }],
      ['up', { guard: false }],
      ['up', { guard: true }],
      ['up', { fastPath: 'force' }],
      ['down', { keepClosed: true }],
    ]);
  });

  test('prints what changed on stdout and notes on stderr', async () => {
    expect(await gateway('up')).toEqual({
      code: 0,
      out: '  rule 20: x\ngateway is up on fw0\n',
      err: 'note: careful\n',
    });
    expect((await gateway('down')).out).toBe('gateway is down (nothing to change)\n');
    expect(JSON.parse((await gateway('up', '--json')).out)).toMatchObject({ device: 'fw0' });
  });

  test.each([
    [['up', '--txqueuelen', '0'], /expected a number of packets from 1 to 1000000/],
    [['up', '--txqueuelen', '1e3'], /expected a number/],
    [['up', '--config', 'a', '--device', 'b'], /cannot be used with/],
    [['up', '--fast-path', 'on'], /Allowed choices are off, auto, force/],
    [['upp'], /Did you mean up/],
    [[], /Usage: tunwall gateway/],
  ])('%j is a usage error', async (args, message) => {
    const { code, err } = await gateway(...args);
    expect(err).toMatch(message);
    expect(code).toBe(2);
  });

  test('status ends with 1 unless all is right', async () => {
    const good = await gateway('status');
    expect(good.code).toBe(0);
    expect(good.out).toContain('gateway is up, everything is as it should be');
    expect(good.out).toContain('no firewall is attached to fw0');
    const bad = await gateway('status', '--device', 'broken');
    expect(bad.code).toBe(1);
    expect(bad.out).toMatch(/^NO +rule 20 +from all lookup 100 +missing$/m);
    expect(bad.out).toContain('1 not as they should be');
    const json = await gateway('status', '--device', 'broken', '--json');
    expect((await gateway('status', '--device', 'fw7')).out).toContain('the fast path is on: eth0');
    expect(json.code).toBe(1);
    expect(JSON.parse(json.out)).toMatchObject({ ok: false, items: [{ item: 'rule 20' }] });
  });
});

describe('the real program', () => {
  const root = fileURLToPath(new URL('../../..', import.meta.url));
  const shell = (line: string): { status: number | null; stdout: string; stderr: string } =>
    spawnSync('bash', ['-c', line, '-', process.execPath, '--import', 'tsx', 'src/main.ts'], {
      cwd: root,
      encoding: 'utf8',
    });

  test('prints its version, and help for every verb that it has', () => {
    const { version } = JSON.parse(
      spawnSync('cat', ['package.json'], { cwd: root, encoding: 'utf8' }).stdout,
    ) as { version: string };
    expect(shell('"$@" --version').stdout).toBe(`${version}\n`);
    expect(shell('"$@" gateway up --help').stdout).toContain('Examples:');
  });

  test('ends quietly when the reader has gone', () => {
    const { stdout, stderr, status } = shell(
      'set -o pipefail; for i in 1 2 3; do "$@" --help | true || exit 9; done',
    );
    expect({ stdout, stderr, status }).toEqual({ stdout: '', stderr: '', status: 0 });
  });
});
