/** Chains of others that drop what the firewall passed: named, with a line that helps. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  client,
  db,
  FirewallLab,
  obstacle,
  openConfig,
  program,
  web,
} from '../support/firewall.ts';
import { ping, tcp, untilAllPass, whatPasses } from '../support/probes.ts';

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

/**
 * The chains of Docker 28 with one network and one container that publishes port 80 as 8080, as it prints them itself
 * (moby/moby#49518), with the lab's names: the bridge is `web`.
 */
const docker = `*raw
:PREROUTING ACCEPT [0:0]
-A PREROUTING -d ${web}/32 ! -i web -j DROP
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 10.0.0.0/24 ! -o web -j MASQUERADE
-A DOCKER ! -i web -p tcp -m tcp --dport 8080 -j DNAT --to-destination ${web}:80
COMMIT
*filter
:FORWARD DROP [0:0]
:DOCKER - [0:0]
:DOCKER-BRIDGE - [0:0]
:DOCKER-CT - [0:0]
:DOCKER-FORWARD - [0:0]
:DOCKER-ISOLATION-STAGE-1 - [0:0]
:DOCKER-ISOLATION-STAGE-2 - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-FORWARD
-A DOCKER -d ${web}/32 ! -i web -o web -p tcp -m tcp --dport 80 -j ACCEPT
-A DOCKER ! -i web -o web -j DROP
-A DOCKER-BRIDGE -o web -j DOCKER
-A DOCKER-CT -o web -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A DOCKER-FORWARD -j DOCKER-CT
-A DOCKER-FORWARD -j DOCKER-ISOLATION-STAGE-1
-A DOCKER-FORWARD -j DOCKER-BRIDGE
-A DOCKER-FORWARD -i web -j ACCEPT
-A DOCKER-ISOLATION-STAGE-1 -i web ! -o web -j DOCKER-ISOLATION-STAGE-2
-A DOCKER-ISOLATION-STAGE-2 -o web -j DROP
COMMIT`;

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
    await sh(`iptables-restore <<X\n${docker}\nX`);
    const before = await sh('iptables -S');
    await firewall.gateway('up', '--integrate');
    // Docker itself lets nobody in by the address of a container.
    const others = [ping('client', db), tcp('client', db, 80)];
    await untilAllPass(firewall, others);
    await sh('iptables -F DOCKER-USER');
    expect((await status()).problems).toContainEqual(
      expect.objectContaining({ what: 'chain ip filter FORWARD' }),
    );
    await firewall.gateway('up');
    await untilAllPass(firewall, others);
    // To a published port, and an answer: what comes out of the TUN has the address of the container.
    const published = [tcp('client', '198.51.100.1', 8080), tcp('web', client, 80)];
    expect(await whatPasses(firewall, published)).toEqual([]);
    const { problems } = await status();
    expect(problems.map(({ what }) => what)).toEqual(['chain ip raw PREROUTING']);
    expect(problems[0]!.found).toContain(`from fw0 to ${web}`);
    await sh(problems[0]!.hint!.replace('let them through: ', ''));
    await untilAllPass(firewall, published);
    expect(await status()).toMatchObject({ state: 'ok' });
    await firewall.gateway('down');
    expect(await sh('iptables -S')).toBe(before);
  });
});
