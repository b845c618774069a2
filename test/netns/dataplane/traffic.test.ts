/** Large transfers: super-packets, fragments, UDP with segmentation offload, and many connections at once. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { icmpMessage, ipv4Packet, udpDatagram } from '../../../src/testing/packets.ts';
import { FirewallLab, client, obstacle, openConfig, queues, web } from '../support/firewall.ts';
import type { Config } from '../support/firewall.ts';

interface IperfReport {
  end: { sum_received?: { bytes: number }; sum?: { packets: number } };
}

// How packets travel has nothing to do with how many queues there are: both ways are tried with one.
const ways: readonly (readonly [name: string, config: Config])[] = [
  ['by io_uring where the kernel has it', openConfig],
  ...(queues === 1
    ? ([['by system calls', { ...openConfig, gateway: { ioUring: 'off' } }]] as const)
    : []),
];

/** Bytes of a transfer. iperf3 ends when all are sent, and does not count what the receiver's socket still holds. */
const bulk = 100_000_000;

describe.skipIf(obstacle !== undefined).each(ways)('traffic %s', (_, config) => {
  let firewall: FirewallLab;
  beforeAll(async () => {
    firewall = await FirewallLab.started(config);
    await firewall.prepareInjection('client');
  });
  afterAll(async () => {
    await firewall.close();
  });

  /** Sends so many bytes, however long that takes. */
  async function iperf(
    from: string,
    to: string,
    address: string,
    bytes: number,
    ...args: string[]
  ): Promise<IperfReport> {
    await firewall.serveIperf(to, 5400, '-1');
    const amount = ['-n', String(bytes)];
    const command = ['iperf3', '-c', address, '-p', '5400', '-J', ...amount, ...args];
    return JSON.parse(await firewall.lab.mustExec(from, command)) as IperfReport;
  }

  it('bulk TCP goes through in super-packets, whole', async () => {
    const before = await firewall.metrics();
    const report = await iperf('client', 'web', web, bulk);
    const after = await firewall.metrics();
    const grown = (kind: string): number => {
      const name = `tunwall_${kind}_total{direction="inbound",protocol="tcp",verdict="pass"}`;
      return after.get(name)! - before.get(name)!;
    };
    expect(report.end.sum_received!.bytes).toBeGreaterThan(bulk / 2);
    // Far more bytes in a packet than a cable carries: they were not cut up on the way in.
    expect(grown('bytes') / grown('packets')).toBeGreaterThan(10_000);
  });

  it('so it does the other way, and in 16 streams', async () => {
    const back = await iperf('web', 'client', client, bulk);
    expect(back.end.sum_received!.bytes).toBeGreaterThan(bulk / 2);
    const many = await iperf('client', 'web', web, bulk, '-P', '16');
    expect(many.end.sum_received!.bytes).toBeGreaterThan(bulk / 2);
    expect(await firewall.drops('out-of-window')).toBe(0);
    expect(await firewall.drops('invalid-state')).toBe(0);
  });

  it('UDP goes through', async () => {
    const before = await firewall.metrics();
    const dropped = await firewall.dropsInAll();
    const datagram = ['-u', '-b', '50M', '-l', '1400'];
    const { end } = await iperf('client', 'web', web, 5_000_000, ...datagram);
    expect(end.sum!.packets).toBeGreaterThan(3500);
    // What a queue on the way could not take is lost; what the firewall has seen has passed.
    expect(await firewall.dropsInAll()).toBe(dropped);
    const passed = 'tunwall_packets_total{direction="inbound",protocol="udp",verdict="pass"}';
    expect((await firewall.metrics()).get(passed)!).toBeGreaterThan(before.get(passed)!);
  });

  it('with offloads switched off it works as well', async () => {
    await firewall.stop();
    firewall.write({ ...config, gateway: { ...config.gateway, offload: 'off' } });
    await firewall.start();
    const { end } = await iperf('client', 'web', web, bulk / 4);
    expect(end.sum_received!.bytes).toBeGreaterThan(bulk / 8);
    await firewall.stop();
    firewall.write(config);
    await firewall.start();
  });

  it.each([
    ['client', web],
    ['web', client],
  ])('fragments from %s: ping of 4,000 bytes, UDP of 5,000', async (from, to) => {
    const { lab } = firewall;
    const answer = await lab.exec(from, ['ping', '-c', '2', '-W', '1', '-s', '4000', to]);
    expect(answer.stdout).toContain('2 received');
    const input = 'x'.repeat(4999) + '\n';
    const echoed = await lab.exec(from, ['nc', '-u', '-w', '1', to, '53'], { input });
    expect(echoed.stdout).toBe(input);
  });

  it('fragments in reverse order pass too, and a part of a datagram does not', async () => {
    const { lab } = firewall;
    const payload = udpDatagram(client, web, 7777, 9, new Uint8Array(4000).fill(65));
    const fragment = (from: number, to: number, identification: number): Uint8Array =>
      ipv4Packet({
        src: client,
        dst: web,
        protocol: 17,
        identification,
        payload: payload.slice(from, to),
        fragmentOffset: from,
        moreFragments: to < payload.length,
      });
    const arrivals = await firewall.countArrivals('web');
    const all = [fragment(0, 1480, 1), fragment(1480, 2960, 1), fragment(2960, 4008, 1)];
    await firewall.inject('client', ...all.reverse());
    // The server's kernel puts them together before it counts, or it would count none.
    await firewall.until('they have arrived', async () => (await arrivals()) > 0);
    const arrived = await arrivals();
    const passed = 'tunwall_packets_total{direction="inbound",protocol="udp",verdict="pass"}';
    const before = (await firewall.metrics()).get(passed);
    await firewall.inject('client', fragment(0, 1480, 2), fragment(2960, 4008, 2));
    const waiting = 'tunwall_fragment_datagrams';
    await firewall.until(
      'they wait for the rest',
      async () => (await firewall.metrics()).get(waiting) === 1,
    );
    expect((await firewall.metrics()).get(passed)).toBe(before);
    expect(await arrivals()).toBe(arrived);
    const ping = ipv4Packet({ src: client, dst: web, protocol: 1, payload: icmpMessage(8, 0, 1) });
    await firewall.inject('client', ping);
    expect(await lab.exec('client', ['ping', '-c', '1', '-W', '1', web])).toMatchObject({
      code: 0,
    });
  });
});
