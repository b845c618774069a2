/**
 * One process after another on the same device: by an upgrade, by which no packet is lost, and after a death, by which no flow is.
 * Whatever dies, and when: there is one firewall or none, and it judges by what was acknowledged last.
 */
import type { ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chown, rm, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  FirewallLab,
  childrenOf,
  client,
  obstacle,
  openConfig,
  repository,
  web,
} from '../support/firewall.ts';
import type { Config } from '../support/firewall.ts';
import { layoutBuild } from '../support/layout-build.ts';
import { InstalledProgram } from '../support/programs.ts';
import { ping, whatPasses } from '../support/probes.ts';
import { runScript, startScript } from '../support/scripts.ts';

const sessionPort = 7000;
const sessionCount = 50;
const udpPort = 5301;
const nobody = 65_534;
const config: Config = { ...openConfig, gateway: { flows: { capacity: 16_384 } } };

interface ProcessStatus {
  readonly pid: number;
  readonly parent: number;
  readonly restarts: number;
  readonly upgrades: number;
  readonly died?: string;
  readonly upgrading: boolean;
}

interface Upgrade {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

describe.skipIf(obstacle !== undefined)('one process after another', { timeout: 300_000 }, () => {
  let firewall: FirewallLab;
  let installed: InstalledProgram;
  let rounds: () => number;
  let pings: () => number;
  let transfer: ChildProcess;
  let udpLost: () => Promise<number>;
  let lostBefore = 0;

  beforeAll(async () => {
    installed = new InstalledProgram();
    firewall = await FirewallLab.create(config);
    firewall.program = installed.path;
    // Changes by the API: the firewall's user writes them.
    for (const path of ['', 'templates', 'templates/open.yaml', 'servers.yaml', 'gateway.yaml']) {
      await chown(join(firewall.configDirectory, path), nobody, nobody);
    }
    await firewall.start();
    await startScript(firewall, 'web', 'sessions', 'serve', String(sessionPort));
    const to = `${web}:${sessionPort}`;
    const sessions = runScript(firewall, 'client', 'sessions', 'keep', to, sessionCount, 300);
    rounds = () => Number(sessions.printed().at(-2)?.split(' ')[1] ?? 0);
    await firewall.serveIperf('web', 5201);
    await firewall.serveIperf('web', udpPort);
    transfer = firewall.lab.spawn('client', ['iperf3', '-c', web, '-t', '3600', '-b', '20M']);
    const toUdp = ['-c', web, '-p', String(udpPort), '-u', '-b', '4M', '-l', '1000', '-t', '3600'];
    const stream = firewall.lab.spawn('client', ['iperf3', ...toUdp]);
    const echo = firewall.lab.spawn('client', ['ping', '-i', '0.1', web], 'pipe');
    let answers = 0;
    echo.stdout!.on(
      'data',
      (text: Buffer) => (answers += text.toString().split('ttl=').length - 1),
    );
    pings = () => answers;
    udpLost = await countLost(stream);
    await firewall.until('all of it runs', () => Promise.resolve(rounds() > 0 && pings() > 0));
  });
  afterAll(async () => {
    await firewall.close();
    installed.remove();
  });
  beforeEach(async () => {
    installed.install('dist/main.js');
    lostBefore = await udpLost();
  });

  /** Packets of the UDP stream that have come into the gateway and not to the server. */
  async function countLost(stream: ChildProcess): Promise<() => Promise<number>> {
    const table = (where: string): string => `
      table ip succession {
        counter seen { }
        chain c {
          type filter hook prerouting priority raw
          ${where} ip saddr ${client} udp dport ${udpPort} counter name seen
        }
      }`;
    const { lab } = firewall;
    await lab.mustExec('web', ['nft', '-f', '-'], { input: table('') });
    await lab.mustExec('gateway', ['nft', '-f', '-'], { input: table('iifname != "fw0"') });
    const list = ['nft', 'list', 'counter', 'ip', 'succession', 'seen'];
    const count = async (host: string): Promise<number> =>
      Number(/packets (\d+)/.exec(await lab.mustExec(host, list))![1]);
    /** The same as before, twice: nothing is under way. */
    const settled = async (host: string): Promise<number> => {
      for (let seen = -1; ;) {
        const now = await count(host);
        if (now === seen) return now;
        seen = now;
        await sleep(200);
      }
    };
    return async () => {
      stream.kill('SIGSTOP');
      const lost = (await settled('gateway')) - (await settled('web'));
      stream.kill('SIGCONT');
      return lost;
    };
  }

  const own = async (): Promise<ProcessStatus> =>
    (await firewall.status())['process'] as ProcessStatus;

  /** The process that is in force, once it answers. @param other another one than this */
  async function inForce(other = 0): Promise<ProcessStatus> {
    let found: ProcessStatus | undefined;
    await firewall.until('a firewall is in force', async () => {
      found = (await firewall.status())['process'] as ProcessStatus | undefined;
      return found !== undefined && found.pid !== other && !found.upgrading;
    });
    return found!;
  }

  const upgrade = (): Promise<Upgrade> =>
    firewall.lab.exec('gateway', [
      process.execPath,
      join(repository, 'dist/main.js'),
      ...['upgrade', '--json', '--socket', firewall.socket],
    ]);

  async function expectAllGoOn(): Promise<void> {
    const [round, answers] = [rounds(), pings()];
    await firewall.until(
      'every session has answered, and the ping',
      () => Promise.resolve(rounds() > round + 1 && pings() > answers),
      2000,
    );
    expect(transfer.exitCode).toBeNull();
  }

  /** A packet that is late is not lost: the machine may have had no time for the firewall. */
  const expectNoneLost = (): Promise<void> =>
    firewall.until('every packet has come', async () => (await udpLost()) <= lostBefore);

  /** From now on the next one waits, before it does anything, until it is let go. */
  async function hold(): Promise<() => Promise<void>> {
    const folder = join(repository, dirname(installed.path));
    const released = join(folder, 'released');
    await rm(released, { force: true });
    const main = relative(folder, join(repository, 'dist/main.js'));
    await writeFile(
      join(folder, 'held.mjs'),
      `import { existsSync } from 'node:fs';
      import { setTimeout as sleep } from 'node:timers/promises';
      while (!existsSync(new URL('./released', import.meta.url))) await sleep(20);
      await import('./${main}');`,
    );
    installed.install(join(dirname(installed.path), 'held.mjs'));
    return () => writeFile(released, '');
  }

  it('by an upgrade, no packet is lost and no connection', async () => {
    const before = await own();
    const { code, stdout, stderr } = await upgrade();
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const said = JSON.parse(stdout) as { pid: number; gapMs: number; adopted: number };
    const after = await inForce();
    expect(said.pid).toBe(after.pid);
    expect(said.pid).not.toBe(before.pid);
    expect(said.adopted).toBeGreaterThanOrEqual(sessionCount + 3);
    expect(after).toMatchObject({ parent: before.parent, upgrades: before.upgrades + 1 });
    await expectNoneLost();
    await expectAllGoOn();
    await firewall.until('the old one has ended', () =>
      Promise.resolve(childrenOf(after.parent).join() === String(after.pid)),
    );
  });

  it('by upgrades to another record layout and back, neither', async () => {
    const built = layoutBuild();
    try {
      for (const program of [built, 'dist/main.js']) {
        installed.install(program);
        const { code, stdout, stderr } = await upgrade();
        expect({ code, stderr }, program).toEqual({ code: 0, stderr: '' });
        const { adopted } = JSON.parse(stdout) as { adopted: number };
        expect(adopted, program).toBeGreaterThanOrEqual(sessionCount + 3);
        await expectNoneLost();
        await expectAllGoOn();
      }
    } finally {
      await rm(join(repository, dirname(dirname(built))), { recursive: true });
    }
  });

  it('a change that was acknowledged while one took over is in force with the next', async () => {
    const acknowledged: string[] = [];
    let isOver = false;
    const change = async (): Promise<void> => {
      for (let number = 0; !isOver; number++) {
        const name = `made-${number}`;
        const { stdout } = await firewall.lab.exec('gateway', [
          ...['curl', '-s', '-m', '30', '-o', '/dev/null', '-w', '%{http_code}'],
          ...['--unix-socket', firewall.socket, '-H', 'content-type: application/json'],
          ...['-d', JSON.stringify({ name, inbound: [{ protocol: 'tcp', ports: [80] }] })],
          'http://localhost/v1/templates',
        ]);
        if (stdout === '201') acknowledged.push(name);
      }
    };
    const changing = change();
    const before = await inForce();
    expect((await upgrade()).code).toBe(0);
    const after = await inForce(before.pid);
    const atHandOver = acknowledged.length;
    await firewall.until('the next one takes changes', () =>
      Promise.resolve(acknowledged.length > atHandOver + 2),
    );
    isOver = true;
    await changing;
    const { stdout } = await firewall.lab.exec('gateway', [
      ...['curl', '-sS', '--unix-socket', firewall.socket, 'http://localhost/v1/templates'],
    ]);
    for (const name of acknowledged) expect(stdout).toContain(`"${name}"`);
    expect((await firewall.status())['reloadError']).toBeNull();
    expect((await own()).pid).toBe(after.pid);
    await expectNoneLost();
  });

  it.each<[string, () => Promise<void>, RegExp]>([
    [
      'a program that ends at once',
      async () => {
        const bad = join(dirname(installed.path), 'bad.mjs');
        await writeFile(join(repository, bad), 'process.exit(7);');
        installed.install(bad);
      },
      /ended with code 7/,
    ],
    [
      'a configuration with errors',
      () => writeFile(join(firewall.configDirectory, 'templates/bad.yaml'), 'inbound: ['),
      /bad\.yaml:1:/,
    ],
  ])('%s does not take over: the old one goes on', async (_what, spoil, reason) => {
    await spoil();
    const before = await inForce();
    const { code, stderr } = await upgrade();
    expect(code).toBe(1);
    expect(stderr).toMatch(reason);
    expect(stderr).toContain(`process ${before.pid} goes on`);
    expect(await own()).toMatchObject({ pid: before.pid, upgrades: before.upgrades });
    await expectNoneLost();
    await expectAllGoOn();
    await rm(join(firewall.configDirectory, 'templates/bad.yaml'), { force: true });
    await firewall.apply(config);
    installed.install('dist/main.js');
    // It can still be done.
    expect((await upgrade()).code).toBe(0);
    await expectNoneLost();
  });

  it('a second upgrade at once is refused, and the first one takes over', async () => {
    const before = await inForce();
    const release = await hold();
    const first = upgrade();
    await firewall.until('an upgrade is under way', async () => (await own()).upgrading);
    const second = await upgrade();
    await release();
    expect(second.code).toBe(1);
    expect(second.stderr).toContain('an upgrade is under way');
    expect((await first).code).toBe(0);
    expect((await inForce(before.pid)).upgrades).toBe(before.upgrades + 1);
  });

  it('one that is killed is started again, and no connection is lost', async () => {
    const before = await inForce();
    process.kill(before.pid, 'SIGKILL');
    const after = await inForce(before.pid);
    expect(after).toMatchObject({ parent: before.parent, restarts: before.restarts + 1 });
    expect(after.died).toContain('SIGKILL');
    await expectAllGoOn();
    const metrics = await firewall.metrics();
    expect(metrics.get('tunwall_process_restarts_total')).toBe(after.restarts);
    expect(metrics.get('tunwall_process_upgrades_total')).toBe(after.upgrades);
    expect(metrics.get('tunwall_process_gap_seconds')).toBeGreaterThan(0);
  });

  it.each(['the old one', 'the next one'])('%s is killed during an upgrade', async (which) => {
    const before = await inForce();
    const release = await hold();
    const asked = upgrade();
    let next: number | undefined;
    await firewall.until('the next one is being started', () => {
      next = childrenOf(before.parent).find((each) => each !== before.pid);
      return Promise.resolve(next !== undefined);
    });
    process.kill(which === 'the old one' ? before.pid : next!, 'SIGKILL');
    await release();
    const { code, stderr } = await asked;
    if (which === 'the old one') {
      expect(code).toBe(0);
      expect((await inForce(before.pid)).pid).toBe(next);
    } else {
      expect(code).toBe(1);
      expect(stderr).toContain('SIGKILL');
      expect((await inForce()).pid).toBe(before.pid);
      await expectNoneLost();
    }
    await expectAllGoOn();
  });

  it('SIGHUP to the parent reads the configuration again', async () => {
    const file = join(firewall.configDirectory, 'templates/bad.yaml');
    await writeFile(file, 'inbound: [');
    process.kill((await inForce()).parent, 'SIGHUP');
    await firewall.until('the error is seen', async () =>
      String((await firewall.status())['reloadError']).includes('bad.yaml'),
    );
    await rm(file);
    await firewall.untilInForce();
  });

  it('the parent is killed: its child ends, and nothing passes', async () => {
    const { pid } = await inForce();
    // It is busy with something else, so that only the kernel can end it.
    process.kill(pid, 'SIGSTOP');
    expect(await firewall.stop('SIGKILL')).toBe('SIGKILL');
    await firewall.until('the child is gone', () => Promise.resolve(!existsSync(`/proc/${pid}`)));
    expect(await whatPasses(firewall, [ping('client', web)])).toEqual([]);
    await firewall.start();
    await expectAllGoOn();
  });

  it('SIGTERM ends the parent with 0, and the child before it', async () => {
    const { pid } = await inForce();
    expect(await firewall.stop('SIGTERM')).toBe(0);
    expect(existsSync(`/proc/${pid}`)).toBe(false);
    expect((await firewall.log()).at(-1)?.['msg']).toBe('firewall has stopped');
  });
});
