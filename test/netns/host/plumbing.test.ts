/**
 * The plumbing under random sequences of what root can do to it, while `gateway watch` runs and forbidden traffic
 * flows in both directions: not one packet of it arrives, allowed traffic comes back, and `gateway down` gives back
 * what was there. Rules, guard and IPsec policies may be gone at the same time: what is left closes.
 */
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FirewallLab, obstacle, program, repository, web, webSecond } from '../support/firewall.ts';
import type { Config } from '../support/firewall.ts';
import { tcp, untilAllPass } from '../support/probes.ts';
import { supervise, Watch } from '../support/watch.ts';

const seed = Number(process.env['TUNWALL_SEED'] ?? Math.floor(Math.random() * 2 ** 31));

const deleteRules = 'for p in 4 5 10 20 21; do ip rule del pref $p proto 116; done';

/**
 * What closes when rules and guard are gone. Who takes it away together with these opens the gate until the watch has put one
 * back; so it is taken away from a gateway that is whole.
 */
const lastLine = 'ip xfrm policy setdefault fwd accept';

/** Two lines or three in one instant. */
const worst = [
  `nft flush ruleset; ${deleteRules}`,
  'ip route flush table 100; ip xfrm policy flush; nft flush ruleset',
  'nft delete table inet tunwall-guard; nft add table inet tunwall-guard "{ flags dormant; }"',
  'nft flush ruleset; ip link delete fw0; ip rule flush; ip rule add pref 32766 lookup main; ip rule add pref 32767 lookup default',
];
const steps = [
  ...worst,
  'ip rule del pref 20',
  'ip rule del pref 10',
  'ip rule del pref 21',
  'ip rule add pref 2 lookup main',
  'ip rule add pref 9 from 198.51.100.0/24 lookup main',
  'ip route flush table 100',
  'ip route add 10.0.0.0/24 dev web table 100',
  'ip link set fw0 down',
  deleteRules,
  'nft flush ruleset',
  'nft delete table inet tunwall-guard',
  'nft flush chain inet tunwall-guard forward',
  'nft insert rule inet tunwall-guard forward accept',
  'nft add table inet tunwall-guard "{ flags dormant; }"',
  'ip xfrm policy flush',
  lastLine,
  'nft add table inet open "{ chain f { type filter hook forward priority -500; accept; }; }"',
  'ip link add late0 type veth peer name late1; ip link set late0 up',
  'sysctl -qw net.ipv4.conf.all.bc_forwarding=1 net.ipv4.conf.all.proxy_arp=1',
  'sysctl -qw net.ipv4.conf.fw0.rp_filter=1',
  'sysctl -qw net.ipv4.conf.all.rp_filter=2',
  'sysctl -qw net.ipv4.ip_forward=0',
  'sysctl -qw net.ipv4.ip_forward=1',
  'sysctl -qw net.ipv4.conf.fw0.disable_xfrm=0',
  'ip link set fw0 mtu 1500',
  'ip link set fw0 group default',
  'ip link set web group 11600116',
  'sysctl -qw net.ipv4.conf.fw0.accept_local=0 net.ipv4.ip_early_demux=1',
  'ip link set web down; ip link set web up',
  'iptables -P FORWARD ACCEPT',
];

/** Only TCP to port 80 of web is allowed. */
const config: Config = {
  templates: { http: { inbound: [{ protocol: 'tcp', ports: [80] }] } },
  servers: [{ name: 'web', addresses: [web, webSecond], templates: ['http'] }],
};

const forbiddenClient = '198.51.100.3';

