/**
 * Errors that routers and hosts send back: without a rule of their own, and only if they belong to a live flow.
 *
 *     client ── nearer ══ near ── gateway ── far ══ farther ── web
 *
 * One of the double lines at a time is a cable of 1,200 bytes. No end can see it: both advertise what fits into their own
 * 1,500, and learn better only from the ICMP error (type 3 code 4) of the router in front of the cable.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { icmpMessage, ipv4Packet, tcpPacket, udpDatagram } from '../../../src/testing/packets.ts';
import { FirewallLab, client, obstacle, web } from '../support/firewall.ts';
import type { Config, Metrics } from '../support/firewall.ts';
import { tcp, whatPasses } from '../support/probes.ts';
import { startScript } from '../support/scripts.ts';

const smallMtu = 1200;
const bulkPort = 8081;
const closedPort = 9999;
const transferBytes = 50_000_000;

/** An address behind the client's routers that no host has: a router's, as far as the firewall can know. */
const router = '172.16.0.33';
const far = '172.16.1.2';

/** No rule speaks of ICMP but the one for ping, and what comes back from ping has none either. */
const config: Config = {
  templates: {
    bulk: {
      inbound: [
        { protocol: 'tcp', ports: [80, bulkPort] },
        { protocol: 'udp', ports: [closedPort, '33434-33534'] },
        { protocol: 'icmp' },
      ],
    },
  },
  servers: [{ name: 'web', addresses: [web], templates: ['bulk'] }],
};

/** Router in front of the small cable, what it sees, and the host that has to learn of it. */
interface Direction {
  name: string;
  router: string;
  /** The router behind the cable. */
  behind: string;
  sender: string;
  to: string;
  curl: string[];
  /** Direction of the error in the metrics. */
  error: 'inbound' | 'outbound';
}

const upload: Direction = {
  name: 'an upload, with the small cable in front of the server',
  router: 'far',
  behind: 'farther',
  sender: 'client',
  to: web,
  curl: ['-T', 'upload.bin'],
  error: 'outbound',
};
const download: Direction = {
  name: 'a download, with the small cable in front of the client',
  router: 'near',
  behind: 'nearer',
  sender: 'web',
  to: client,
  curl: ['-o', '/dev/null'],
  error: 'inbound',
};

