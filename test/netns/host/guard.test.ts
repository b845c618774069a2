/**
 * Every known way around the firewall: whatever root does to rules, routes, links or tables, nothing that is
 * forbidden passes, in either direction. Counted where it would arrive.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { client, FirewallLab, obstacle, program, repository, web } from '../support/firewall.ts';
import { ping, tcp, udp, whatPasses } from '../support/probes.ts';

const probes = [
  ping('client', web),
  tcp('client', web, 80),
  udp('client', web, 53),
  ping('web', client),
  tcp('web', client, 80),
  udp('web', client, 53),
];

/** A server without a template: everything to and from it is forbidden. */
const closedConfig = {
  templates: {},
  servers: [{ name: 'web', addresses: [web], templates: [] }],
};

const deleteRules = 'for p in 4 5 10 20 21; do ip rule del pref $p proto 116; done';

/** After the cable of the client took the name of the device. */
const cableBack =
  'ip link show client || { ip link set fw0 down; ip link set fw0 name client; ip link set client up; }';

const localRoutes = (verb: string): string =>
  ['10.0.0.0/24 dev web', '198.51.100.0/24 dev client']
    .map((route) => `ip route ${verb} ${route} table local`)
    .join('; ');

/** What is done, and whether it leads packets around the TUN, where only the guard is in the way. */
const ways: [what: string, command: string, aroundTheTun: boolean][] = [
  // First: the kernel redirects nothing to a TUN without a process, and some below end it.
  [
    'filters of tc redirect what comes in into the device, as if it was judged',
    ['client', 'web']
      .map(
        (cable) =>
          // The fast path has made it already where it is on.
          `tc qdisc add dev ${cable} clsact || :; tc filter add dev ${cable} ingress protocol ip u32 match u32 0 0 action mirred ingress redirect dev fw0`,
      )
      .join('; '),
    true,
  ],
  ['the rules are deleted', deleteRules, true],
  ['the diverting rule is deleted', 'ip rule del pref 20', true],
  ['a rule before ours leads around them', 'ip rule add pref 1 lookup main', true],
  [
    'routes of our table lead elsewhere',
    'for n in 10.0.0.0/24:web 198.51.100.0/24:client; do ip route add ${n%:*} dev ${n#*:} table 100; done',
    true,
  ],
  [
    'the device is down, and its routes ignored',
    'sysctl -qw net.ipv4.conf.all.ignore_routes_with_linkdown=1; ip link set fw0 down',
    false,
  ],
  ['our table is flushed', 'ip route flush table 100', true],
  ['the ruleset of nftables is flushed', 'nft flush ruleset', false],
  ['the guard sleeps', 'nft add table inet tunwall-guard "{ flags dormant; }"', false],
  [
    'another table accepts first',
    `nft -f - <<X
table inet open { chain f { type filter hook forward priority -500; policy accept; accept
}
}
X
${deleteRules}`,
    true,
  ],
  [
    'the device has another name',
    `ip link set fw0 down; ip link set fw0 name fw1; ip link set fw1 up; ${deleteRules}`,
    true,
  ],
  ['a route in table local leads around our rules', localRoutes('add'), true],
  // Without a watch: what is left of the lines closes by itself.
  ['guard and rules are deleted', `nft flush ruleset; ${deleteRules}`, true],
  ['guard and table are flushed', 'nft flush ruleset; ip route flush table 100', true],
  [
    'guard, IPsec policies and all rules are flushed, and the main table is asked again',
    'nft flush ruleset; ip xfrm policy flush; ip rule flush; ip rule add pref 32766 lookup main',
    true,
  ],
  ['a cable is in the group of the device', `ip link set web group 11600116; ${deleteRules}`, true],
  [
    'a cable takes the name of the device',
    'ip link delete fw0; ip link set client down; ip link set client name fw0; ip link set fw0 up; ' +
      'sysctl -qw net.ipv4.conf.fw0.rp_filter=0 net.ipv4.conf.fw0.disable_policy=1; ip route add default dev fw0 table 100',
    true,
  ],
  ['the device and the rules are deleted', `ip link delete fw0; ${deleteRules}`, true],
];

