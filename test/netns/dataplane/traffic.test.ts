/** Large transfers: super-packets, fragments, UDP with segmentation offload, and many connections at once. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { icmpMessage, ipv4, udpDatagram } from '../../support/packets.ts';
import { FirewallLab, client, obstacle, openConfig, queues, web } from '../support/firewall.ts';
import type { Config } from '../support/firewall.ts';

interface IperfReport {
  end: { sum_received?: { bytes: number }; sum?: { bytes: number; lost_percent: number } };
}

// How packets travel has nothing to do with how many queues there are: both ways are tried with one.
const ways: readonly (readonly [name: string, config: Config])[] = [
  ['by io_uring where the kernel has it', openConfig],
  ...(queues === 1
    ? ([['by system calls', { ...openConfig, gateway: { ioUring: 'off' } }]] as const)
    : []),
];

describe.skipIf(obstacle !== undefined).each(ways)('traffic %s', (_, config) => {
  let firewall: FirewallLab;
  beforeAll(async () => {
    firewall = await FirewallLab.started(config);
    await firewall.prepareInjection('client');
  });
  afterAll(async () => {
    await firewall.close();
  });

  async function iperf(
    from: string,
    to: string,
    address: string,
    ...args: string[]
  ): Promise<IperfReport> {
    firewall.lab.spawn(to, ['iperf3', '-s', '-1', '-p', '5400']);
    await sleep(400);
    const command = ['iperf3', '-c', address, '-p', '5400', '-t', '2', '-J', ...args];
    return JSON.parse(await firewall.lab.mustExec(from, command)) as IperfReport;
  }

  it('bulk TCP goes through in super-packets, whole', async () => {
    const before = await firewall.metrics();
    const report = await iperf('client', 'web', web);
    const after = await firewall.metrics();
    const grown = (kind: string): number => {
      const name = `tunwall_${kind}_total{direction="inbound",protocol="tcp",verdict="pass"}`;
      return after.get(name)! - before.get(name)!;
    };
    expect(report.end.sum_received!.bytes).toBeGreaterThan(50_000_000);
    // Far more bytes in a packet than a cable carries: they were not cut up on the way in.
    expect(grown('bytes') / grown('packets')).toBeGreaterThan(10_000);
  });

  it('so it does the other way, and in 16 streams', async () => {
    expect((await iperf('web', 'client', client)).end.sum_received!.bytes).toBeGreaterThan(
      50_000_000,
    );
    const many = await iperf('client', 'web', web, '-P', '16');
    expect(many.end.sum_received!.bytes).toBeGreaterThan(50_000_000);
    expect(await firewall.drops('out-of-window')).toBe(0);
    expect(await firewall.drops('invalid-state')).toBe(0);
  });

  it('UDP goes through', async () => {
    const { end } = await iperf('client', 'web', web, '-u', '-b', '50M', '-l', '1400');
    expect(end.sum!.bytes).toBeGreaterThan(5_000_000);
    expect(end.sum!.lost_percent).toBeLessThan(20);
  });

  it('with offloads switched off it works as well', async () => {
    await firewall.stop();
    await firewall.write({ ...config, gateway: { ...config.gateway, offload: 'off' } });
    await firewall.start();
    expect((await iperf('client', 'web', web)).end.sum_received!.bytes).toBeGreaterThan(5_000_000);
    await firewall.stop();
    await firewall.write(config);
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
      ipv4({
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
    await firewall.inject('client', fragment(0, 1480, 2), fragment(2960, 4008, 2));
    await sleep(300);
    expect(await arrivals()).toBe(arrived);
    const ping = ipv4({ src: client, dst: web, protocol: 1, payload: icmpMessage(8, 0, 1) });
    await firewall.inject('client', ping);
    expect(await lab.exec('client', ['ping', '-c', '1', '-W', '1', web])).toMatchObject({
      code: 0,
    });
  });
});
