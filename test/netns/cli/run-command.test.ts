/** `tunwall run` as a process: whose it is, how it ends, and what it says when it cannot start. */
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FirewallLab, obstacle, openConfig, web } from '../support/firewall.ts';
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
    const status = await readFile(`/proc/${firewall.process!.pid!}/status`, 'utf8');
    const field = (name: string): string => new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(status)![1]!;
    expect(field('Uid').split('\t')).toEqual(['65534', '65534', '65534', '65534']);
    for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb']) {
      expect(Number(`0x${field(set)}`), set).toBe(0);
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

  it('ends with 0 on SIGINT and SIGTERM', async () => {
    expect(await firewall.stop('SIGINT')).toBe(0);
    await firewall.start();
    expect(await firewall.stop('SIGTERM')).toBe(0);
    expect((await firewall.log()).at(-1)?.['msg']).toBe('firewall has stopped');
  });

  it('says when its port is taken', async () => {
    await firewall.serve('gateway', 'tcp:8740');
    const { code, stderr } = await runAgain();
    expect(code).toBe(1);
    expect(stderr).toContain('cannot listen on 127.0.0.1:8740 (EADDRINUSE)');
  });

  it('says when the device belongs to somebody else, or is missing', async () => {
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
