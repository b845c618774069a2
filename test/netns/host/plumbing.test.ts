/**
 * The plumbing under random sequences of what root can do to it, while `gateway watch` runs and forbidden traffic
 * flows in both directions: not one packet of it arrives, allowed traffic comes back, and `gateway down` gives back
 * what was there.
 *
 * There are two lines, the routing rules with their table and the guard. Both removed at once is a window as long as
 * a repair takes (docs/limits.md). So a step that takes the second line away waits until the first one stands again.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FirewallLab, obstacle, program, web, webSecond } from '../support/firewall.ts';
import { tcp, whatPasses } from '../support/probes.ts';
import { Watch } from '../support/watch.ts';

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
  servers: [{ name: 'web', addresses: [web, webSecond], templates: ['http'] }],
};

const forbiddenClient = '198.51.100.3';

describe.skipIf(obstacle !== undefined)(`the plumbing (TUNWALL_SEED=${seed})`, () => {
  let firewall: FirewallLab;
  let watch: Watch;
  let before: string;

  beforeAll(async () => {
    firewall = await FirewallLab.create(config);
    await firewall.gateway('down');
    before = await hostState();
    await firewall.gateway('up', '--user', 'nobody');
    await firewall.serve('web', 'tcp:80');
    await firewall.start();
    watch = await Watch.started(firewall);
  });
  afterAll(async () => {
    await firewall.close();
  });

  const sh = (command: string): ReturnType<typeof firewall.lab.exec> =>
    firewall.lab.exec('gateway', ['bash', '-c', command]);

  async function hostState(): Promise<string> {
    const { stdout } = await sh(
      'ip -4 rule; ip -4 route show table all | grep -v linkdown; nft -s list ruleset; sysctl -a 2>/dev/null | grep -E "rp_filter|ip_forward |send_redirects"',
    );
    return stdout;
  }

  /** What another program put into the place of ours: the watch only reports it. */
  const clear = 'ip rule del pref 2; ip rule del pref 9; ip route del 10.0.0.0/24 table 100; true';

  async function untilWhole(): Promise<void> {
    await sh(clear);
    const status = [process.execPath, program, 'gateway', 'status'];
    await firewall.until(
      'the gateway is whole again',
      async () => (await firewall.lab.exec('gateway', status)).code === 0,
    );
  }

  async function run(sequence: readonly Step[]): Promise<void> {
    const broken = new Set<Step['breaks']>();
    for (const { breaks, command } of sequence) {
      const other = breaks === 'rules' ? 'guard' : 'rules';
      if (breaks !== 'neither' && broken.has(other)) {
        await untilWhole();
        broken.clear();
      }
      await sh(command);
      broken.add(breaks);
    }
    await untilWhole();
  }

  it('never lets a forbidden packet through, and is repaired', async () => {
    const { lab } = firewall;
    const toServer = await firewall.countArrivals('web', forbiddenClient);
    const fromServer = await firewall.countArrivals('client', webSecond);
    const floods = [
      lab.spawn('client', ['ping', '-i', '0.01', '-q', '-I', forbiddenClient, web]),
      lab.spawn('web', ['ping', '-i', '0.01', '-q', '-I', webSecond, forbiddenClient]),
    ];
    const sequence = fc.array(fc.constantFrom(...steps), { minLength: 3, maxLength: 6 });
    for (const one of fc.sample(sequence, { seed, numRuns: 8 })) {
      await run(one);
      const words = one.map(({ command }) => command);
      await firewall.until(
        `allowed traffic passes after ${words.join(', ')}`,
        async () => (await whatPasses(firewall, [tcp('client', web, 80)])).length === 1,
      );
      expect([words, await toServer(), await fromServer()]).toEqual([words, 0, 0]);
    }
    // They were there to the end.
    expect(floods.map(({ exitCode }) => exitCode)).toEqual([null, null]);
    for (const flood of floods) flood.kill();
    expect(await watch.repairs()).not.toEqual([]);
  });

  it('is gone without a trace after `down`', async () => {
    // A table that iptables made for the policy above is not ours.
    await sh('nft delete table ip filter');
    const ended = watch.end();
    await firewall.gateway('down');
    expect(await ended).toBe(0);
    expect(await hostState()).toBe(before);
  });
});
