/**
 * The exported nft ruleset against tunwall: the same probes, with the kernel's own forwarding and filter in the gateway and
 * with the firewall, get the same verdicts. Policies are random, over the addresses and ports that the probes use, so that
 * every rule form comes up in both directions and between servers; what passes is also compared with a scan of the rules.
 * Half of them name servers, labels, templates and sets.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { exportNft } from '../../../src/interop/rules/nft.ts';
import { formatAddressNumber } from '../../../src/policy/addresses.ts';
import { toTemplateBody } from '../../../src/policy/template-body.ts';
import { MatchResult } from '../../../src/dataplane/match/matcher.ts';
import { addressToInt, icmpMessage, ipv4Packet, tcpPacket } from '../../../src/testing/packets.ts';
import { NaivePolicy } from '../../support/naive-policy.ts';
import { withGroups } from '../../support/random-groups.ts';
import type { GroupPolicy } from '../../support/random-groups.ts';
import { PolicyMaker } from '../../support/random-policy.ts';
import { seed, seededRandom } from '../../support/seed.ts';
import {
  FirewallLab,
  client,
  clientAddresses,
  db,
  obstacle,
  openConfig,
  web,
  webSecond,
} from '../support/firewall.ts';
import type { Config } from '../support/firewall.ts';
import { describeProbe, ping, tcp, udp, whatPasses } from '../support/probes.ts';
import type { Probe } from '../support/probes.ts';

const policies = 8;
/** In every configuration, so that none of the one before is left over. */
const noSets = ['near', 'far'].map((name) => ({ name, addresses: [], except: [], include: [] }));

const unsigned = (address: string): number => addressToInt(address) >>> 0;

/** Each kind of probe on every way there is; the hosts serve these ports (FirewallLab.started). */
const probes: readonly Probe[] = [
  ping('client', web),
  ping('client', webSecond, '198.51.100.10'),
  ping('client', db, '198.51.100.3'),
  tcp('client', web, 80),
  tcp('client', web, 443, '198.51.100.20'),
  tcp('client', webSecond, 8080, '198.51.100.3'),
  tcp('client', web, 22, '198.51.100.10'),
  tcp('client', db, 5432, '198.51.100.10'),
  tcp('client', db, 80),
  udp('client', web, 53),
  udp('client', db, 53, '198.51.100.20'),
  ping('web', client),
  tcp('web', client, 80),
  tcp('web', '198.51.100.10', 8080, webSecond),
  // To a first address: the echo answers from there.
  udp('web', client, 53),
  ping('web', db),
  tcp('web', db, 5432),
  tcp('web', db, 80, webSecond),
  udp('web', db, 53),
  ping('db', web),
  tcp('db', web, 443),
  tcp('db', webSecond, 80),
  udp('db', web, 53),
  tcp('db', client, 80),
];

const homes: Record<string, string> = { client, web, db };

function shouldPass(policy: GroupPolicy, probe: Probe): boolean {
  const from = unsigned(probe.source ?? homes[probe.from]!);
  const protocol = probe.kind === 'ping' ? 'icmp' : probe.kind;
  const naive = new NaivePolicy(policy, Date.now());
  const match = naive.match(protocol, from, unsigned(probe.to), probe.port ?? 0);
  return match === MatchResult.allowed;
}

function toConfig({ templates, servers, sets }: GroupPolicy): Config {
  return {
    templates: Object.fromEntries(
      // As JSON has it, so that nothing is readonly or shared.
      templates.map((template) => [
        template.name,
        parse(JSON.stringify(toTemplateBody(template))) as Config['templates'][string],
      ]),
    ),
    servers: servers.map(({ name, addresses, templates: assigned, labels, region }) => ({
      name,
      addresses: addresses.map(formatAddressNumber),
      templates: [...assigned],
      ...(labels !== undefined && { labels }),
      ...(region !== undefined && { region }),
    })),
    sets: Object.fromEntries(
      sets.map(({ name, addresses, except, include }) => [
        name,
        {
          addresses: addresses.map(({ text }) => text),
          except: except.map(({ text }) => text),
          include: include.map((each) => `set:${each}`),
        },
      ]),
    ),
  };
}

