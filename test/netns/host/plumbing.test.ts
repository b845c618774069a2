/**
 * The plumbing under random sequences of what root can do to it, with forbidden traffic all the while: not one packet of
 * it arrives, `gateway up` brings allowed traffic back, and `gateway down` gives back what was there.
 *
 * There are two lines, the routing rules and the guard. A step that breaks one of them comes only while the other
 * stands: both at once is what repairs in time are for (`gateway watch`).
 */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FirewallLab, obstacle, web } from '../support/firewall.ts';
import { tcp, whatPasses } from '../support/probes.ts';

const seed = Number(process.env['TUNWALL_SEED'] ?? Math.floor(Math.random() * 2 ** 31));

interface Step {
  readonly breaks: 'rules' | 'guard' | 'neither';
  readonly command: string;
}

const routing = [
  'ip rule del pref 20',
  'ip rule del pref 10',
  'ip rule del pref 21',
  'ip rule add pref 2 lookup main',
  'ip rule add pref 9 from 198.51.100.0/24 lookup main',
  'ip route flush table 100',
  'ip route add 10.0.0.0/24 dev web table 100',
  'ip link set fw0 down',
  'for p in 4 5 10 20 21; do ip rule del pref $p proto 116; done',
];
const guard = [
  'nft flush ruleset',
  'nft delete table inet tunwall-guard',
  'nft flush chain inet tunwall-guard forward',
  'nft insert rule inet tunwall-guard forward accept',
  'nft add table inet tunwall-guard "{ flags dormant; }"',
];
const neither = [
  'sysctl -qw net.ipv4.conf.fw0.rp_filter=1',
  'sysctl -qw net.ipv4.conf.all.rp_filter=2',
  'sysctl -qw net.ipv4.ip_forward=0',
  'sysctl -qw net.ipv4.ip_forward=1',
  'sysctl -qw net.ipv4.conf.fw0.disable_xfrm=0',
  'ip link set fw0 mtu 1500',
  'ip link set web down; ip link set web up',
  'iptables -P FORWARD ACCEPT',
];
const steps: readonly Step[] = [
  ...routing.map((command) => ({ breaks: 'rules', command }) as const),
  ...guard.map((command) => ({ breaks: 'guard', command }) as const),
  ...neither.map((command) => ({ breaks: 'neither', command }) as const),
];

/** Only TCP to port 80 of web is allowed. */
const config = {
  templates: { http: { inbound: [{ protocol: 'tcp', ports: [80] }] } },
  servers: [{ name: 'web', addresses: [web], templates: ['http'] }],
};

describe.skipIf(obstacle !== undefined)(`the plumbing (TUNWALL_SEED=${seed})`, () => {
  let firewall: FirewallLab;
  beforeAll(async () => {
    firewall = await FirewallLab.started(config);
  });
  afterAll(async () => {
    await firewall.close();
  });

  const sh = (command: string): ReturnType<typeof firewall.lab.exec> =>
    firewall.lab.exec('gateway', ['bash', '-c', command]);

  /** What another program put into the place of ours: `up` refuses. */
  const clear = 'ip rule del pref 2; ip rule del pref 9; ip route del 10.0.0.0/24 table 100; true';

  async function run(sequence: readonly Step[]): Promise<void> {
    const broken = new Set<Step['breaks']>();
    for (const { breaks, command } of sequence) {
      const other = breaks === 'rules' ? 'guard' : 'rules';
      if (breaks !== 'neither' && broken.has(other)) {
        await sh(clear);
        await firewall.gateway('up');
        broken.clear();
      }
      await sh(command);
      broken.add(breaks);
    }
    await sh(clear);
    await firewall.gateway('up');
  }

  it('never lets a forbidden packet through, and is whole again after `up`', async () => {
    const { lab } = firewall;
    const forbidden = await firewall.countArrivals('web', '198.51.100.3');
    const answers = await firewall.countArrivals('client', web);
    const floods = [
      lab.spawn('client', ['ping', '-i', '0.01', '-q', '-I', '198.51.100.3', web]),
      lab.spawn('web', ['ping', '-i', '0.01', '-q', '198.51.100.3']),
    ];
    const sequence = fc.array(fc.constantFrom(...steps), { minLength: 3, maxLength: 6 });
    for (const one of fc.sample(sequence, { seed, numRuns: 8 })) {
      await run(one);
      const words = one.map(({ command }) => command);
      expect([words, await forbidden(), await answers()]).toEqual([words, 0, 0]);
    }
    for (const flood of floods) flood.kill();
    expect(await whatPasses(firewall, [tcp('client', web, 80)])).toHaveLength(1);
  });

  it('is gone without a trace after `down`', async () => {
    const state = async (): Promise<string> =>
      (
        await sh(
          'ip -4 rule; ip -4 route show table all | grep -v linkdown; nft -s list ruleset; sysctl -a 2>/dev/null | grep -E "rp_filter|ip_forward |send_redirects"',
        )
      ).stdout;
    await sh('nft flush ruleset');
    await firewall.gateway('down');
    const before = await state();
    await firewall.gateway('up');
    await run(
      fc.sample(fc.array(fc.constantFrom(...steps), { minLength: 6, maxLength: 6 }), {
        seed,
        numRuns: 1,
      })[0]!,
    );
    await sh('nft delete table ip filter');
    await firewall.gateway('down');
    expect(await state()).toBe(before);
  });
});
