/**
 * The fast path in a network: that packets of established flows are carried, that every one of them is counted, and that nothing is
 * carried any more as soon as something says so.
 */
import type { ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FirewallLab, obstacle as noNamespaces, openConfig, web } from '../support/firewall.ts';
import { repository } from '../support/firewall.ts';
import type { Config } from '../support/firewall.ts';
import { runScript, startScript } from '../support/scripts.ts';

const obstacle =
  noNamespaces ??
  (existsSync(`${repository}/native/build/carry.bpf.o`)
    ? undefined
    : 'the kernel program was not built (clang, libbpf-dev)');
if (obstacle !== undefined) console.log(`the fast path is not tested: ${obstacle}`);

const port = 7000;
const sessions = 20;
const config: Config = { ...openConfig, gateway: { fastPath: 'auto' } };
const closed: Config['templates'] = {
  open: { inbound: [{ protocol: 'icmp' }], outbound: [] },
};

interface FastPath {
  readonly on: boolean;
  readonly why?: string;
  readonly interfaces: readonly string[];
}

describe.skipIf(obstacle !== undefined)('the fast path', { timeout: 300_000 }, () => {
  let firewall: FirewallLab;
  let qdiscsBefore: string;
  let arrivals: () => Promise<number>;
  let rounds: () => number;
  let client: ChildProcess;
  const gateway = (...command: string[]): Promise<string> =>
    firewall.lab.mustExec('gateway', command);
  const carried = async (): Promise<number> =>
    (await firewall.metrics()).get('tunwall_carried_packets_total')!;
  const state = async (): Promise<FastPath> => (await firewall.status())['fastPath'] as FastPath;

  beforeAll(async () => {
    firewall = await FirewallLab.create(config);
    // To end a flow is noted in the audit log.
    await gateway('chown', 'nobody', firewall.configDirectory);
    await firewall.gateway('up', '--fast-path', 'off');
    qdiscsBefore = await gateway('tc', 'qdisc', 'show');
    await firewall.gateway('up', '--fast-path', 'auto');
    // Before the first packet: a neighbour that has answered already would be believed for half a minute.
    for (const setting of ['base_reachable_time_ms=500', 'delay_first_probe_time=1']) {
      await gateway('sysctl', '-qw', `net.ipv4.neigh.web.${setting}`);
    }
    await firewall.start();
    arrivals = await firewall.countArrivals('web');
    await startScript(firewall, 'web', 'sessions', 'serve', String(port));
    await begin();
  });
  afterAll(async () => {
    await firewall.close();
  });

  /** Connections on which a line goes to and fro twenty times a second. */
  async function begin(): Promise<void> {
    const to = `${web}:${port}`;
    const running = runScript(firewall, 'client', 'sessions', 'keep', to, sessions, 50);
    client = running.child;
    rounds = () => Number(running.printed().at(-2)?.split(' ')[1] ?? 0);
    await untilCarried();
  }

  async function untilCarried(): Promise<void> {
    const before = await carried();
    await firewall.until('packets are carried', async () => (await carried()) > before + 100, 900);
  }

  async function untilAnswered(): Promise<void> {
    const before = rounds();
    const isDone = (): Promise<boolean> => Promise.resolve(rounds() > before + 1);
    await firewall.until('every session has answered', isDone, 900);
  }

  /** Whether nothing arrives, however often the client tries again, for a while. */
  async function expectNothingMore(): Promise<void> {
    const before = await arrivals();
    await sleep(1500);
    expect(await arrivals()).toBe(before);
  }

  /** Something keeps packets from being carried and from being judged: none arrive, until it is taken away again. */
  async function expectStopped(
    stop: () => Promise<unknown>,
    go: () => Promise<unknown>,
  ): Promise<void> {
    await untilCarried();
    await stop();
    await expectNothingMore();
    await go();
    await untilAnswered();
    await untilCarried();
  }

  const tunwall = (...args: string[]): Promise<string> =>
    gateway('node', `${repository}/dist/main.js`, ...args, '--socket', firewall.socket);

  it('is on, and marks its flows', async () => {
    const isOn = async (): Promise<boolean> => (await state()).on;
    await firewall.until('the firewall has looked', isOn);
    expect((await state()).interfaces).toEqual(['client', 'web', 'db']);
    await firewall.until('a flow is marked', async () =>
      /established, carried/.test(await tunwall('flows')),
    );
    expect(await tunwall('status')).toMatch(/fast path +on at client, web, db/);
  });

  it('counts every packet', async () => {
    const inbound = 'tunwall_packets_total{direction="inbound",protocol="tcp",verdict="pass"}';
    client.kill('SIGSTOP');
    await firewall.until('as many have passed as have arrived', async () => {
      const counted = (await firewall.metrics()).get(inbound);
      return counted === (await arrivals());
    });
    client.kill('SIGCONT');
    await untilAnswered();
  });

  it('shows a capture all packets', async () => {
    // Of flows that are carried it would see none.
    await tunwall('capture', '-w', '/dev/null', '--count', '200');
    await untilCarried();
  });

  it('carries no packet whose answers would leave by another interface, and none without a route', async () => {
    const route = (verb: string, ...rest: string[]): Promise<string> =>
      gateway('ip', 'route', verb, ...rest);
    const unreachable = ['unreachable', `${web}/32`];
    await expectStopped(
      () => route('add', ...unreachable),
      () => route('del', ...unreachable),
    );
    const elsewhere = ['198.51.100.2/32', 'dev', 'db'];
    await expectStopped(
      () => route('add', ...elsewhere),
      () => route('del', ...elsewhere),
    );
  });

  it('finds a neighbour that has another address now', async () => {
    await untilCarried();
    await firewall.lab.ip('web', 'link', 'set', 'eth0', 'address', '02:00:00:00:77:01');
    await untilAnswered();
    await untilCarried();
  });

  it('leaves packets that are too long to the kernel, which tells the sender', async () => {
    await firewall.serveIperf('web', 5201, '-1');
    const transfer = ['iperf3', '-c', web, '-p', '5201', '-t', '3600', '-b', '20M'];
    const iperf = firewall.lab.spawn('client', transfer);
    await untilCarried();
    await gateway('ip', 'link', 'set', 'web', 'mtu', '1000');
    await firewall.until('the client has learned the MTU', async () => {
      const found = await firewall.lab.mustExec('client', ['ip', 'route', 'get', web]);
      return found.includes('mtu 1000');
    });
    await untilCarried();
    expect(iperf.exitCode).toBeNull();
    iperf.kill();
    await gateway('ip', 'link', 'set', 'web', 'mtu', '1500');
  });

  it('is off as long as it would bypass rules of others', async () => {
    const rules = 'table ip own { chain out { type filter hook forward priority 0; counter; }; }';
    await firewall.lab.mustExec('gateway', ['nft', '-f', '-'], { input: rules });
    await firewall.gateway('up');
    expect(await gateway('tc', 'filter', 'show', 'dev', 'web', 'ingress')).toBe('');
    await untilAnswered();
    const why = /rules for forwarded packets in chain ip own out/;
    await firewall.until('the firewall says why', async () => why.test((await state()).why ?? ''));
    await gateway('nft', 'delete', 'table', 'ip', 'own');
    await gateway('ip', 'link', 'add', 'extra', 'type', 'veth', 'peer', 'name', 'extra-end');
    await firewall.gateway('up');
    for (const name of ['web', 'extra']) {
      expect(await gateway('tc', 'filter', 'show', 'dev', name, 'ingress')).toMatch(/carry-1/);
    }
    await gateway('ip', 'link', 'del', 'extra');
    await untilCarried();
  });

  it('ends with the firewall, and goes on with the next one', async () => {
    await untilCarried();
    await firewall.stop('SIGKILL');
    let last = -1;
    await firewall.until('the lease has ended', async () => {
      const before = last;
      last = await arrivals();
      await sleep(500);
      return before === last;
    });
    await expectNothingMore();
    await firewall.start();
    await untilAnswered();
    await untilCarried();
  });

  it('carries nothing of a flow that was ended, or that the policy in force forbids', async () => {
    await tunwall('flows', 'kill', '--server', 'web');
    await expectNothingMore();
    client.kill('SIGKILL');
    await begin();
    await firewall.apply({ ...config, templates: closed });
    await expectNothingMore();
  });

  it('is gone after `gateway down`', async () => {
    await firewall.stop();
    await firewall.gateway('down');
    expect(await gateway('tc', 'qdisc', 'show')).toBe(
      qdiscsBefore.replace(/^qdisc .* dev fw0 .*\n/m, ''),
    );
  });
});
