/** Reject instead of drop: what clients see of it, in both directions, and what floods get. */
import { once } from 'node:events';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { icmpQuery, tcpPacket, udpPacket } from '../../../src/testing/packets.ts';
import { seed } from '../../support/seed.ts';
import { FirewallLab, client, db, obstacle, program, web } from '../support/firewall.ts';
import type { Config } from '../support/firewall.ts';
import { runScript, startScript } from '../support/scripts.ts';

const sources = '198.18.0.0/15';
/** Not the default, so that a flood meets the limit for certain. */
const limits = { perSecond: 50, perSourcePerSecond: 10 };
const unlimited = { perSecond: 100_000, perSourcePerSecond: 100_000 };

function config(ports: number[], reject: Record<string, unknown>): Config {
  return {
    templates: { web: { inbound: [{ protocol: 'tcp', ports }], outbound: [] } },
    servers: [
      { name: 'web', addresses: [web], templates: ['web'] },
      { name: 'db', addresses: [db], templates: ['web'], reject: { inbound: false } },
    ],
    gateway: { reject },
  };
}

const both = { inbound: true, outbound: true };

/** A datagram to a host, and what its socket gets: a word of errno, or `nothing`. */
const datagram = `
const socket = require('node:dgram').createSocket('udp4');
const end = (word) => { console.log(word); process.exit(); };
socket.on('error', (error) => end(error.code));
socket.connect(Number(process.argv[2]), process.argv[1], () => socket.send('hello'));
setTimeout(() => end('nothing'), 20_000);
`;

