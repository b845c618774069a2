/** The command line against a firewall that runs, over its control socket: a change is in force when the command ends. */
import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chown, mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FirewallLab, obstacle, program, web } from '../support/firewall.ts';
import { ping, tcp, whatPasses } from '../support/probes.ts';

const nobody = 65_534;

describe.skipIf(obstacle !== undefined)('the command line and a running firewall', () => {
  let firewall: FirewallLab;
  let socket: string;

  beforeAll(async () => {
    firewall = await FirewallLab.create({ templates: {}, servers: [] });
    const runtime = join(firewall.lab.directory, 'run');
    await mkdir(runtime);
    socket = join(runtime, 'tunwall.sock');
    firewall.write({ templates: {}, servers: [], gateway: { api: { socket } } });
    for (const path of ['', 'templates', 'gateway.yaml', 'servers.yaml']) {
      await chown(join(firewall.configDirectory, path), nobody, nobody);
    }
    await chown(runtime, nobody, nobody);
    await firewall.serve('web', 'tcp:80', 'tcp:8080');
    await firewall.start();
  });
  afterAll(async () => {
    await firewall.close();
  });

  interface Ran {
    readonly code: number;
    readonly stdout: string;
    readonly stderr: string;
  }

  /** Outside of the gateway's namespace, as an operator would. */
  function tunwall(...args: string[]): Ran {
    const command = [program, ...args, '--socket', socket];
    const { status, stdout, stderr } = spawnSync(process.execPath, command, {
      encoding: 'utf8',
      env: { ...process.env, SUDO_USER: 'alice' },
    });
    return { code: status ?? -1, stdout, stderr };
  }

  /** One that goes on; `until` waits for what it prints. */
  function follow(
    command: string,
    ...args: string[]
  ): { child: ChildProcess; printed: () => string; until: (text: RegExp) => Promise<void> } {
    const child = spawn(command, args, { env: { ...process.env, TERM: 'xterm' } });
    let printed = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => (printed += chunk.toString()));
    }
    return {
      child,
      printed: () => printed,
      until: (text) =>
        firewall.until(`${args.join(' ')} prints ${text}`, () =>
          Promise.resolve(text.test(printed)),
        ),
    };
  }

  const probes = [ping('client', web), tcp('client', web, 80), tcp('client', web, 8080)];

  it('says what is in force, and then it is', async () => {
    expect(await whatPasses(firewall, probes)).toEqual([]);
    const made = tunwall('template', 'create', 'site', '--preset', 'http');
    expect(made).toMatchObject({ code: 0, stderr: '' });
    expect(made.stdout).toMatch(/^template "site" created with 1 rule; in force with epoch \d+\n$/);
    const server = tunwall('server', 'create', 'web', '--address', web, '--template', 'site');
    expect(server.stdout).toMatch(/in force with epoch \d+/);
    expect(await whatPasses(firewall, probes)).toEqual(['client tcp 10.0.0.2:80']);
    const rule = ['site', 'inbound', 'TCP: 8080', '--from', '198.51.100.0/24', '--comment', 'test'];
    expect(tunwall('template', 'add-rule', ...rule).code).toBe(0);
    expect(await whatPasses(firewall, probes)).toEqual([
      'client tcp 10.0.0.2:80',
      'client tcp 10.0.0.2:8080',
    ]);
    expect(tunwall('server', 'unassign', 'web', '--template', 'site').code).toBe(0);
    expect(await whatPasses(firewall, probes)).toEqual([]);
    expect(tunwall('server', 'assign', 'web', '--template', 'site').code).toBe(0);
    expect(await whatPasses(firewall, probes)).toHaveLength(2);
  });

  it('changes the files, and is in the audit log by name', async () => {
    const text = await readFile(join(firewall.configDirectory, 'templates/site.yaml'), 'utf8');
    expect(text).toMatch(/8080.*comment: test/);
    expect(tunwall('audit', '--limit', '3').stdout).toMatch(/alice \(socket\) +server\.assign +ok/);
    expect(tunwall('template', 'history', 'site').stdout).toMatch(
      /\n2 +\S+ +alice \(socket\) +edit/,
    );
  });

  it('refuses with 1, and leaves in force what is', async () => {
    const refused = tunwall('template', 'destroy', 'site');
    expect(refused).toMatchObject({ code: 1, stdout: '' });
    expect(refused.stderr).toContain('template "site" is assigned to web');
    const wrong = tunwall('template', 'add-rule', 'site', 'inbound', 'TCP: 1', '--from', 'x');
    expect(wrong.stderr).toMatch(/\n {2}sources\[0\]: /);
    expect(await whatPasses(firewall, probes)).toHaveLength(2);
  });

  it('explains by the policy in force', () => {
    const ask = ['explain', '--from', '198.51.100.2', '--proto', 'tcp', '--to'];
    const passed = tunwall(...ask, `${web}:8080`);
    expect(passed.stdout).toMatch(/^PASS[^]*template site, \S+site\.yaml:4: inbound\[1\] \(test\)/);
    expect(tunwall(...ask, `${web}:22`).stdout).toMatch(/^DROP[^]*no-inbound-rule[^]*nearest/);
  });

  it('lists flows, and ends one', () => {
    const listed = tunwall('flows', '--server', 'web', '--port', '80', '--json');
    const { flows } = JSON.parse(listed.stdout) as { flows: { id: string; source: string }[] };
    expect(flows.length).toBeGreaterThan(0);
    expect(tunwall('flows', '--port', '80').stdout).toContain(`${web}:80 (web)`);
    const { id } = flows[0]!;
    expect(tunwall('flows', 'kill', id)).toMatchObject({ code: 0, stdout: '1 flow ended\n' });
    expect(tunwall('flows', 'kill', id)).toMatchObject({
      code: 1,
      stderr: `there is no flow ${id}\n`,
    });
    expect(tunwall('flows', 'kill', '--server', 'web').stdout).toMatch(/^\d+ flows? ended\n$/);
    expect(JSON.parse(tunwall('flows', '--json').stdout)).toMatchObject({ total: 0 });
  });

  it('follows drops until Ctrl-C, and the command it prints explains them', async () => {
    const drops = follow(
      ...([process.execPath, program, 'drops', '-f', '-x', '--limit', '0'] as const),
      ...['--server', 'web', '--socket', socket],
    );
    // Packets are dropped until one comes after the stream has begun.
    await firewall.until('a drop is reported', async () => {
      await whatPasses(firewall, [tcp('client', web, 23)]);
      return drops.printed().includes('tunwall explain');
    });
    drops.child.kill('SIGINT');
    expect(await once(drops.child, 'exit')).toEqual([0, null]);
    const [line, command] = drops.printed().split('\n');
    expect(line).toMatch(
      /Z no-inbound-rule inbound tcp 198\.51\.100\.2:\d+ > 10\.0\.0\.2:23 \(web\) S \d+$/,
    );
    const [name, ...args] = command!.trim().split(' ');
    expect(name).toBe('tunwall');
    expect(tunwall(...args).stdout).toMatch(/^DROP[^]*no-inbound-rule/);
  });

  it('top tells rates, and on a terminal gives the screen back', async () => {
    const plain = tunwall('top', '--count', '1');
    expect(plain.stdout).toMatch(/^tunwall top[^]*\nflows +\d+ of /);
    expect(plain.stdout).toMatch(/\nno-inbound-rule +/);
    expect(plain.stdout).toMatch(/\nsite +inbound\[0\] .*TCP: 80 from any/);
    // script(1) runs it on a pseudo-terminal.
    const line = `'${process.execPath}' '${program}' top --socket '${socket}'`;
    const top = follow('script', '-qec', line, '/dev/null');
    await top.until(/passed/);
    top.child.stdin!.write('q');
    expect(await once(top.child, 'exit')).toEqual([0, null]);
    expect(top.printed()).toMatch(/^\x1b\[\?1049h[^]*\x1b\[\?1049l$/);
  });

  it('captures until Ctrl-C into a file that tcpdump reads', async () => {
    const file = join(firewall.lab.directory, 'cli.pcapng');
    const capture = follow(
      ...([process.execPath, program, 'capture', '-w', file, '--dropped'] as const),
      ...['--server', 'web', '--socket', socket],
    );
    await firewall.until('a packet is in the file', async () => {
      await whatPasses(firewall, [tcp('client', web, 23), tcp('client', web, 80)]);
      const text = await readFile(file, 'latin1').catch(() => '');
      return text.includes('tunwall: drop no-inbound-rule, inbound tcp');
    });
    capture.child.kill('SIGINT');
    expect(await once(capture.child, 'exit')).toEqual([0, null]);
    const [, count] = /^(\d+) packets? captured\n$/.exec(capture.printed())!;
    const text = await firewall.lab.mustExec('gateway', ['tcpdump', '-nr', file]);
    const packets = text.split('\n').filter((each) => each.includes(' IP '));
    expect(packets).toHaveLength(Number(count));
    // Only what was dropped: nothing of port 80.
    expect(packets.every((each) => each.includes(`${web}.23`))).toBe(true);
  });

  it('status is 0 while all is well', async () => {
    const { code, stdout } = tunwall('status');
    expect(stdout).toMatch(/^tunwall \S+ is running \(\S+tunwall\.sock\)\n/);
    expect(stdout).toContain('1 template, 1 server, 2 rules');
    expect(code).toBe(0);
    await firewall.stop();
    const gone = tunwall('status');
    expect([gone.code, gone.stdout]).toEqual([1, '']);
    expect(gone.stderr).toMatch(
      /^tunwall: no firewall listens on \S+\n {2}start it: tunwall run\n$/,
    );
  });
});