/** Packets that no rule lets in, whatever it says: to a server that everything is open for. */
function lawless(): Uint8Array[] {
  const segment = (flags: string): Uint8Array =>
    tcpPacket(client, web, { srcPort: 81, dstPort: 80, flags, seq: 1, ack: 1 });
  const icmp = (type: number): Uint8Array =>
    ipv4Packet({ src: client, dst: web, protocol: 1, payload: icmpMessage(type, 0, 0x12340001) });
  const of = (protocol: number): Uint8Array =>
    ipv4Packet({ src: client, dst: web, protocol, payload: new Uint8Array(40) });
  const routed = ipv4Packet({
    src: client,
    dst: web,
    protocol: 17,
    payload: new Uint8Array([0, 53, 0, 53, 0, 8, 0, 0]),
    options: Uint8Array.of(131, 7, 8, 198, 51, 100, 3, 0),
  });
  return [
    ...['SA', 'A', 'FA', 'RA', 'R'].map(segment),
    ...[0, 3, 4, 5, 11, 14].map(icmp),
    ...[47, 50, 132].map(of),
    routed,
  ];
}

describe.skipIf(obstacle !== undefined)('the exported nft ruleset', () => {
  let firewall: FirewallLab;
  const maker = new PolicyMaker(seededRandom(), [
    ...[client, ...clientAddresses, web, webSecond, db].map(unsigned),
  ]);
  const random = Array.from({ length: policies }, (_, index): GroupPolicy => {
    const { templates } = maker.policy(4);
    const names = (): string[] => templates.filter(() => maker.chance(0.7)).map(({ name }) => name);
    // Always the same servers, so that the probes meet some.
    const servers = [
      { name: 'web', addresses: [unsigned(web), unsigned(webSecond)], templates: names() },
      { name: 'db', addresses: [unsigned(db)], templates: names() },
    ];
    const plain = { templates, servers: maker.chance(0.2) ? servers.slice(0, 1) : servers };
    return index % 2 === 0 ? { ...plain, sets: noSets } : withGroups(plain, maker);
  });

  beforeAll(async () => {
    firewall = await FirewallLab.started(openConfig);
    await firewall.prepareInjection('client');
  });
  afterAll(async () => {
    await firewall.close();
  });

  const expected = (policy: GroupPolicy): string[] =>
    probes.filter((probe) => shouldPass(policy, probe)).map(describeProbe);

  it('passes what tunwall passes, and drops what tunwall drops', async () => {
    const byTunwall: string[][] = [];
    for (const policy of random) {
      await firewall.apply(toConfig(policy));
      byTunwall.push(await whatPasses(firewall, probes));
    }
    await firewall.stop();
    await firewall.gateway('down');
    const { lab } = firewall;
    await lab.mustExec('gateway', ['sysctl', '-qw', 'net.ipv4.ip_forward=1']);
    // Without any filter everything gets through: what is dropped below, nft drops.
    expect(await whatPasses(firewall, probes)).toEqual(probes.map(describeProbe));
    const byNft: string[][] = [];
    for (const policy of random) {
      const input = exportNft(policy);
      await lab.mustExec('gateway', ['nft', '-f', '-'], { input });
      byNft.push(await whatPasses(firewall, probes));
    }
    const context = `TUNWALL_SEED=${seed}`;
    expect(byTunwall, context).toEqual(random.map(expected));
    expect(byNft, context).toEqual(byTunwall);
    // Neither everything nor nothing passed in sum, else the comparison says little.
    const passed = byNft.flat().length;
    expect(passed).toBeGreaterThan(policies);
    expect(passed).toBeLessThan(policies * probes.length - policies);
  });

  it('lets nothing in that cannot open a flow, however open the rules are', async () => {
    const { lab } = firewall;
    const open = { protocol: 'all' } as const;
    const input = exportNft({
      templates: [{ name: 'open', inbound: [open], outbound: [open] }],
      servers: [{ name: 'web', addresses: [unsigned(web)], templates: ['open'] }],
    });
    await lab.mustExec('gateway', ['nft', '-f', '-'], { input });
    const arrivals = await firewall.countArrivals('web', client);
    await firewall.inject('client', ...lawless());
    expect(await arrivals()).toBe(0);
    // The way is open: the same sender's SYN arrives.
    await firewall.inject(
      'client',
      tcpPacket(client, web, { srcPort: 81, dstPort: 80, flags: 'S' }),
    );
    await firewall.until('the SYN has arrived', async () => (await arrivals()) > 0);
  });
});