describe.skipIf(obstacle !== undefined)(`the plumbing (TUNWALL_SEED=${seed})`, () => {
  let firewall: FirewallLab;
  let watch: Watch;
  let before: string;
  let letEnd: () => void;
  /** Forbidden packets that have arrived. */
  let toServer: () => Promise<number>;
  let fromServer: () => Promise<number>;

  beforeAll(async () => {
    firewall = await FirewallLab.create(config);
    await firewall.gateway('down');
    before = await hostState();
    await firewall.gateway('up', '--user', 'nobody');
    await firewall.serve('web', 'tcp:80');
    await firewall.start();
    // Who deletes the device ends the firewall.
    letEnd = supervise(firewall);
    watch = await Watch.started(firewall);
  });
  afterAll(async () => {
    letEnd();
    await firewall.close();
  });

  const sh = (command: string): ReturnType<typeof firewall.lab.exec> =>
    firewall.lab.exec('gateway', ['bash', '-c', command]);

  async function hostState(): Promise<string> {
    const { stdout } = await sh(
      'ip -br link | cut -d " " -f 1; ip -4 rule; ip -4 route show table all | grep -v linkdown; ip xfrm policy; ip xfrm policy getdefault; nft -s list ruleset; sysctl -a 2>/dev/null | grep -E "rp_filter|[_.]forward|redirects|disable_|accept_local|early_demux"',
    );
    return stdout;
  }

  /** What another program put into the place of ours: the watch only reports it. */
  const clear = [
    'ip rule del pref 2; ip rule del pref 9; ip route del 10.0.0.0/24 table 100',
    'nft delete table inet open; ip link del late0',
    'sysctl -qw net.ipv4.conf.all.bc_forwarding=0 net.ipv4.conf.all.proxy_arp=0',
  ].join('; ');

  async function untilWhole(): Promise<void> {
    await sh(clear);
    const status = [process.execPath, program, 'gateway', 'status'];
    await firewall.until(
      'the gateway is whole again',
      async () => (await firewall.lab.exec('gateway', status)).code === 0,
    );
  }

  async function run(sequence: readonly string[]): Promise<void> {
    for (const command of sequence) {
      if (command === lastLine) await untilWhole();
      await sh(command);
      if (command === lastLine) await untilWhole();
    }
    await untilWhole();
  }

  it('never lets a forbidden packet through, and is repaired', async () => {
    const { lab } = firewall;
    toServer = await firewall.countArrivals('web', forbiddenClient);
    fromServer = await firewall.countArrivals('client', webSecond);
    const knock = [process.execPath, join(repository, 'test/netns/support/knock.js')];
    const floods = [
      lab.spawn('client', ['ping', '-i', '0.01', '-q', '-I', forbiddenClient, web]),
      lab.spawn('web', ['ping', '-i', '0.01', '-q', '-I', webSecond, forbiddenClient]),
      lab.spawn('client', [...knock, forbiddenClient, web]),
      lab.spawn('web', [...knock, webSecond, forbiddenClient]),
    ];
    const sequence = fc.array(fc.constantFrom(...steps), { minLength: 3, maxLength: 6 });
    const sequences = [
      ...worst.map((step) => [step]),
      ...fc.sample(sequence, { seed, numRuns: 6 }),
    ];
    for (const one of sequences) {
      await run(one);
      await untilAllPass(firewall, [tcp('client', web, 80)]);
      expect([one, await toServer(), await fromServer()]).toEqual([one, 0, 0]);
    }
    // They were there to the end.
    expect(floods.map(({ exitCode }) => exitCode)).toEqual([null, null, null, null]);
    expect(await watch.repairs()).not.toEqual([]);
    // Longer than any of the waits, so that one of these says what is missing.
  }, 400_000);

  it('is gone without a trace after `down`', async () => {
    // A table that iptables made for the policy above is not ours.
    await sh('nft delete table ip filter');
    const ended = watch.end();
    await firewall.gateway('down');
    expect(await ended).toBe(0);
    expect(await hostState()).toBe(before);
    // The forbidden traffic is still there: without us it arrives.
    await sh('sysctl -qw net.ipv4.ip_forward=1');
    await firewall.until(
      'what was forbidden arrives',
      async () => (await toServer()) > 0 && (await fromServer()) > 0,
    );
  });
});