describe.skipIf(obstacle !== undefined)('nothing forbidden passes when', () => {
  let firewall: FirewallLab;
  let arrivals: () => Promise<number>;

  beforeAll(async () => {
    firewall = await FirewallLab.started(closedConfig);
    const atWeb = await firewall.countArrivals('web');
    const atClient = await firewall.countArrivals('client', '10.0.0.0/24');
    arrivals = async () => (await atWeb()) + (await atClient());
  });
  afterAll(async () => {
    await firewall.close();
  });
  afterEach(async () => {
    await sh(
      `for d in client web; do tc qdisc del dev $d clsact; done; ip rule del pref 1; nft delete table inet open; ip link delete fw1; ${cableBack}; ip route flush table 100; ${localRoutes('del')}; true`,
    );
    await firewall.gateway('up');
  });

  const sh = (command: string): Promise<unknown> =>
    firewall.lab.exec('gateway', ['bash', '-c', command]);

  async function bypassed(): Promise<number> {
    const { stdout } = await firewall.lab.exec('gateway', [
      process.execPath,
      program,
      ...['gateway', 'status', '--json'],
    ]);
    return (JSON.parse(stdout) as { bypass?: { packets: number } }).bypass?.packets ?? 0;
  }

  it('multicast is routed', async () => {
    const { lab } = firewall;
    const file = join(lab.directory, 'smcroute.conf');
    const lines = ['phyint web enable', 'phyint client enable', ''];
    lines.push('mroute from web group 239.1.1.1 to client', '');
    await writeFile(file, lines.join('\n'));
    const files = ['-P', `${file}.pid`, '-u', `${file}.sock`];
    const daemon = lab.spawn('gateway', ['smcrouted', '-n', '-f', file, ...files]);
    await firewall.until(
      'smcroute is ready',
      async () => (await lab.exec('gateway', ['test', '-s', `${file}.pid`])).code === 0,
    );
    const before = await bypassed();
    await lab.exec('web', ['ping', '-c', '3', '-i', '0.2', '-t', '9', '-W', '1', '239.1.1.1']);
    daemon.kill();
    expect(await arrivals()).toBe(0);
    expect(await bypassed()).toBe(before + 3);
  });

  it('an IPsec policy would take it on its way into the TUN: it is judged first', async () => {
    const { lab } = firewall;
    const before = await firewall.drops('no-outbound-rule');
    const tunnel = 'tmpl src 198.51.100.1 dst 198.51.100.2 proto esp mode tunnel'.split(' ');
    const policy = `src 10.0.0.0/24 dst 198.51.100.0/24 dir out`.split(' ');
    await lab.ip('gateway', 'xfrm', 'policy', 'add', ...policy, ...tunnel);
    await lab.exec('web', ['ping', '-c', '3', '-i', '0.2', '-W', '1', client]);
    await lab.ip('gateway', 'xfrm', 'policy', 'delete', ...policy);
    expect(await arrivals()).toBe(0);
    expect(await firewall.drops('no-outbound-rule')).toBe(before + 3);
  });

  it.each(ways)('%s', async (_, command, aroundTheTun) => {
    const [seen, before] = [await arrivals(), await bypassed()];
    await firewall.lab.mustExec('gateway', ['bash', '-ec', command]);
    expect(await whatPasses(firewall, probes)).toEqual([]);
    expect(await arrivals()).toBe(seen);
    if (aroundTheTun) expect(await bypassed()).toBeGreaterThan(before);
  });

  // Last: `gateway down` deletes the device.
  it('`gateway up` fails on a host that forwards by itself, until `gateway down`', async () => {
    const { lab } = firewall;
    await firewall.gateway('down', '--keep-closed');
    await lab.mustExec('gateway', ['sysctl', '-qw', 'net.ipv4.ip_forward=1']);
    expect(await whatPasses(firewall, probes)).toEqual([]);
    await lab.ip('gateway', 'rule', 'add', 'pref', '7', 'lookup', 'main');
    await firewall.gateway('down');
    // The host as it is without us: it forwards. The next start closes it, whether it succeeds or not.
    expect(await whatPasses(firewall, [ping('client', web)])).toHaveLength(1);
    const seen = await arrivals();
    await expect(firewall.gateway('up')).rejects.toThrow('The guard is up, nothing else');
    expect(await whatPasses(firewall, probes)).toEqual([]);
    expect(await arrivals()).toBe(seen);
    await lab.ip('gateway', 'rule', 'del', 'pref', '7');
  });

  it('the static file closes a host before any `gateway up`', async () => {
    const { lab } = firewall;
    await firewall.gateway('down');
    expect(await whatPasses(firewall, [ping('client', web)])).toHaveLength(1);
    const seen = await arrivals();
    const file = join(repository, 'scripts/systemd/tunwall-guard.nft');
    await lab.mustExec('gateway', ['nft', '-f', file]);
    expect(await whatPasses(firewall, probes)).toEqual([]);
    expect(await arrivals()).toBe(seen);
    expect((await firewall.gateway('up')).stdout).toContain('nft table inet tunwall-guard');
  });
});
