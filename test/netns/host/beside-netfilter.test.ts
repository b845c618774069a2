/** Chains of others that drop what the firewall passed: named, with a line that helps. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { client, FirewallLab, obstacle, openConfig, program, web } from '../support/firewall.ts';
import { ping, tcp, whatPasses } from '../support/probes.ts';

const probes = [ping('client', web), tcp('client', web, 80), tcp('web', client, 80)];

interface Status {
  readonly state: string;
  readonly warnings: readonly string[];
  readonly problems: readonly {
    readonly what: string;
    readonly found: string;
    readonly hint?: string;
  }[];
}

/** The program that drops, the command that sets it up, and its chain in status. */
const droppers: [program: string, command: string, chain: string][] = [
  ['Docker', 'iptables -P FORWARD DROP', 'chain ip filter FORWARD'],
  [
    'a default drop by interface',
    `nft -f - <<X
table inet x { chain f { type filter hook forward priority filter; policy drop
ct state vmap { established : accept, related : accept }
iifname "client" oifname "web" tcp dport 80 accept
iifname "web" oifname "client" accept
}
}
X`,
    'chain inet x f',
  ],
  [
    'a reject at the end, as firewalld has it',
    `nft -f - <<X
table inet x { chain zone { iifname "lo" accept
}
chain f { type filter hook forward priority filter + 10; policy accept
ct state { established, related } accept
ct status dnat accept
ct state invalid drop
jump zone
reject with icmpx admin-prohibited
}
}
X`,
    'chain inet x f',
  ],
  [
    'rpfilter, as NixOS has it',
    'iptables -t raw -A PREROUTING -m rpfilter --validmark --invert -j DROP',
    'chain ip raw PREROUTING',
  ],
  [
    'a reverse-path check in nftables',
    `nft -f - <<X
table inet x { chain pre { type filter hook prerouting priority raw
fib saddr . iif oif missing drop
}
}
X`,
    'chain inet x pre',
  ],
];

/** What does no harm, and is not named. */
const harmless: [what: string, command: string][] = [
  [
    'ct state invalid drop',
    `nft -f - <<X
table inet x { chain f { type filter hook forward priority filter
ct state invalid drop
}
}
X`,
  ],
  [
    'a default drop that lets the TUN through',
    'iptables -P FORWARD DROP; iptables -A FORWARD -i fw0 -j ACCEPT; iptables -A FORWARD -o fw0 -j ACCEPT',
  ],
  ['rules for input', 'iptables -A INPUT -p tcp --dport 9999 -j DROP'],
];

