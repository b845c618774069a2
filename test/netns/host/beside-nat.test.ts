/**
 * NAT by nftables and by iptables on the gateway. It applies on the outer leg, the firewall judges by the address
 * that the server has, and a client keeps its port. The client knows no way to the servers, as the internet does not.
 */
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { client, db, FirewallLab, obstacle, openConfig, web } from '../support/firewall.ts';
import { ping, tcp, udp, untilAllPass, whatPasses } from '../support/probes.ts';

const gatewayAddress = '198.51.100.1';

/** One documented example each, in both languages. */
const nat = {
  nft: {
    masquerade: 'add rule ip nat post oifname client masquerade',
    snat: `add rule ip nat post oifname client snat to ${gatewayAddress}`,
    dnat: `add rule ip nat pre iifname client tcp dport 8080 dnat to ${web}:80; add rule ip nat pre iifname client udp dport 5353 dnat to ${web}:53`,
  },
  iptables: {
    masquerade: 'iptables -t nat -A POSTROUTING -o client -j MASQUERADE',
    snat: `iptables -t nat -A POSTROUTING -o client -j SNAT --to-source ${gatewayAddress}`,
    dnat: `iptables -t nat -A PREROUTING -i client -p tcp --dport 8080 -j DNAT --to-destination ${web}:80; iptables -t nat -A PREROUTING -i client -p udp --dport 5353 -j DNAT --to-destination ${web}:53`,
  },
};
const nftTable =
  'add table ip nat; add chain ip nat post { type nat hook postrouting priority srcnat; }; add chain ip nat pre { type nat hook prerouting priority dstnat; }; ';
const tools = ['nft', 'iptables'] as const;

describe.skipIf(obstacle !== undefined)('beside NAT', () => {
  let firewall: FirewallLab;
  beforeAll(async () => {
    firewall = await FirewallLab.started(openConfig);
    await firewall.lab.ip('client', 'route', 'del', 'default');
  });
  afterEach(async () => {
    await firewall.lab.exec('web', ['nft', 'delete', 'table', 'ip', 'ports']);
    await firewall.lab.mustExec('gateway', ['bash', '-c', 'nft flush ruleset; conntrack -F']);
    await firewall.gateway('up');
  });
  afterAll(async () => {
    await firewall.close();
  });

  async function add(tool: (typeof tools)[number], what: keyof typeof nat.nft): Promise<void> {
    const line = tool === 'nft' ? `nft '${nftTable}${nat.nft[what]}'` : nat.iptables[what];
    await firewall.lab.mustExec('gateway', ['bash', '-ec', line]);
  }

  /** Whom the client saw: the sources that its counters know. */
  const outbound = [ping('web', client), tcp('web', client, 80), udp('web', client, 53)];

  it.each([
    ['nft', 'masquerade'],
    ['nft', 'snat'],
    ['iptables', 'masquerade'],
    ['iptables', 'snat'],
  ] as const)('%s %s: servers go out under the address of the gateway', async (tool, what) => {
    const asThemselves = await firewall.countArrivals('client', '10.0.0.0/24');
    const asTheGateway = await firewall.countArrivals('client', gatewayAddress);
    await add(tool, what);
    await untilAllPass(firewall, outbound);
    expect(await asThemselves()).toBe(0);
    expect(await asTheGateway()).toBeGreaterThan(outbound.length);
  });

  it.each(tools)('%s dnat: the server sees the client, and its port', async (tool) => {
    const { lab } = firewall;
    await add(tool, 'dnat');
    const from = 'tcp flags syn tcp sport 40000-40009 ip saddr 198.51.100.2';
    const rules = `table ip ports { chain c { type filter hook prerouting priority raw; ${from} counter
}
}`;
    await lab.mustExec('web', ['nft', rules]);
    // Other ports for each tool: those of before are still in TIME_WAIT.
    for (const port of tool === 'nft' ? ['40001', '40002', '40003'] : ['40004', '40005', '40006']) {
      const url = `http://${gatewayAddress}:8080/`;
      const said = await lab.mustExec('client', ['curl', '-sm20', '--local-port', port, url]);
      expect(said).toContain('hello');
    }
    expect(await lab.mustExec('web', ['nft', 'list', 'table', 'ip', 'ports'])).toMatch(
      /packets [3-9]/,
    );
    await untilAllPass(firewall, [udp('client', gatewayAddress, 5353)]);
  });

  it('what the firewall forbids by the address of the server does not pass by that of the gateway', async () => {
    await add('nft', 'dnat');
    await add('iptables', 'masquerade');
    const servers = openConfig.servers.map((server) => ({ ...server, templates: ['none'] }));
    await firewall.apply({ templates: { none: {} }, servers });
    const atWeb = await firewall.countArrivals('web');
    const atClient = await firewall.countArrivals('client', gatewayAddress);
    const probes = [
      ...outbound,
      tcp('client', gatewayAddress, 8080),
      udp('client', gatewayAddress, 5353),
    ];
    expect(await whatPasses(firewall, probes)).toEqual([]);
    expect([await atWeb(), await atClient()]).toEqual([0, 0]);
    expect(await firewall.drops('no-inbound-rule')).toBeGreaterThan(0);
    await firewall.apply(openConfig);
  });

  it('nginx on the gateway reaches a server that the client does not: what the gateway sends is its own', async () => {
    const { lab } = firewall;
    const file = join(lab.directory, 'nginx.conf');
    const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
      .map((name) => `${name}_temp_path ${lab.directory}/nginx-${name};`)
      .join(' ');
    const server = `server { listen ${gatewayAddress}:8080; location / { proxy_pass http://${web}:80; } }`;
    await writeFile(
      file,
      `daemon off; pid ${lab.directory}/nginx.pid; events {} http { access_log off; ${paths} ${server} }`,
    );
    const servers = openConfig.servers.map((each) => ({ ...each, templates: ['none'] }));
    await firewall.apply({ templates: { none: {} }, servers });
    const nginx = lab.spawn('gateway', ['nginx', '-e', 'stderr', '-c', file]);
    await untilAllPass(firewall, [tcp('client', gatewayAddress, 8080)]);
    await lab.ip('client', 'route', 'add', 'default', 'via', gatewayAddress);
    expect(await whatPasses(firewall, [tcp('client', web, 80), ping('client', web)])).toEqual([]);
    await lab.ip('client', 'route', 'del', 'default');
    const ended = once(nginx, 'exit');
    nginx.kill();
    await ended;
    await firewall.apply(openConfig);
  });

  it('a server is reached by the public address from inside, too, but not by itself', async () => {
    const dnat = `ip daddr ${gatewayAddress} tcp dport 8080 dnat to ${web}:80`;
    const line = `nft '${nftTable}add rule ip nat pre ${dnat}; add rule ip nat post iifname fw0 oifname web masquerade'`;
    await firewall.lab.mustExec('gateway', ['bash', '-ec', line]);
    const [other, itself] = [tcp('db', gatewayAddress, 8080), tcp('web', gatewayAddress, 8080)];
    await untilAllPass(firewall, [other]);
    const before = await firewall.drops('land');
    expect(await whatPasses(firewall, [itself])).toEqual([]);
    expect(await firewall.drops('land')).toBeGreaterThan(before);
  });

  it('is not needed between servers, and the gateway itself stays reachable', async () => {
    await add('nft', 'masquerade');
    await add('nft', 'dnat');
    const probes = [tcp('web', db, 80), ping('db', web), ping('client', gatewayAddress)];
    await untilAllPass(firewall, probes);
  });
});