describe.skipIf(obstacle !== undefined)('reject', () => {
  let firewall: FirewallLab;
  beforeAll(async () => {
    firewall = await FirewallLab.started(config([80, 2222], { ...both, ...unlimited }));
    await firewall.prepareInjection('client');
    // The audit log's place, for the firewall's user.
    await firewall.lab.mustExec('gateway', [
      ...['install', '-d', '-o', 'nobody', join(firewall.configDirectory, '.state')],
    ]);
    const { lab } = firewall;
    await lab.ip('gateway', 'route', 'add', sources, 'via', client);
    await lab.ip('client', 'route', 'add', 'blackhole', sources);
    await startScript(firewall, 'web', 'sessions', 'serve', 2222);
  });
  afterAll(async () => {
    await firewall.close();
  });

  /** Curl's exit code: 7 is refused, 28 is patience at an end. */
  async function curl(from: string, to: string, port: number): Promise<number> {
    const command = ['curl', '-s', '--max-time', '20', `http://${to}:${port}/`];
    return (await firewall.lab.exec(from, command)).code;
  }

  async function udpError(from: string, to: string): Promise<string> {
    const command = [process.execPath, '-e', datagram, to, '5353'];
    return (await firewall.lab.mustExec(from, command)).trim();
  }

  const sent = async (answer: string, outcome = 'sent'): Promise<number> =>
    (await firewall.metrics()).get(
      `tunwall_rejects_total{answer="${answer}",outcome="${outcome}"}`,
    )!;

  it('tells a client at once, whichever way it goes, with strict reverse-path filters everywhere', async () => {
    const { lab } = firewall;
    for (const host of ['client', 'web']) {
      await lab.mustExec(host, ['sysctl', '-qw', 'net.ipv4.conf.eth0.rp_filter=1']);
    }
    const dropsBefore = await firewall.dropsInAll();
    expect(await curl('client', web, 80)).toBe(0);
    expect(await curl('client', web, 443)).toBe(7);
    expect(await curl('web', client, 8080)).toBe(7);
    // "Communication administratively prohibited" is EHOSTUNREACH to a socket.
    expect(await udpError('client', web)).toBe('EHOSTUNREACH');
    expect(await udpError('web', client)).toBe('EHOSTUNREACH');
    const ping = await lab.exec('client', ['ping', '-c', '1', '-W', '20', web]);
    expect(ping.stdout).toMatch(/Packet filtered/i);
    expect(await firewall.dropsInAll()).toBeGreaterThanOrEqual(dropsBefore + 5);
  });

  it('is off where a server says so', async () => {
    const rejected = await sent('rst');
    const command = ['curl', '-s', '--max-time', '2', `http://${db}:443/`];
    expect((await firewall.lab.exec('client', command)).code).toBe(28);
    expect(await sent('rst')).toBe(rejected);
  });

  /** Connections of the client to the sessions' server that a host still has. */
  async function connections(host: string): Promise<number> {
    const command = ['ss', '-Htn', 'state', 'established', '( sport = :2222 or dport = :2222 )'];
    return (await firewall.lab.mustExec(host, command)).split('\n').length - 1;
  }

  it.each([
    ['a change', async () => firewall.apply(config([80], { ...both, ...unlimited }))],
    [
      'an operator',
      async () => {
        const command = [process.execPath, program, 'flows', 'kill', '--server', 'web'];
        await firewall.lab.mustExec('gateway', [...command, '--socket', firewall.socket]);
      },
    ],
  ])('resets both ends of idle connections that are cut by %s', async (_by, cut) => {
    await firewall.apply(config([80, 2222], { ...both, ...unlimited }));
    // One round, and the next one in an hour: nothing is sent meanwhile.
    const idle = runScript(firewall, 'client', 'sessions', 'keep', `${web}:2222`, 10, 3_600_000);
    await firewall.until('all connections are open', async () =>
      Promise.resolve(idle.printed().includes('round 1')),
    );
    expect(await connections('web')).toBe(10);
    await cut();
    await firewall.until('the server has none left', async () => (await connections('web')) === 0);
    await expect(idle.result()).rejects.toThrow('ECONNRESET');
  });

  it('resets both ends of a transfer that is cut', async () => {
    await firewall.apply(config([80, 5400], { ...both, ...unlimited }));
    const { lab } = firewall;
    const server = lab.spawn('web', ['iperf3', '-s', '-1', '-p', '5400'], 'pipe');
    await firewall.until('iperf3 listens', async () => {
      const { stdout } = await lab.exec('web', ['ss', '-Htln', 'sport = :5400']);
      return stdout !== '';
    });
    const arrivals = await firewall.countArrivals('web');
    const transfer = lab.spawn('client', ['iperf3', '-c', web, '-p', '5400', '-t', '600'], 'pipe');
    const ends = [server, transfer].map((child) => once(child, 'exit'));
    await firewall.until('the transfer runs', async () => (await arrivals()) > 1000);
    await firewall.apply(config([80], { ...both, ...unlimited }));
    await Promise.all(ends);
    const { stdout } = await lab.exec('web', ['ss', '-Htn', 'sport = :5400']);
    expect(stdout).toBe('');
  });

  it('answers a flood of forged SYNs as often as its bucket allows', async () => {
    await firewall.apply(config([80], { ...both, ...limits }));
    const resets = await firewall.countArrivals('client', web);
    const floodOf = { kind: 'syn', to: web, port: 443, count: 30_000, perSecond: 10_000, seed };
    const startedMs = performance.now();
    const dropped = await firewall.drops('no-inbound-rule');
    await runScript(firewall, 'client', 'flood', 'inj0', JSON.stringify(floodOf)).result();
    await firewall.until('some of the flood was dropped', async () => {
      return (await firewall.drops('no-inbound-rule')) > dropped + 1000;
    });
    const arrived = await resets();
    const seconds = (performance.now() - startedMs) / 1000;
    expect(arrived).toBeGreaterThanOrEqual(limits.perSecond);
    expect(arrived).toBeLessThanOrEqual(limits.perSecond * (1 + seconds));
    expect(await sent('rst', 'gateway-limit')).toBeGreaterThan(0);
  });

  it('answers one source as often as its own bucket allows', async () => {
    const resets = await firewall.countArrivals('client', web);
    const startedMs = performance.now();
    const syns = Array.from({ length: 200 }, (_, i) =>
      tcpPacket('198.51.100.3', web, { srcPort: 2000 + i, dstPort: 443, flags: 'S', seq: i }),
    );
    const before = await sent('rst', 'source-limit');
    // More than once: the flood before has left nothing of what the gateway sends in a second.
    await firewall.until('its limit was met', async () => {
      await firewall.inject('client', ...syns);
      const met = (await sent('rst', 'source-limit')) > before;
      return met && (await resets()) >= limits.perSourcePerSecond;
    });
    const arrived = await resets();
    const seconds = (performance.now() - startedMs) / 1000;
    expect(arrived).toBeLessThanOrEqual(limits.perSourcePerSecond * (1 + seconds));
  });

  it('answers as the reject of the kernel does', async () => {
    const { lab } = firewall;
    const from = '198.51.100.10';
    const probes = [
      tcpPacket(from, web, { srcPort: 3001, dstPort: 443, flags: 'S', seq: 1000 }),
      tcpPacket(from, web, {
        ...{ srcPort: 3002, dstPort: 443, flags: 'S', seq: 0xffffffff },
        payload: new Uint8Array(5),
      }),
      udpPacket(from, web, 3003, 53),
      udpPacket(from, web, 3004, 53, new Uint8Array(1400)),
      icmpQuery(from, web, 8, 3005),
    ];
    /** The answers to the probes, each from its IPv4 header on. With several queues they come in any order. */
    const answers = async (): Promise<Uint8Array[]> => {
      const filter = `dst host ${from} and (icmp or tcp)`;
      const command = ['tcpdump', '-lnxi', 'eth0', '-c', String(probes.length), filter];
      const tcpdump = lab.spawn('client', command, 'pipe');
      let text = '';
      let ready = '';
      tcpdump.stdout!.on('data', (data: Buffer) => (text += data.toString()));
      tcpdump.stderr!.on('data', (data: Buffer) => (ready += data.toString()));
      const ended = once(tcpdump, 'close');
      await firewall.until('tcpdump captures', async () =>
        Promise.resolve(ready.includes('listening on')),
      );
      await firewall.inject('client', ...probes);
      await ended;
      return text
        .split(/^(?=\d\d:)/m)
        .map((each) => each.matchAll(/0x[0-9a-f]{4}: {2}([0-9a-f ]+)/g))
        .map((lines) => [...lines].map(([, hex]) => hex!.replaceAll(' ', '')).join(''))
        .map((hex) => Uint8Array.from(Buffer.from(hex, 'hex')));
    };
    /**
     * Without what a hop changes, and a TCP checksum, which the kernel leaves to the card. Of ICMP also without what each sender
     * chooses: identification, don't fragment, source.
     */
    const comparable = (packet: Uint8Array): string => {
      const bytes = packet.slice(0, new DataView(packet.buffer).getUint16(2));
      bytes.fill(0, 8, 9).fill(0, 10, 12);
      if (bytes[9] === 6) bytes.fill(0, 36, 38);
      else bytes.fill(0, 4, 8).fill(0, 12, 16).fill(0, 22, 24).fill(0, 36, 37).fill(0, 38, 40);
      return Buffer.from(bytes).toString('hex');
    };
    await firewall.apply(config([80], { ...both, ...unlimited }));
    const ours = await answers();
    expect(ours.map((bytes) => bytes.subarray(12, 16).join('.'))).toEqual(probes.map(() => web));

    await firewall.stop();
    await firewall.gateway('down');
    await lab.mustExec('gateway', [
      'sysctl',
      '-qw',
      'net.ipv4.ip_forward=1',
      'net.ipv4.icmp_ratelimit=0',
    ]);
    const rules = `
      table inet judge {
        chain forwarded {
          type filter hook forward priority filter; policy accept;
          ip daddr ${web} meta l4proto tcp reject with tcp reset
          ip daddr ${web} reject with icmpx type admin-prohibited
        }
      }`;
    await lab.mustExec('gateway', ['nft', '-f', '-'], { input: rules });
    expect(ours.map(comparable).sort()).toEqual((await answers()).map(comparable).sort());
  });
});