describe.skipIf(obstacle !== undefined)('beside netfilter of others', () => {
  let firewall: FirewallLab;
  beforeAll(async () => {
    firewall = await FirewallLab.started(openConfig);
  });
  afterEach(async () => {
    await firewall.lab.mustExec('gateway', ['nft', 'flush', 'ruleset']);
    await firewall.gateway('up');
  });
  afterAll(async () => {
    await firewall.close();
  });
  const sh = (line: string): Promise<string> =>
    firewall.lab.mustExec('gateway', ['bash', '-ec', line]);

  async function status(): Promise<Status> {
    const command = [process.execPath, program, 'gateway', 'status', '--json'];
    return JSON.parse((await firewall.lab.exec('gateway', command)).stdout) as Status;
  }

  it.each(droppers)(
    '%s: status names the chain, and the line lets it through',
    async (_, command, chain) => {
      await sh(command);
      expect(await whatPasses(firewall, probes)).toEqual([]);
      const { state, problems } = await status();
      expect(state).toBe('degraded');
      expect(problems.map(({ what }) => what)).toEqual([chain]);
      expect(problems[0]!.found).toMatch(/^drops packets from/);
      await firewall.gateway('up');
      await sh(problems[0]!.hint!.replace(/^let them through: /, ''));
      expect(await whatPasses(firewall, probes)).toHaveLength(probes.length);
      expect(await status()).toMatchObject({ state: 'ok', problems: [] });
    },
  );

  it.each(harmless)('%s does no harm', async (_, command) => {
    await sh(command);
    expect(await whatPasses(firewall, probes)).toHaveLength(probes.length);
    expect(await status()).toMatchObject({ state: 'ok', problems: [] });
  });

  it('a rule that forwards at ingress by itself is named, and its removal is the hint', async () => {
    await sh(`nft -f - <<X
table netdev x { chain i { type filter hook ingress device "client" priority 0
ip protocol icmp fwd to "web"
}
}
X`);
    const { state, problems } = await status();
    expect([state, problems.map(({ what }) => what)]).toEqual(['degraded', ['chain netdev x i']]);
    await sh(problems[0]!.hint!.replace(/^.*: /, ''));
    expect(await status()).toMatchObject({ state: 'ok', problems: [] });
  });

  it('a filter of tc that redirects is refused, and its removal is the hint', async ({ skip }) => {
    const redirect =
      'tc qdisc add dev client clsact; tc filter add dev client ingress protocol ip u32 match u32 0 0 action mirred egress redirect dev web';
    const { code, stderr } = await firewall.lab.exec('gateway', ['bash', '-ec', redirect]);
    try {
      if (code !== 0) {
        console.log(`the kernel has no u32 and mirred for tc: ${stderr}`);
        skip();
      }
      const { state, problems } = await status();
      expect([state, problems.map(({ what }) => what)]).toEqual([
        'degraded',
        ['tc filter on client ingress'],
      ]);
      await expect(firewall.gateway('up')).rejects.toThrow('redirect to web');
      // The firewall, which has no privilege, says so too.
      await firewall.until('health is degraded', async () => {
        const health = (await firewall.healthz())?.['gateway'] as { state: string } | undefined;
        return health?.state === 'degraded';
      });
      await sh(problems[0]!.hint!.replace(/^.*: /, ''));
      expect(await status()).toMatchObject({ state: 'ok', problems: [] });
    } finally {
      await sh('tc qdisc del dev client clsact || true');
    }
  });

  it('status warns of a bridge whose frames the guard drops', async ({ skip }) => {
    const { code, stderr } = await firewall.lab.exec('gateway', [
      'bash',
      '-ec',
      'ip link add br0 type bridge; sysctl -w net.bridge.bridge-nf-call-iptables=1 net.bridge.bridge-nf-call-ip6tables=1',
    ]);
    try {
      if (code !== 0) {
        console.log(`the kernel has no br_netfilter: ${stderr}`);
        skip();
      }
      const { warnings } = await status();
      expect(warnings).toEqual([expect.stringContaining('br0')]);
      // The warning ends with the command that helps.
      await sh(warnings[0]!.replace(/^.*: sysctl/, 'sysctl'));
      expect((await status()).warnings).toEqual([]);
    } finally {
      await sh('ip link del br0 || true');
    }
  });

  it('--integrate keeps the lines in DOCKER-USER, and down takes them out', async () => {
    await sh(
      'iptables -P FORWARD DROP; iptables -N DOCKER-USER; iptables -A DOCKER-USER -j RETURN; iptables -I FORWARD -j DOCKER-USER',
    );
    const before = await sh('iptables -S');
    await firewall.gateway('up', '--integrate');
    expect(await whatPasses(firewall, probes)).toHaveLength(probes.length);
    expect(await status()).toMatchObject({ state: 'ok' });
    await sh('iptables -F DOCKER-USER');
    expect(await status()).toMatchObject({ state: 'degraded' });
    await firewall.gateway('up');
    expect(await whatPasses(firewall, probes)).toHaveLength(probes.length);
    await sh('iptables -A DOCKER-USER -j RETURN');
    await firewall.gateway('down');
    expect(await sh('iptables -S')).toBe(before);
  });
});
