/**
 * Flows outlive the process: whatever ends it, connections, streams and pings that run through it go on with the next one, unless
 * the policy that is in force then forbids them.
 */
import { chown, readFile, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import type { ChildProcess } from 'node:child_process';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { seed, seededRandom } from '../../support/seed.ts';
import { FirewallLab, obstacle, openConfig, repository, web } from '../support/firewall.ts';
import type { Config } from '../support/firewall.ts';
import { layoutBuild } from '../support/layout-build.ts';
import { runScript, startScript } from '../support/scripts.ts';

const port = 7000;
const sessionCount = 200;

const config: Config = {
  ...openConfig,
  // A ping may have no answer for as long as a busy machine needs for a restart.
  gateway: { flows: { capacity: 16_384 }, timeouts: { icmp: 3600 } },
};

interface Survival {
  readonly kept: boolean;
  readonly adopted: number;
  readonly cut: number;
  readonly refused: number;
  readonly problem?: string;
}

describe.skipIf(obstacle !== undefined)('flows across restarts', { timeout: 300_000 }, () => {
  let firewall: FirewallLab;
  let rounds: () => number;
  let iperf: ChildProcess;
  beforeAll(async () => {
    firewall = await FirewallLab.started(config);
    await startScript(firewall, 'web', 'sessions', 'serve', String(port));
    // All are busy at first; then a round of all of them comes once a second: most are idle at any time.
    const to = `${web}:${port}`;
    const sessions = runScript(firewall, 'client', 'sessions', 'keep', to, sessionCount, 500);
    rounds = () => Number(sessions.printed().at(-2)?.split(' ')[1] ?? 0);
    await firewall.until('all sessions run', async () => Promise.resolve(rounds() > 0));
    await firewall.serveIperf('web', 5201, '-1');
    const transfer = ['iperf3', '-c', web, '-t', '3600', '-b', '30M', '-P', '4', '-p', '5201'];
    iperf = firewall.lab.spawn('client', transfer);
    await firewall.until('iperf3 runs', async () => (await flowsOf('tcp')) >= sessionCount + 5);
  });
  afterAll(async () => {
    await firewall.close();
  });

  const survival = async (): Promise<Survival> => (await firewall.status())['survival'] as Survival;
  const flowsOf = async (protocol: string): Promise<number> =>
    [...(await firewall.metrics())]
      .filter(([name]) => name.startsWith(`tunwall_flows{protocol="${protocol}"`))
      .reduce((sum, [, flows]) => sum + flows, 0);

  /** TCP has waited ever longer between its tries, about as long in the end as nothing was forwarded: that takes patience. */
  const untilAnswered = (before: number): Promise<void> =>
    firewall.until(
      'every session has answered',
      () => Promise.resolve(rounds() > before + 1),
      2000,
    );

  /** Every session answers again, on the connection that it has: sessions.ts ends when one is cut. */
  async function expectAllGoOn(): Promise<void> {
    const before = rounds();
    await untilAnswered(before);
    expect(iperf.exitCode).toBeNull();
    expect(await flowsOf('tcp')).toBeGreaterThanOrEqual(sessionCount + 5);
  }

  it.each(['SIGKILL', 'SIGTERM'] as const)('none is lost by %s', async (signal) => {
    await firewall.stop(signal);
    await firewall.start();
    await expectAllGoOn();
    const { kept, adopted, cut, refused } = await survival();
    expect({ kept, cut, refused }).toEqual({ kept: true, cut: 0, refused: 0 });
    expect(adopted).toBeGreaterThanOrEqual(sessionCount + 5);
    const taken = (await firewall.metrics()).get(
      'tunwall_flows_taken_over_total{result="adopted"}',
    );
    expect(taken).toBe(adopted);
  });

  it('a ping goes on, answered from the side that may not begin', async () => {
    const inwards: Config = {
      ...config,
      templates: { open: { inbound: [{ protocol: 'all' }] } },
    };
    await firewall.apply(inwards);
    const ping = firewall.lab.spawn('client', ['ping', '-i', '0.2', web], 'pipe');
    let output = '';
    ping.stdout!.on('data', (text: Buffer) => (output += text.toString()));
    await firewall.until('the ping runs', () => Promise.resolve(/icmp_seq=10 /.test(output)));
    await firewall.stop('SIGKILL');
    await firewall.start();
    const before = output.length;
    await firewall.until('the ping goes on', () => Promise.resolve(output.length > before));
    // One flow, the identifier being that of the process; and an older one than the firewall is.
    expect(await flowsOf('icmp')).toBe(1);
    const url = 'http://localhost/v1/flows?protocol=icmp';
    const asked = ['curl', '-sS', '--unix-socket', firewall.socket, url];
    const askedMs = Date.now();
    const { flows } = JSON.parse(await firewall.lab.mustExec('gateway', asked)) as {
      flows: { ageSeconds: number }[];
    };
    const { startedAt } = await firewall.status();
    const openedMs = askedMs - flows[0]!.ageSeconds * 1000;
    expect(openedMs).toBeLessThan(Date.parse(startedAt as string));
    ping.kill();
    await firewall.apply(config);
    await expectAllGoOn();
  });

  it('none is lost by ten restarts in a row', async () => {
    const random = seededRandom(seed);
    const takenOver = async (): Promise<number> =>
      (await firewall.log()).filter(({ msg }) => String(msg).endsWith('were taken over')).length;
    for (let restart = 1; restart <= 10; restart++) {
      await firewall.stop(random() < 0.7 ? 'SIGKILL' : 'SIGTERM');
      if (restart === 10) break;
      // Packets are judged from then on. The rest of a start takes longer, and the next end comes within it.
      const before = await takenOver();
      firewall.spawn();
      await firewall.until('it has the flows', async () => (await takenOver()) > before, 2000);
    }
    await firewall.start();
    await expectAllGoOn();
  });

  it('none is lost by an upgrade to another record layout, nor on the way back', async () => {
    const built = layoutBuild();
    try {
      for (const program of [built, 'dist/main.js']) {
        await firewall.stop('SIGTERM');
        firewall.program = program;
        await firewall.start();
        const found = await survival();
        // The ping of an earlier test may expire while the firewall is down; sessions may not.
        expect(found, program).toMatchObject({ kept: true, cut: 0, refused: 0 });
        expect(found.problem).toBeUndefined();
        expect(found.adopted).toBeGreaterThanOrEqual(sessionCount + 5);
        await expectAllGoOn();
      }
    } finally {
      firewall.program = 'dist/main.js';
      await rm(join(repository, dirname(dirname(built))), { recursive: true });
    }
  });

  it('what the policy forbids since the firewall was down is cut, and nothing else', async () => {
    await firewall.stop('SIGKILL');
    firewall.write({
      ...config,
      templates: { open: { inbound: [{ protocol: 'tcp', ports: [port] }], outbound: [] } },
    });
    await firewall.start();
    const { adopted, cut } = await survival();
    expect(adopted).toBeGreaterThanOrEqual(sessionCount);
    // One connection for control, four for data.
    expect(cut).toBeGreaterThanOrEqual(5);
    const before = rounds();
    await untilAnswered(before);
    await firewall.until(
      'what the transfer still sends is dropped',
      async () => (await firewall.drops('policy-cut')) > 0,
      2000,
    );
    await firewall.apply(config);
  });

  /** The file of the firewall, which is down. */
  async function flowFile(): Promise<string> {
    const directory = join(firewall.lab.directory, 'firewall-run');
    const name = (await readdir(directory)).find((each) => each.startsWith('flows-'));
    return join(directory, name!);
  }

  it('a damaged file: the firewall starts with what is sound', async () => {
    const random = seededRandom(seed + 1);
    await firewall.stop('SIGKILL');
    const file = await flowFile();
    const bytes = await readFile(file);
    for (let flip = 0; flip < 2000; flip++) {
      bytes[4096 + Math.floor(random() * sessionCount * 64)]! ^= 1 << Math.floor(random() * 8);
    }
    await writeFile(file, bytes);
    await firewall.start();
    expect((await survival()).refused).toBeGreaterThan(sessionCount / 4);
    await firewall.stop('SIGTERM');
    await truncate(await flowFile(), 4096 + 1000);
    await firewall.start();
    expect(await survival()).toMatchObject({ kept: true, adopted: 0 });
    await firewall.stop('SIGTERM');
    await writeFile(await flowFile(), 'nonsense');
    await firewall.start();
    expect(await survival()).toMatchObject({ kept: true, adopted: 0 });
    expect((await survival()).problem).toMatch(/its header is damaged/);
  });

  it('a file of another user: it is left alone, and the firewall says that flows will be lost', async () => {
    await firewall.stop('SIGTERM');
    const file = await flowFile();
    await chown(file, 4711, 4711);
    await firewall.start();
    const { kept, problem } = await survival();
    expect(kept).toBe(false);
    expect(problem).toMatch(/belongs to user 4711/);
    await firewall.stop('SIGTERM');
    await chown(file, 65_534, 65_534);
  });

  it('no space for it: the firewall does not start, and says what to do', async () => {
    const socket = join(firewall.lab.directory, 'small', 'tunwall.sock');
    firewall.write({ ...config, gateway: { ...config.gateway, api: { socket } } });
    const small =
      'mkdir -p "$1" && mount -t tmpfs -o size=1m,mode=777 tmpfs "$1" && shift && exec "$@"';
    const run = firewall.runCommand('--config', firewall.configDirectory);
    const directory = join(firewall.lab.directory, 'small');
    const { code, stderr } = await firewall.lab.exec('gateway', [
      ...['sh', '-ec', small, 'sh', directory],
      ...run,
    ]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/no space for the flow table: .* needs 3 MiB: .*ENOSPC/);
    expect(stderr).toMatch(/lower flows\.capacity, or set flows\.survive: false/);
    firewall.write({ ...config, gateway: { flows: { survive: false } } });
    await firewall.start();
    expect(await survival()).toMatchObject({ kept: false, adopted: 0 });
    const left = await readdir(join(firewall.lab.directory, 'firewall-run'));
    expect(left.filter((name) => name.startsWith('flows-'))).toEqual([]);
  });
});
