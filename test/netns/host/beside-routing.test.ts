/** Routing of the host beside the gateway: what was judged goes the way that the host's own rules say. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { client, FirewallLab, obstacle, openConfig, web } from '../support/firewall.ts';
import { ping, tcp, whatPasses } from '../support/probes.ts';

const behindVpn = '203.0.113.9';
const nowhere = '192.0.2.77';

describe.skipIf(obstacle !== undefined)('beside routing of the host', () => {
  let firewall: FirewallLab;
  beforeAll(async () => {
    firewall = await FirewallLab.started(openConfig);
    await firewall.lab.ip('client', 'addr', 'add', `${behindVpn}/32`, 'dev', 'lo');
  });
  afterAll(async () => {
    await firewall.close();
  });
  const gw = (...command: string[]): Promise<string> => firewall.lab.mustExec('gateway', command);
  const sh = (host: string, line: string): ReturnType<typeof firewall.lab.exec> =>
    firewall.lab.exec(host, ['bash', '-c', line]);

  it('a table of a VPN with a rule of its own carries judged packets and the host’s own', async () => {
    await gw('ip', 'route', 'add', '203.0.113.0/24', 'via', client, 'table', '52');
    await gw('ip', 'rule', 'add', 'pref', '5270', 'lookup', '52');
    const probes = [ping('web', behindVpn), ping('gateway', behindVpn), tcp('web', behindVpn, 80)];
    expect(await whatPasses(firewall, probes)).toHaveLength(probes.length);
  });

  it('a rule by source picks the uplink, as it does for a router', async () => {
    await gw('ip', 'route', 'add', 'default', 'via', client, 'table', '60');
    await gw('ip', 'rule', 'add', 'pref', '6000', 'from', web, 'lookup', '60');
    const arrivals = await firewall.countArrivals('client', web);
    await sh('web', `ping -c 2 -i 0.2 -W 1 ${nowhere}`);
    expect(await arrivals()).toBe(2);
    await gw('ip', 'rule', 'del', 'pref', '6000');
  });

  it('the gateway’s own packets without a route are unreachable at once, and never in the TUN', async () => {
    const before = await firewall.drops('no-server');
    const { stderr, code } = await sh('gateway', `ping -c 1 -W 5 ${nowhere}`);
    expect([code, stderr]).toEqual([2, expect.stringContaining('Network is unreachable')]);
    expect(await firewall.drops('no-server')).toBe(before);
  });

  it('judged packets without a route are answered, and do not go round', async () => {
    const seen = async (): Promise<number> =>
      [...(await firewall.metrics())]
        .filter(([name]) => name.startsWith('tunwall_packets_total{'))
        .reduce((sum, [, value]) => sum + value, 0);
    const before = await seen();
    const { stdout } = await sh('web', `ping -c 1 -W 1 ${nowhere}`);
    expect(stdout).toMatch(/From 10\.0\.0\.1 .*Net Unreachable/);
    expect(await seen()).toBeLessThanOrEqual(before + 2);
  });

  it('a route that leads back into the TUN does not make a loop', async () => {
    await gw('ip', 'route', 'add', '192.0.2.0/24', 'dev', 'fw0');
    await sh('web', `ping -c 3 -i 0.2 -W 1 ${nowhere}`);
    const { stdout } = await sh('gateway', 'ip -s -j link show fw0');
    const [link] = JSON.parse(stdout) as [{ stats64: { rx: { packets: number } } }];
    await sh('web', `ping -c 3 -i 0.2 -W 1 ${nowhere}`);
    const again = await sh('gateway', 'ip -s -j link show fw0');
    const [after] = JSON.parse(again.stdout) as [{ stats64: { rx: { packets: number } } }];
    expect(after.stats64.rx.packets - link.stats64.rx.packets).toBe(3);
    await gw('ip', 'route', 'del', '192.0.2.0/24');
  });

  it('the gateway is one hop', async () => {
    const hops = await sh(
      'client',
      `traceroute -n -q 1 -w 1 -m 4 ${web} | tail -n +2 | awk '{print $2}'`,
    );
    expect(hops.stdout.trim().split('\n')).toEqual(['198.51.100.1', web]);
    expect((await sh('client', `ping -c 1 -W 1 -t 2 ${web}`)).code).toBe(0);
    const expired = await sh('client', `ping -c 1 -W 1 -t 1 ${web}`);
    expect(expired.stdout).toContain('From 198.51.100.1 icmp_seq=1 Time to live exceeded');
  });

  it('jumbo frames keep their size, and a smaller path MTU is still reported', async () => {
    for (const [host, device] of [
      ['client', 'eth0'],
      ['web', 'eth0'],
      ['gateway', 'client'],
      ['gateway', 'web'],
    ] as const) {
      await firewall.lab.ip(host, 'link', 'set', device, 'mtu', '9000');
    }
    expect((await sh('client', `ping -c 1 -W 1 -M do -s 8972 ${web}`)).code).toBe(0);
    await firewall.lab.ip('gateway', 'link', 'set', 'web', 'mtu', '1500');
    const { stdout, stderr } = await sh('client', `ping -c 2 -i 0.3 -W 1 -M do -s 8972 ${web}`);
    expect(stdout + stderr).toMatch(/Frag needed.*mtu = 1500|mtu=1500/);
  });

  it('policies of a VPN are asked before ours: what must come encrypted is refused in the clear', async () => {
    const clients = ['src', '198.51.100.0/24', 'dst', '10.0.0.0/24', 'dir', 'fwd'];
    const encrypted = 'tmpl src 198.51.100.2 dst 198.51.100.1 proto esp mode tunnel'.split(' ');
    await gw('ip', 'xfrm', 'policy', 'add', ...clients, ...encrypted);
    const arrivals = await firewall.countArrivals('web', client);
    expect(await whatPasses(firewall, [ping('client', web), tcp('client', web, 80)])).toEqual([]);
    expect(await arrivals()).toBe(0);
    await gw('ip', 'xfrm', 'policy', 'delete', ...clients);
    expect(await whatPasses(firewall, [ping('client', web)])).toHaveLength(1);
  });

  it('local delivery may have its rule anywhere', async () => {
    for (const pref of ['32765', '1001', '100']) {
      await gw('ip', 'rule', 'add', 'pref', pref, 'lookup', 'local');
      await sh('gateway', 'ip rule del pref 0');
      const probes = [
        ping('client', '198.51.100.1'),
        ping('gateway', '127.0.0.1'),
        ping('web', '10.0.0.1'),
        ping('client', web),
      ];
      expect([pref, await whatPasses(firewall, probes)]).toMatchObject([
        pref,
        { length: probes.length },
      ]);
      await gw('ip', 'rule', 'add', 'pref', '0', 'lookup', 'local');
      await gw('ip', 'rule', 'del', 'pref', pref);
    }
  });

  it('forged sources stop at the cable, with all.rp_filter=1 too; a loose interface is named', async () => {
    await gw('sysctl', '-qw', 'net.ipv4.conf.all.rp_filter=1');
    expect(await whatPasses(firewall, [ping('client', web)])).toHaveLength(1);
    await gw('sysctl', '-qw', 'net.ipv4.conf.all.rp_filter=0');
    await firewall.lab.ip('client', 'addr', 'add', '10.0.0.77/32', 'dev', 'lo');
    const arrivals = await firewall.countArrivals('web', '10.0.0.77');
    await sh('client', `ping -I 10.0.0.77 -c 2 -i 0.2 -W 1 ${web}`);
    expect(await arrivals()).toBe(0);
    await gw('sysctl', '-qw', 'net.ipv4.conf.client.rp_filter=2');
    const { stdout } = await sh(
      'gateway',
      `node ${process.cwd()}/dist/main.js gateway status --json`,
    );
    expect(JSON.parse(stdout)).toMatchObject({
      state: 'degraded',
      problems: [
        { what: 'net.ipv4.conf.client.rp_filter', wanted: '1', found: '2', repairable: true },
      ],
    });
    await firewall.gateway('up');
  });
});