describe.skipIf(obstacle !== undefined)('errors from the network', () => {
  let firewall: FirewallLab;
  beforeAll(async () => {
    const routers = { client: ['near', 'nearer'], web: ['far', 'farther'] };
    firewall = await FirewallLab.started(config, routers);
    const { lab } = firewall;
    for (const router of ['near', 'far']) await lab.mustExec(router, ['nft', '-f', '-'], rules);
    // So that an end of a transfer that has stalled gives up soon what it still has to send: curl when it is gone, the
    // server after three seconds.
    await lab.mustExec('client', ['sysctl', '-qw', 'net.ipv4.tcp_orphan_retries=1']);
    await lab.mustExec('web', ['sysctl', '-qw', 'net.ipv4.tcp_retries2=3']);
    await lab.mustExec('client', ['truncate', '-s', String(transferBytes), uploadFile()]);
    await startScript(firewall, 'web', 'bulkServer', bulkPort);
    await firewall.prepareInjection('client');
  });
  afterAll(async () => {
    await firewall.close();
  });

  const uploadFile = (): string => `${firewall.lab.directory}/upload.bin`;

  /** Counts the errors that a router sends; with `suppress` filled, it does not send them. */
  const rules = {
    input: `
      table ip errors {
        counter sent { }
        counter suppressed { }
        chain suppress { }
        chain outgoing {
          type filter hook output priority filter; policy accept;
          icmp type destination-unreachable icmp code frag-needed jump suppress
          icmp type destination-unreachable icmp code frag-needed counter name sent
        }
      }`,
  };

  async function counted(router: string, counter: 'sent' | 'suppressed'): Promise<number> {
    const list = ['nft', 'list', 'counter', 'ip', 'errors', counter];
    return Number(/packets (\d+)/.exec(await firewall.lab.mustExec(router, list))![1]);
  }

  async function curl(direction: Direction, patienceS: number): Promise<[string, number]> {
    const args = direction.curl.map((each) => (each === 'upload.bin' ? uploadFile() : each));
    const url = `http://${web}:${bulkPort}/${transferBytes}`;
    const format = '%{http_code} %{size_upload} %{size_download} %{errormsg}\n';
    const patience = ['--max-time', String(patienceS)];
    const command = ['curl', '-s', ...patience, ...args, '-w', `\n${format}`, url];
    const { code, stdout } = await firewall.lab.exec('client', command);
    const [status, up, down] = stdout.trim().split('\n').at(-1)!.split(' ');
    return [`${code} ${status!}`, Math.max(Number(up), Number(down))];
  }

  const passed = (metrics: Metrics, direction: string): number =>
    metrics.get(`tunwall_packets_total{direction="${direction}",protocol="icmp",verdict="pass"}`)!;

  /** The MTU that a host believes in for a destination, if it has learnt one. */
  async function learnt(host: string, to: string): Promise<number | undefined> {
    const route = await firewall.lab.ip(host, 'route', 'get', to);
    const mtu = /\bmtu (\d+)/.exec(route)?.[1];
    return mtu === undefined ? undefined : Number(mtu);
  }

  /**
   * What a stalled transfer has left is gone: its retransmissions would meet the small cable too, and an end that has learnt
   * of it, even of another one, begins the next transfer with what fits through.
   */
  async function forget(): Promise<void> {
    for (const host of ['client', 'web']) {
      const list = ['ss', '-Htn', 'state', 'connected', 'exclude', 'time-wait'];
      const port = ['(', 'sport', '=', `:${bulkPort}`, 'or', 'dport', '=', `:${bulkPort}`, ')'];
      await firewall.until(`${host} has no transfer under way`, async () => {
        // What has come in of an upload that has stalled has nothing to send.
        const sockets = await firewall.lab.mustExec(host, [...list, ...port]);
        return sockets.split('\n').every((line) => line === '' || / 0 +0 /.test(` ${line}`));
      });
      await firewall.lab.ip(host, 'route', 'flush', 'cache');
    }
  }

  describe.each([upload, download])('path MTU: $name', (direction) => {
    const { router, behind, sender, to } = direction;

    const setMtu = async (mtu: number): Promise<void> => {
      await firewall.lab.ip(router, 'link', 'set', behind, 'mtu', String(mtu));
      await firewall.lab.ip(behind, 'link', 'set', 'eth0', 'mtu', String(mtu));
    };
    beforeAll(async () => {
      await forget();
      await setMtu(smallMtu);
    });
    afterAll(() => setMtu(1500));

    it('stalls if the router is silent', async () => {
      await firewall.lab.mustExec(router, ['nft', 'add', 'rule', 'ip', 'errors', ...suppressRule]);
      const [outcome, bytes] = await curl(direction, 4);
      await forget();
      await firewall.lab.mustExec(router, ['nft', 'flush', 'chain', 'ip', 'errors', 'suppress']);
      expect(outcome).toMatch(/^28 /);
      expect(bytes).toBeLessThan(transferBytes);
      expect(await counted(router, 'suppressed')).toBeGreaterThan(0);
      expect(await counted(router, 'sent')).toBe(0);
      expect(await learnt(sender, to)).toBeUndefined();
    });

    it('completes because the error gets back to the sender, without any rule', async () => {
      const before = await firewall.metrics();
      const [outcome, bytes] = await curl(direction, 60);
      expect([outcome, bytes]).toEqual(['0 200', transferBytes]);
      const sent = await counted(router, 'sent');
      expect(sent).toBeGreaterThan(0);
      expect(await learnt(sender, to)).toBe(smallMtu);
      const after = await firewall.metrics();
      expect(passed(after, direction.error) - passed(before, direction.error)).toBe(sent);
      expect(await firewall.drops('icmp-error')).toBe(0);
    });
  });

  it('port unreachable tells a UDP client that the port is closed', async () => {
    const before = passed(await firewall.metrics(), 'outbound');
    const { stderr, code } = await firewall.lab.exec('client', connectedUdp(closedPort));
    expect(stderr).toContain('ECONNREFUSED');
    expect(code).not.toBe(0);
    expect(passed(await firewall.metrics(), 'outbound')).toBe(before + 1);
  });

  it('time exceeded answers a ping whose TTL ends at a router', async () => {
    // nearer, near, gateway, far: the way through the firewall is one hop.
    const ping = ['ping', '-c', '1', '-W', '2', '-t', '4', web];
    const { stdout } = await firewall.lab.exec('client', ping);
    expect(stdout).toContain(`From ${far} icmp_seq=1 Time to live exceeded`);
  });

  it('a redirect never passes, though it quotes a live flow', async () => {
    const arrivals = await firewall.countArrivals('web', `{ ${client}, ${router} }`);
    const redirect = icmpMessage(5, 1, 0xc0_00_02_01, await quoteOfLiveFlow(arrivals));
    const before = await arrivals();
    await firewall.inject('client', fromRouter(redirect));
    await firewall.until('it was dropped', async () => (await firewall.drops('icmp-redirect')) > 0);
    expect(await firewall.drops('icmp-redirect')).toBe(1);
    expect(await arrivals()).toBe(before);
  });

  it('an error that belongs to no flow, or to none of its receiver, does not pass', async () => {
    const dropped = await firewall.drops('icmp-error');
    const arrivals = await firewall.countArrivals('web', `{ ${client}, ${router} }`);
    const live = await quoteOfLiveFlow(arrivals);
    const before = await arrivals();
    const stranger = udpDatagram(web, client, 5353, 4444, new Uint8Array(8));
    const unrelated = ipv4Packet({ src: web, dst: client, protocol: 17, payload: stranger });
    const outside = tcpPacket(web, client, { srcPort: 80, dstPort: 1, flags: 'A' });
    const misdirected = live.slice();
    misdirected.set([10, 0, 0, 3], 12);
    for (const quote of [unrelated, outside, misdirected]) {
      await firewall.inject('client', fromRouter(icmpMessage(3, 4, smallMtu, quote)));
    }
    await firewall.until(
      'all three were dropped',
      async () => (await firewall.drops('icmp-error')) - dropped === 3,
    );
    expect(await arrivals()).toBe(before);
    // The same error for the live flow is what does pass.
    await firewall.inject('client', fromRouter(icmpMessage(3, 1, 0, live)));
    await firewall.until('it has arrived', async () => (await arrivals()) === before + 1);
    expect((await firewall.drops('icmp-error')) - dropped).toBe(3);
    expect(await whatPasses(firewall, [tcp('client', web, 80)])).toHaveLength(1);
  });

  /** A packet of the server to the client, of a UDP flow that is alive now: what opened it has arrived. */
  async function quoteOfLiveFlow(arrivals: () => Promise<number>): Promise<Uint8Array> {
    const before = await arrivals();
    const opener = udpDatagram(client, web, 4000, closedPort, new Uint8Array(8));
    await firewall.inject(
      'client',
      ipv4Packet({ src: client, dst: web, protocol: 17, payload: opener }),
    );
    await firewall.until('the flow is open', async () => (await arrivals()) > before);
    const answer = udpDatagram(web, client, closedPort, 4000, new Uint8Array(8));
    return ipv4Packet({ src: web, dst: client, protocol: 17, payload: answer });
  }
});

const suppressRule = ['suppress', 'counter', 'name', 'suppressed', 'drop'];

/** An ICMP message to the server as the client's router would send it. */
const fromRouter = (payload: Uint8Array): Uint8Array =>
  ipv4Packet({ src: router, dst: web, protocol: 1, payload });

/** Node, because nc does not say why it ends. */
function connectedUdp(port: number): string[] {
  const script = `
    const socket = require('node:dgram').createSocket('udp4');
    socket.on('error', (error) => { console.error(error.code); process.exit(1); });
    socket.connect(${port}, '${web}', () => socket.send('hello'));
    setTimeout(() => process.exit(0), 5000);`;
  return [process.execPath, '-e', script];
}
