/**
 * Several queues: what belongs to one flow is judged by two threads, and comes to the same.
 *
 * The kernel chooses the queue of a packet by a hash: of addresses and ports where it sees ports, of addresses alone for
 * fragments and for ICMP errors. So all fragments and errors between two hosts take one queue, and about half of the flows
 * between them the other one. Only these tests need two queues; all others in this directory run with one and with two.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { FirewallLab, client, obstacle, queues, web } from '../support/firewall.ts';
import type { Config, Metrics } from '../support/firewall.ts';
import { runScript, startScript } from '../support/scripts.ts';
import type { RunningScript } from '../support/scripts.ts';

const answerPort = 7000;
const closedPort = 7001;
const sessionPort = 2222;
const flowCount = 64;
const fragmentsOfAnswer = 4;

/** Nothing may go out but what belongs to a flow. */
const allowing = (...ports: number[]): Config => ({
  templates: {
    web: {
      inbound: [
        { protocol: 'udp', ports },
        { protocol: 'tcp', ports },
      ],
    },
  },
  servers: [{ name: 'web', addresses: [web], templates: ['web'] }],
  gateway: { timeouts: { udp: 5, udpStream: 5 } },
});

const everything = allowing(answerPort, closedPort, sessionPort);

const packetsOf = (metrics: Metrics, queue: number): number =>
  metrics.get(`tunwall_queue_packets_total{queue="${queue}"}`)!;

const flowsOf = (metrics: Metrics, protocol: string): number =>
  [...metrics]
    .filter(([name]) => name.startsWith(`tunwall_flows{protocol="${protocol}"`))
    .reduce((sum, [, flows]) => sum + flows, 0);

describe.skipIf(obstacle !== undefined)('two queues', () => {
  let firewall: FirewallLab;
  let before: Metrics;
  beforeAll(async () => {
    expect(queues).toBe(2);
    firewall = await FirewallLab.started(everything);
    await startScript(firewall, 'web', 'largeAnswers', 'serve', answerPort);
    await startScript(firewall, 'web', 'sessions', 'serve', sessionPort);
    // One error for every datagram.
    for (const setting of ['icmp_ratelimit=0', 'icmp_msgs_per_sec=10000', 'icmp_msgs_burst=1000']) {
      await firewall.lab.mustExec('web', ['sysctl', '-qw', `net.ipv4.${setting}`]);
    }
  });
  afterAll(async () => {
    await firewall.close();
  });
  beforeEach(async () => {
    await firewall.until('no UDP flow is left', async () => {
      before = await firewall.metrics();
      return flowsOf(before, 'udp') === 0;
    });
  });

  async function ask(port: number): Promise<unknown> {
    const to = `${web}:${port}`;
    const reported = await runScript(
      firewall,
      'client',
      'largeAnswers',
      'ask',
      to,
      flowCount,
    ).result();
    return JSON.parse(reported);
  }

  /** Packets since the test began: of the queue with fewer, and of the one with more. */
  function packetsByQueue(after: Metrics): [number, number] {
    const [a, b] = [0, 1].map((queue) => packetsOf(after, queue) - packetsOf(before, queue)) as [
      number,
      number,
    ];
    return a < b ? [a, b] : [b, a];
  }

  it('fragments pass on another queue than the flow that lets them pass', async () => {
    expect(await ask(answerPort)).toEqual({ answered: flowCount, refused: 0 });
    const after = await firewall.metrics();
    const [fewer, more] = packetsByQueue(after);
    // One queue has had all the fragments. What the other one has had are questions, whose answers were on the first.
    expect(more).toBeGreaterThanOrEqual(flowCount * fragmentsOfAnswer);
    expect(fewer).toBeGreaterThan(0);
    expect(fewer).toBeLessThan(flowCount * fragmentsOfAnswer);
    // Each flow is counted once, whoever has worked on it.
    expect(flowsOf(after, 'udp')).toBe(flowCount);
  });

  it('so do ICMP errors', async () => {
    expect(await ask(closedPort)).toEqual({ answered: 0, refused: flowCount });
    const after = await firewall.metrics();
    const [fewer, more] = packetsByQueue(after);
    expect(more).toBeGreaterThan(flowCount);
    expect(fewer).toBeGreaterThan(0);
    expect(await firewall.drops('icmp-error')).toBe(0);
    expect(flowsOf(after, 'udp')).toBe(flowCount);
  });

  it('a reload is in force on both, for flows and for new packets', async () => {
    const to = `${web}:${sessionPort}`;
    const sessions = runScript(firewall, 'client', 'sessions', 'keep', to, flowCount, 200);
    const rounds = (running: RunningScript): number => running.printed().length - 1;
    const established = (metrics: Metrics): number =>
      metrics.get('tunwall_flows{protocol="tcp",state="established"}')!;
    await firewall.until('all sessions run', async () => {
      if (sessions.child.exitCode !== null) await sessions.result();
      return rounds(sessions) > 1;
    });
    const running = await firewall.metrics();
    expect(established(running)).toBe(flowCount);
    const [fewer] = packetsByQueue(running);
    expect(fewer).toBeGreaterThan(0);

    await firewall.apply({ ...everything, templates: { ...everything.templates, unused: {} } });
    const atReload = rounds(sessions);
    await firewall.until('they go on', () => Promise.resolve(rounds(sessions) >= atReload + 2));
    const cutBefore = (await firewall.metrics()).get('tunwall_flows_cut_total')!;

    await firewall.apply(allowing(answerPort));
    await firewall.until('all were cut', async () => established(await firewall.metrics()) === 0);
    const cut = await firewall.metrics();
    expect(cut.get('tunwall_flows_cut_total')! - cutBefore).toBe(flowCount);
    const arrivals = await firewall.countArrivals('web', client);
    expect(await ask(closedPort)).toEqual({ answered: 0, refused: 0 });
    expect(await arrivals()).toBe(0);
    expect(await ask(answerPort)).toEqual({ answered: flowCount, refused: 0 });
  });

  it('what one thread admits by a new policy, the other one does not cut by the old one', async () => {
    const count = 8;
    const opened = Array.from({ length: count }, (_, step) => 7100 + step);
    // One server answers on all of these ports.
    const redirect = `
      table ip openings {
        chain incoming {
          type nat hook prerouting priority dstnat
          udp dport 7100-7199 redirect to :${answerPort}
        }
      }`;
    await firewall.lab.mustExec('web', ['nft', '-f', '-'], { input: redirect });
    // Not the drops by reason: what the sessions that were cut before still send is dropped as cut, too.
    const cuts = async (): Promise<number> =>
      (await firewall.metrics()).get('tunwall_flows_cut_total')!;
    const cutBefore = await cuts();
    for (const port of opened) {
      // They ask all the time, and are answered as soon as one of the threads has the policy that opens the port.
      const to = `${web}:${port}`;
      const asking = runScript(firewall, 'client', 'largeAnswers', 'ask', to, flowCount, 5);
      const refused = await firewall.drops('no-inbound-rule');
      await firewall.until('they ask', async () => {
        return (await firewall.drops('no-inbound-rule')) > refused + flowCount;
      });
      const ports = opened.filter((each) => each <= port);
      firewall.write(allowing(answerPort, closedPort, sessionPort, ...ports));
      expect(JSON.parse(await asking.result())).toEqual({ answered: flowCount, refused: 0 });
    }
    expect(await cuts()).toBe(cutBefore);
  });
});
