/** `tunwall run` as a process: whose it is, how it ends, and what it says when it cannot start. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chown, cp, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  FirewallLab,
  childrenOf,
  obstacle,
  openConfig,
  program,
  web,
} from '../support/firewall.ts';
import { ping, whatPasses } from '../support/probes.ts';

describe.skipIf(obstacle !== undefined)('tunwall run', () => {
  let firewall: FirewallLab;
  beforeAll(async () => {
    firewall = await FirewallLab.started(openConfig);
  });
  afterAll(async () => {
    await firewall.close();
  });

  const runAgain = (...args: string[]) =>
    firewall.lab.exec(
      'gateway',
      firewall.runCommand('--config', firewall.configDirectory, ...args),
    );

  it('is an ordinary user without any capability', async () => {
    const parent = firewall.process!.pid!;
    for (const pid of [parent, ...childrenOf(parent)]) {
      const status = await readFile(`/proc/${pid}/status`, 'utf8');
      const field = (name: string): string =>
        new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(status)![1]!;
      expect(field('Uid').split('\t')).toEqual(['65534', '65534', '65534', '65534']);
      for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb']) {
        expect(Number(`0x${field(set)}`), set).toBe(0);
      }
    }
    expect(await whatPasses(firewall, [ping('client', web)])).toHaveLength(1);
  });

  it('serves the metrics that the design names', async () => {
    const metrics = await firewall.metrics();
    const samples = [...metrics.keys()];
    const labels = (name: string): number =>
      samples.filter((each) => each.startsWith(`${name}{`)).length;
    expect(labels('tunwall_packets_total')).toBe(4 * 4 * 2);
    expect(labels('tunwall_bytes_total')).toBe(4 * 4 * 2);
    expect(labels('tunwall_drops_total')).toBeGreaterThan(25);
    expect(labels('tunwall_flow_evictions_total')).toBe(4);
    expect(metrics.get('tunwall_flows{protocol="icmp",state="answered"}')).toBe(1);
    expect(
      metrics.get('tunwall_packets_total{direction="inbound",protocol="icmp",verdict="pass"}'),
    ).toBe(1);
    expect(metrics.get('tunwall_policy_epoch')).toBe(1);
    expect(metrics.get('tunwall_policy_rules')).toBe(2);
    expect(metrics.get('tunwall_policy_reload_failures_total')).toBe(0);
    expect(metrics.get('tunwall_tun_tx_dropped_total')).toBe(0);
  });

  it('refuses a device that another one has', async () => {
    const { code, stderr } = await runAgain();
    expect(code).toBe(1);
    expect(stderr).toContain('device fw0 is busy');
    expect(stderr).not.toContain('    at ');
  });

  it('gets its device, although another process has taken a name', async () => {
    await firewall.stop();
    const take =
      "require('net').createServer().listen('\\0tunwall/fw0', () => console.log('taken'))";
    const user = ['setpriv', '--reuid', '1234', '--regid', '1234', '--clear-groups'];
    const other = firewall.lab.spawn('gateway', [...user, process.execPath, '-e', take], 'pipe');
    await once(other.stdout!, 'data');
    await firewall.start();
    other.kill();
  });

  it('never has a device together with another one, if both start at once', async () => {
    await firewall.stop();
    const both = [0, 1].map(() =>
      firewall.lab.spawn(
        'gateway',
        firewall.runCommand('--config', firewall.configDirectory),
        'pipe',
      ),
    );
    const printed: [string, string] = ['', ''];
    for (const index of [0, 1] as const) {
      both[index]!.stderr!.on('data', (text: Buffer) => (printed[index] += text.toString()));
    }
    const ended = await Promise.race(
      both.map((child, index) => once(child, 'close').then(() => index)),
    );
    const [loser, winner] = [both[ended]!, both[1 - ended]!];
    expect(loser.exitCode).toBe(1);
    expect(printed[ended]).toContain('device fw0 is busy');
    await firewall.until(
      'the other one is healthy',
      async () => (await firewall.healthz())?.['status'] === 'ok',
    );
    winner.kill('SIGTERM');
    expect(await once(winner, 'exit')).toEqual([0, null]);
    await firewall.start();
  });

  it('started by root in a directory of another user, ends up as that user', async () => {
    await firewall.stop();
    const mine = join(firewall.lab.directory, 'of-nobody');
    await cp(firewall.configDirectory, mine, { recursive: true });
    for (const name of ['', 'templates', 'servers.yaml'])
      await chown(join(mine, name), 65_534, 65_534);
    const command = [process.execPath, program, 'run', '--config', mine];
    const child = firewall.lab.spawn('gateway', command);
    await firewall.until(
      'it is healthy',
      async () => (await firewall.healthz())?.['status'] === 'ok',
    );
    // Its parent stays root, which the next one needs again.
    const [proper] = childrenOf(child.pid!);
    const status = await readFile(`/proc/${proper!}/status`, 'utf8');
    expect(status).toMatch(/^Uid:\t65534\t65534\t65534\t65534$/m);
    expect(status).toMatch(/^CapEff:\t0+$/m);
    // The first owner was made, by the rights of that user.
    await firewall.until(
      'there are users',
      async () => (await stat(join(mine, 'users.yaml')).catch(() => undefined))?.uid === 65_534,
    );
    expect(await whatPasses(firewall, [ping('client', web)])).toHaveLength(1);
    child.kill('SIGTERM');
    expect(await once(child, 'exit')).toEqual([0, null]);
    await firewall.start();
  });

  it('finds its device in the network namespace that it is in, whatever /sys shows', async () => {
    await firewall.stop();
    const command = [
      '--net=/run/netns/' + firewall.lab.namespace('gateway'),
      // What the command mounts is its own; /sys is still that of the machine.
      ...['unshare', '--mount'],
      ...firewall.runCommand('--config', firewall.configDirectory),
    ];
    const child = spawn('nsenter', command, { stdio: 'ignore' });
    await firewall.until(
      'it is healthy',
      async () => (await firewall.healthz())?.['status'] === 'ok',
    );
    expect((await firewall.metrics()).get('tunwall_tun_tx_dropped_total')).toBeTypeOf('number');
    child.kill('SIGTERM');
    expect(await once(child, 'exit')).toEqual([0, null]);
    await firewall.start();
  });

  it('starts with the last good policy while the configuration has errors', async () => {
    const broken = join(firewall.configDirectory, 'templates/unused.yaml');
    const degraded = async (): Promise<number | undefined> =>
      (await firewall.metrics()).get('tunwall_config_degraded');
    // The state directory is the firewall's own.
    await mkdir(join(firewall.configDirectory, '.state'), { recursive: true });
    await chown(join(firewall.configDirectory, '.state'), 65_534, 65_534);
    await firewall.stop();
    await firewall.start();
    expect(await degraded()).toBe(0);
    await firewall.stop();
    await writeFile(broken, 'inbound: [');
    await firewall.start('degraded');
    expect(await degraded()).toBe(1);
    expect((await firewall.healthz())?.['reloadError']).toContain('unused.yaml');
    expect(await whatPasses(firewall, [ping('client', web)])).toHaveLength(1);
    await firewall.stop();

    const gateway = join(firewall.configDirectory, 'gateway.yaml');
    const text = await readFile(gateway, 'utf8');
    await writeFile(gateway, `${text}start: strict\n`);
    const strict = await runAgain();
    expect(strict.code).toBe(1);
    expect(strict.stderr).toContain('has errors');
    await writeFile(gateway, text);

    await firewall.start('degraded');
    await rm(broken);
    await firewall.until(
      'it is mended',
      async () => (await firewall.healthz())?.['status'] === 'ok',
    );
    expect(await degraded()).toBe(0);
  });

  it('ends with 0 on SIGINT and SIGTERM', async () => {
    expect(await firewall.stop('SIGINT')).toBe(0);
    await firewall.start();
    expect(await firewall.stop('SIGTERM')).toBe(0);
    expect((await firewall.log()).at(-1)?.['msg']).toBe('firewall has stopped');
  });

  it('forwards while its port is taken, and takes it as soon as it is free', async () => {
    const take = "require('net').createServer().listen(8740, () => console.log('taken'))";
    const other = firewall.lab.spawn('gateway', [process.execPath, '-e', take], 'pipe');
    await once(other.stdout!, 'data');
    const command = firewall.runCommand('--config', firewall.configDirectory);
    const child = firewall.lab.spawn('gateway', command, 'pipe');
    let log = '';
    child.stdout!.on('data', (text: Buffer) => (log += text.toString()));
    const tried = /no API: cannot listen on 127\.0\.0\.1:8740 \(EADDRINUSE\)/;
    await firewall.until('it has tried', () => Promise.resolve(tried.test(log)));
    expect(await whatPasses(firewall, [ping('client', web)])).toHaveLength(1);
    other.kill();
    await firewall.until(
      'the API is open',
      async () => (await firewall.healthz())?.['status'] === 'ok',
    );
    expect(await firewall.healthz()).not.toHaveProperty('listenError');
    const failures = (await firewall.metrics()).get('tunwall_api_listen_failures_total');
    expect(failures).toBeGreaterThanOrEqual(1);
    child.kill('SIGTERM');
    expect(await once(child, 'exit')).toEqual([0, null]);
  });

  it('says when the device belongs to another user, or is missing', async () => {
    await firewall.gateway('down');
    await firewall.gateway('up', '--user', 'root');
    const forbidden = await runAgain();
    expect(forbidden.code).toBe(1);
    expect(forbidden.stderr).toContain('device fw0 belongs to another user');
    await firewall.gateway('down');
    const missing = await runAgain();
    expect(missing.code).toBe(1);
    expect(missing.stderr).toContain('device fw0 does not exist');
    expect(missing.stderr).toContain('tunwall gateway up');
  });

  it('says when the configuration is missing, and what it was called with wrongly', async () => {
    const nowhere = await firewall.lab.exec('gateway', firewall.runCommand('--config', '/nowhere'));
    expect(nowhere.code).toBe(1);
    expect(nowhere.stderr).toContain('/nowhere: cannot be read: it does not exist');
    const wrong = await firewall.lab.exec('gateway', firewall.runCommand('--confg', 'x'));
    expect(wrong.code).toBe(2);
    expect(wrong.stderr).toContain('--config');
  });
});
