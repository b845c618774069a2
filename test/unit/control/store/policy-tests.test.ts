/** The tests beside a configuration: how they are read and judged, how results are printed, and which changes they refuse. */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, test } from 'vitest';
import { checkCommand } from '../../../../src/cli/check-command.ts';
import { testCommand } from '../../../../src/cli/test-command.ts';
import { checkDirectory } from '../../../../src/control/store/files/policy-tests.ts';
import { runCli } from '../../../support/cli.ts';
import type { Ran } from '../../../support/cli.ts';
import { TestDirectory, alice, failuresOf, serversText, webText } from '../../../support/stores.ts';

const passes = '- { from: 203.0.113.9, to: "server:web-1", tcp: 443, expect: pass }\n';
const drops =
  '- { from: 203.0.113.9, to: "server:db-1", tcp: 443, expect: drop, reason: no-inbound-rule }\n';
const wrong = '- { from: 203.0.113.9, to: "server:web-1", tcp: [80, 22], expect: pass }\n';

let directory: TestDirectory;

beforeEach(async () => {
  directory = await TestDirectory.create({
    'templates/web.yaml': webText,
    'servers.yaml': serversText,
    'tests/web.yaml': passes + drops,
  });
});
afterEach(() => directory.remove());

const run = (...args: string[]): Promise<Ran> =>
  runCli([testCommand(checkDirectory), checkCommand(checkDirectory)], args);
const runTests = (...args: string[]): Promise<Ran> => run('test', directory.path, ...args);
const place = (line: number): string => `${directory.path}/tests/web.yaml:${line}`;

