/** Each rule form in both directions, unions, assignments, servers among themselves, and what is dropped without a rule. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { icmpMessage, ipv4Packet, tcpPacket, udpPacket } from '../../../src/testing/packets.ts';
import {
  FirewallLab,
  client,
  db,
  obstacle,
  openConfig,
  web,
  webSecond,
} from '../support/firewall.ts';
import type { Config, RuleConfig } from '../support/firewall.ts';
import { describeProbe, ping, tcp, udp, whatPasses } from '../support/probes.ts';
import type { Probe } from '../support/probes.ts';

describe.skipIf(obstacle !== undefined)('rules', () => {
  let firewall: FirewallLab;
  beforeAll(async () => {
    firewall = await FirewallLab.started(openConfig);
    await firewall.prepareInjection('client');
  });
  afterAll(async () => {
    await firewall.close();
  });

  /** Applies a configuration and compares what passes with what should. */
  async function expectPassing(
    config: Config,
    allowed: Probe[],
    forbidden: Probe[],
  ): Promise<void> {
    await firewall.apply(config);
    const passing = await whatPasses(firewall, [...allowed, ...forbidden]);
    expect(passing).toEqual(allowed.map(describeProbe));
  }

  const oneRule = (direction: 'inbound' | 'outbound', rule: RuleConfig): Config => ({
    templates: { one: { [direction]: [rule] } },
    servers: [{ name: 'web', addresses: [web], templates: ['one'] }],
  });

  describe('inbound', () => {
    it.each<[string, RuleConfig, Probe[], Probe[]]>([
      [
        'ALL',
        { protocol: 'all' },
        [ping('client', web), tcp('client', web, 80), udp('client', web, 53)],
        [],
      ],
      [
        'TCP: ALL',
        { protocol: 'tcp' },
        [tcp('client', web, 80), tcp('client', web, 8080)],
        [ping('client', web), udp('client', web, 53)],
      ],
      [
        'TCP: 443',
        { protocol: 'tcp', ports: [443] },
        [tcp('client', web, 443)],
        [tcp('client', web, 80), udp('client', web, 53)],
      ],
      [
        'TCP: 20-80',
        { protocol: 'tcp', ports: ['20-80'] },
        [tcp('client', web, 22), tcp('client', web, 80)],
        [tcp('client', web, 443)],
      ],
      [
        'TCP: 22,8000-8100',
        { protocol: 'tcp', ports: [22, '8000-8100'] },
        [tcp('client', web, 22), tcp('client', web, 8080)],
        [tcp('client', web, 80)],
      ],
      [
        'UDP: 53',
        { protocol: 'udp', ports: [53] },
        [udp('client', web, 53)],
        [udp('client', web, 5353), tcp('client', web, 80)],
      ],
      [
        'ICMP',
        { protocol: 'icmp' },
        [ping('client', web)],
        [tcp('client', web, 80), udp('client', web, 53)],
      ],
      [
        'from an address',
        { protocol: 'tcp', sources: ['198.51.100.3'] },
        [tcp('client', web, 80, '198.51.100.3')],
        [tcp('client', web, 80, client)],
      ],
      [
        'from a block',
        { protocol: 'icmp', sources: ['198.51.100.8/29'] },
        [ping('client', web, '198.51.100.10')],
        [ping('client', web, '198.51.100.20')],
      ],
      [
        'from a range',
        { protocol: 'udp', sources: ['198.51.100.3-198.51.100.10'] },
        [udp('client', web, 53, '198.51.100.3'), udp('client', web, 53, '198.51.100.10')],
        [udp('client', web, 53, client), udp('client', web, 53, '198.51.100.20')],
      ],
      [
        'from several',
        { protocol: 'tcp', sources: ['198.51.100.2', '198.51.100.16/28'] },
        [tcp('client', web, 80, client), tcp('client', web, 80, '198.51.100.20')],
        [tcp('client', web, 80, '198.51.100.10')],
      ],
      [
        'from any',
        { protocol: 'tcp', sources: ['any'] },
        [tcp('client', web, 80)],
        [ping('client', web)],
      ],
    ])('%s', async (_name, rule, allowed, forbidden) => {
      // An inbound rule lets nothing out.
      await expectPassing(oneRule('inbound', rule), allowed, [
        ...forbidden,
        tcp('web', client, 80),
      ]);
    });
  });

  describe('outbound', () => {
    it.each<[string, RuleConfig, Probe[], Probe[]]>([
      [
        'ALL',
        { protocol: 'all' },
        [ping('web', client), tcp('web', client, 80), udp('web', client, 53)],
        [],
      ],
      [
        'TCP: 80',
        { protocol: 'tcp', ports: [80] },
        [tcp('web', client, 80)],
        [tcp('web', client, 8080), ping('web', client)],
      ],
      ['UDP: ALL', { protocol: 'udp' }, [udp('web', client, 53)], [tcp('web', client, 80)]],
      ['ICMP', { protocol: 'icmp' }, [ping('web', client)], [udp('web', client, 53)]],
      [
        'to an address',
        { protocol: 'tcp', destinations: ['198.51.100.3'] },
        [tcp('web', '198.51.100.3', 80)],
        [tcp('web', client, 80)],
      ],
      [
        'to a block or a range',
        { protocol: 'icmp', destinations: ['198.51.100.8/29', '198.51.100.15-198.51.100.25'] },
        [ping('web', '198.51.100.10'), ping('web', '198.51.100.20')],
        [ping('web', client)],
      ],
    ])('%s', async (_name, rule, allowed, forbidden) => {
      await expectPassing(oneRule('outbound', rule), allowed, [
        ...forbidden,
        tcp('client', web, 80),
      ]);
    });
  });

  it('several templates are a union, one template serves many servers, a server has several addresses', async () => {
    await expectPassing(
      {
        templates: {
          http: { inbound: [{ protocol: 'tcp', ports: [80] }] },
          ping: { inbound: [{ protocol: 'icmp' }] },
        },
        servers: [
          { name: 'web', addresses: [web, webSecond], templates: ['http', 'ping'] },
          { name: 'db', addresses: [db], templates: ['ping'] },
        ],
      },
      [
        tcp('client', web, 80),
        ping('client', web),
        tcp('client', webSecond, 80),
        ping('client', db),
      ],
      [tcp('client', db, 80), tcp('client', web, 443)],
    );
  });

  it('from server to server both sides must allow', async () => {
    const config = (out: RuleConfig[], into: RuleConfig[]): Config => ({
      templates: { out: { outbound: out }, into: { inbound: into } },
      servers: [
        { name: 'web', addresses: [web], templates: ['out'] },
        { name: 'db', addresses: [db], templates: ['into'] },
      ],
    });
    const postgres: RuleConfig = { protocol: 'tcp', ports: [5432] };
    const probe = tcp('web', db, 5432);
    await expectPassing(
      config([postgres], [postgres]),
      [probe],
      [tcp('db', web, 80), tcp('web', db, 80)],
    );
    await expectPassing(config([postgres], [{ protocol: 'udp' }]), [], [probe]);
    await expectPassing(config([{ protocol: 'udp' }], [postgres]), [], [probe]);
  });

  it('a server without templates drops everything, and traffic of no server is dropped', async () => {
    const arrivals = await firewall.countArrivals('db');
    await expectPassing(
      {
        templates: { open: openConfig.templates['open']! },
        servers: [{ name: 'web', addresses: [web], templates: [] }],
      },
      [],
      [
        ping('client', web),
        tcp('client', web, 80),
        udp('client', web, 53),
        tcp('web', client, 80),
        ping('client', db),
        tcp('client', db, 80),
      ],
    );
    expect(await arrivals()).toBe(0);
    expect(await firewall.drops('no-inbound-rule')).toBeGreaterThan(0);
    expect(await firewall.drops('no-outbound-rule')).toBeGreaterThan(0);
    expect(await firewall.drops('no-server')).toBeGreaterThan(0);
  });

  it('replies need no rule; what only looks like a reply does not pass', async () => {
    await firewall.apply(openConfig);
    const arrivals = await firewall.countArrivals('web', client);
    const segment = (flags: string): Uint8Array =>
      tcpPacket(client, web, { srcPort: 80, dstPort: 55_555, flags, seq: 1, ack: 1 });
    const before = await firewall.drops('invalid-state');
    await firewall.inject('client', ...['SA', 'A', 'FA', 'R', 'RA', 'PA'].map(segment));
    const echoReply = icmpMessage(0, 0, 0x12340001);
    await firewall.inject(
      'client',
      ipv4Packet({ src: client, dst: web, protocol: 1, payload: echoReply }),
    );
    expect((await firewall.drops('invalid-state')) - before).toBe(6);
    expect(await firewall.drops('icmp-type')).toBe(1);
    expect(await arrivals()).toBe(0);
  });

  it('only ICMP, TCP and UDP over IPv4 pass, and no source routes', async () => {
    await firewall.apply(openConfig);
    const payload = new Uint8Array(40);
    const of = (protocol: number): Uint8Array =>
      ipv4Packet({ src: client, dst: web, protocol, payload });
    const arrivals = await firewall.countArrivals('web');
    const before = await firewall.drops('protocol');
    await firewall.inject('client', of(47), of(132), of(4), of(50), of(2));
    expect((await firewall.drops('protocol')) - before).toBe(5);
    const sourceRouted = ipv4Packet({
      src: client,
      dst: web,
      protocol: 17,
      payload: udpPacket(client, web, 1, 53).slice(20),
      options: Uint8Array.of(131, 7, 8, 198, 51, 100, 3, 0),
    });
    await firewall.inject('client', sourceRouted);
    expect(await arrivals()).toBe(0);
  });

  it('IPv6 is not forwarded, whatever the rules say', async () => {
    const { lab } = firewall;
    await lab.ip('client', '-6', 'addr', 'add', '2001:db8:1::2/64', 'dev', 'eth0', 'nodad');
    await lab.ip('gateway', '-6', 'addr', 'add', '2001:db8:1::1/64', 'dev', 'client', 'nodad');
    await lab.ip('web', '-6', 'addr', 'add', '2001:db8:2::2/64', 'dev', 'eth0', 'nodad');
    await lab.ip('gateway', '-6', 'addr', 'add', '2001:db8:2::1/64', 'dev', 'web', 'nodad');
    await lab.ip('client', '-6', 'route', 'add', 'default', 'via', '2001:db8:1::1');
    await lab.ip('web', '-6', 'route', 'add', 'default', 'via', '2001:db8:2::1');
    const ping6 = (to: string) => lab.exec('client', ['ping', '-6', '-c', '1', '-W', '1', to]);
    expect((await ping6('2001:db8:1::1')).code).toBe(0);
    expect((await ping6('2001:db8:2::2')).code).not.toBe(0);
  });

  it('a forged packet with the address of a server does not come in from outside', async () => {
    await firewall.apply(openConfig);
    const arrivals = await firewall.countArrivals('db', web);
    const judged = (metrics: ReadonlyMap<string, number>): number =>
      [...metrics]
        .filter(([name]) => name.startsWith('tunwall_packets_total'))
        .reduce((sum, [, n]) => sum + n, 0);
    const before = judged(await firewall.metrics());
    const forged = Array.from({ length: 10 }, (_, i) => udpPacket(web, db, 1000 + i, 53));
    await firewall.inject('client', ...forged);
    expect(await arrivals()).toBe(0);
    // The gateway's reverse-path filter has dropped them before the firewall saw them.
    expect(judged(await firewall.metrics())).toBe(before);
    // The real web still gets through.
    expect(await whatPasses(firewall, [udp('web', db, 53)])).toHaveLength(1);
  });
});