describe('tunwall test', () => {
  it('lists what is as expected', async () => {
    expect(await runTests()).toEqual({
      code: 0,
      err: '',
      out:
        `ok      ${place(1)}  203.0.113.9 -> server:web-1 tcp 443: pass\n` +
        `ok      ${place(2)}  203.0.113.9 -> server:db-1 tcp 443: no-inbound-rule\n` +
        '2 tests, all as expected\n',
    });
  });

  it('explains what is not', async () => {
    await directory.write({ 'tests/web.yaml': passes + wrong });
    const { code, out } = await runTests();
    expect(code).toBe(1);
    expect(out).toContain(`FAILED  ${place(2)}  203.0.113.9 -> server:web-1 tcp 80,22: pass\n`);
    expect(out).toContain('        DROP  tcp 203.0.113.9:49152 -> 10.0.0.2:22 flags S\n');
    expect(out).toContain(
      '          sources: the rule has 198.51.100.0/24, the packet 203.0.113.9',
    );
    expect(out).toContain('2 tests, 1 failed\n');
  });

  it('speaks TAP', async () => {
    await directory.write({ 'tests/web.yaml': passes + wrong });
    const { code, out } = await runTests('--format', 'tap');
    expect(code).toBe(1);
    expect(out.split('\n').slice(0, 5)).toEqual([
      'TAP version 14',
      '1..2',
      `ok 1 - ${place(1)} 203.0.113.9 -> server:web-1 tcp 443: pass`,
      `not ok 2 - ${place(2)} 203.0.113.9 -> server:web-1 tcp 80,22: pass`,
      '  ---',
    ]);
    expect(out.endsWith('  ...\n')).toBe(true);
  });

  it('speaks JUnit, with everything escaped', async () => {
    await directory.write({ 'tests/web.yaml': passes + wrong });
    const { code, out } = await runTests('--format', 'junit');
    expect(code).toBe(1);
    expect(out).toContain('<testsuites tests="2" failures="1">');
    expect(out).toContain('203.0.113.9 -&gt; server:web-1');
    expect(out.match(/<testcase /g)).toHaveLength(2);
    expect(out.match(/<failure message="expected pass, but /g)).toHaveLength(1);
    expect(out).not.toMatch(/ -> /);
  });

  it('annotates lines for GitHub', async () => {
    await directory.write({ 'tests/web.yaml': passes + wrong });
    const annotation =
      `::error file=${directory.path}/tests/web.yaml,line=2,col=3::[1]: expected pass, but tcp ` +
      '203.0.113.9:49152 -> 10.0.0.2:22 flags S is dropped: no-inbound-rule, nearest web inbound[1]\n';
    expect(await runTests('--format', 'github')).toMatchObject({ code: 1, out: annotation });
    const checked = await run('check', '--config', directory.path, '--format', 'github');
    expect(checked).toMatchObject({ code: 1, out: annotation });
  });

  it('gives JSON', async () => {
    await directory.write({ 'tests/web.yaml': passes + wrong });
    const { code, out } = await runTests('--json');
    expect(code).toBe(1);
    expect(JSON.parse(out)).toMatchObject({
      ok: false,
      tests: [
        { line: 1, ok: true, expect: 'pass' },
        { line: 2, ok: false, explanation: { verdict: 'drop', reason: 'no-inbound-rule' } },
      ],
    });
  });

  it('is no success without tests, or on a configuration with errors', async () => {
    await rm(join(directory.path, 'tests'), { recursive: true });
    const none = await runTests();
    expect(none.code).toBe(1);
    expect(none.err).toContain(`there are no tests in ${directory.path}/tests`);
    await directory.write({ 'tests/web.yaml': passes, 'servers.yaml': 'servers: 7\n' });
    const broken = await runTests();
    expect(broken.code).toBe(1);
    expect(broken.err).toContain('servers.yaml:1:10: servers: expected a list of servers');
  });
});

describe('check', () => {
  it('counts the tests, and fails with those that fail', async () => {
    const fine = await run('check', '--config', directory.path);
    expect(fine.code).toBe(0);
    expect(fine.out).toContain('2 tests as expected');
    await directory.write({ 'tests/web.yaml': wrong });
    const failed = await run('check', '--config', directory.path);
    expect(failed.code).toBe(1);
    expect(failed.err).toContain(`${place(1)}:3: [0]: expected pass, but tcp`);
  });
});

describe('what may stand in a file', () => {
  test.each<[string, string]>([
    [
      '- { from: 10.0.0.0/8, to: 10.0.0.2, tcp: 1, expect: pass }',
      'expected one address, or servers',
    ],
    [
      '- { from: "set:office", to: 10.0.0.2, tcp: 1, expect: pass }',
      'expected one address, or servers',
    ],
    ['- { from: any, to: 10.0.0.2, tcp: 1, expect: pass }', 'expected one address, or servers'],
    [
      '- { from: 10.0.0.9, to: "server:wbe-1", tcp: 1, expect: pass }',
      'there is no server "wbe-1"',
    ],
    [
      '- { from: 10.0.0.9, to: 10.0.0.2, expect: pass }',
      'expected one of the keys tcp, udp and icmp',
    ],
    [
      '- { from: 10.0.0.9, to: 10.0.0.2, tcp: 1, udp: 1, expect: pass }',
      'expected one of the keys',
    ],
    ['- { from: 10.0.0.9, to: 10.0.0.2, tcp: 0, expect: pass }', 'from 1 to 65535'],
    ['- { from: 10.0.0.9, to: 10.0.0.2, tcp: 1, expect: maybe }', 'expected pass or drop'],
    ['- { from: 10.0.0.9, to: 10.0.0.2, tcp: 1, expect: drop, reason: bad-luck }', 'bad-luck'],
    [
      '- { from: 10.0.0.9, to: 10.0.0.2, tcp: 1, expect: pass, reason: land }',
      'only a drop has a reason',
    ],
    ['- { from: 10.0.0.9, to: 10.0.0.2, icmp: pong, expect: pass }', 'expected echo, timestamp or'],
    ['- { from: 10.0.0.9, to: 10.0.0.2, tcp: 1 }', 'the key "expect" is missing'],
    ['tests: []', 'expected a list of tests'],
  ])('%s', async (text, message) => {
    await directory.write({ 'tests/web.yaml': `${text}\n` });
    const { judged, problems } = await checkDirectory(directory.path);
    expect(judged).toEqual([]);
    expect(problems.map((each) => each.message).join('\n')).toContain(message);
  });

  it('every address of every server of a group is asked about', async () => {
    await directory.write({
      'tests/web.yaml':
        '- { from: 203.0.113.9, to: "label:name=x", tcp: 80, expect: pass }\n' +
        '- { from: "template:web", to: "server:db-1", udp: [53, 123], expect: drop }\n' +
        '- { from: "server:db-1", to: "server:web-1", tcp: 80, expect: drop, reason: no-outbound-rule }\n' +
        '- { from: 203.0.113.9, to: "server:web-1", icmp: echo, expect: drop, comment: no ping }\n',
    });
    const { judged } = await checkDirectory(directory.path);
    expect(judged.map(({ problem, failure }) => problem ?? failure?.reason)).toEqual([
      'label:name=x means no server now',
      undefined,
      undefined,
      undefined,
    ]);
    await directory.write({
      'tests/web.yaml': '- { from: 203.0.113.9, to: "server:db-1", tcp: 80, expect: pass }\n',
      'servers.yaml': serversText.replace('10.0.1.3]', '10.0.1.3]\n    templates: [web]'),
    });
    expect((await checkDirectory(directory.path)).problems).toEqual([]);
  });

  it('a file that cannot be read is an error', async () => {
    await mkdir(join(directory.path, 'tests/folder.yaml'));
    const { problems } = await checkDirectory(directory.path);
    expect(problems).toMatchObject([
      { severity: 'error', file: `${directory.path}/tests/folder.yaml` },
    ]);
  });
});

describe('a change of the store', () => {
  const remove = { kind: 'remove-rule', template: 'web', direction: 'inbound', index: 0 } as const;

  it('that makes a test fail is refused, and nothing has changed', async () => {
    const store = await directory.store();
    const before = await directory.contents();
    expect(await failuresOf(store.change(alice, () => [remove]))).toMatchObject([
      { kind: 'broken', problems: [{ file: `${directory.path}/tests/web.yaml`, line: 1 }] },
    ]);
    expect(await failuresOf(store.preview(() => [remove]))).toMatchObject([{ kind: 'broken' }]);
    expect(await directory.contents()).toEqual(before);
  });

  it('is not held up by a test that has failed before, unless no reload would be made then', async () => {
    await directory.write({ 'tests/web.yaml': wrong });
    const store = await directory.store();
    const add = {
      kind: 'add-rule',
      template: 'web',
      direction: 'inbound',
      rule: { protocol: 'icmp' },
    } as const;
    expect((await store.change(alice, () => [add])).changed).toMatchObject([{ name: 'web' }]);
    await directory.write({ 'gateway.yaml': 'tests: { onReload: true }\n' });
    expect(await failuresOf(store.change(alice, () => [add]))).toMatchObject([{ kind: 'broken' }]);
  });

  it('that takes away a server which a test names is refused', async () => {
    const store = await directory.store();
    const failures = await failuresOf(
      store.change(alice, () => [{ kind: 'destroy-server', name: 'db-1' }]),
    );
    expect(failures).toMatchObject([
      {
        kind: 'broken',
        problems: [{ message: 'there is no server "db-1"; did you mean "web-1"?' }],
      },
    ]);
  });
});
