/**
 * The fast path in a network: that packets of established flows are carried, that every one of them is counted, and that nothing is
 * carried any more as soon as something says so.
 */
import { spawnSync } from 'node:child_process';
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
  }, 300_000);
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

  it('carries no packet of an interface that may not forward', async () => {
    const set = (value: number): Promise<string> =>
      gateway('sysctl', '-qw', `net.ipv4.conf.client.forwarding=${value}`);
    await expectStopped(
      () => set(0),
      () => set(1),
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

  /** Whether the kernel carries nothing although every connection goes on. */
  async function expectJudged(): Promise<void> {
    // By then every flow is home, with all that was carried of it.
    await untilAnswered();
    await untilAnswered();
    const before = await carried();
    await untilAnswered();
    expect(await carried()).toBe(before);
  }

  /** What the gateway says. */
  async function whyOff(): Promise<string> {
    const command = ['node', `${repository}/dist/main.js`, 'gateway', 'status'];
    const { stdout } = await firewall.lab.exec('gateway', command);
    return /^the fast path is off: .*$/m.exec(stdout)?.[0] ?? stdout;
  }

  const untilWhy = (why: RegExp): Promise<void> =>
    firewall.until(`the firewall says why: ${String(why)}`, async () => {
      return why.test((await state()).why ?? '');
    });

  const table = (family: string, chain: string): string[] => [
    ...['nft', `table ${family} own { chain c { ${chain} }; }`],
  ];
  const noTable = (family: string): string[] => ['nft', 'delete', 'table', family, 'own'];
  const policy = ['dir', 'fwd', 'src', '10.9.0.0/24', 'dst', '10.8.0.0/24'];
  /** What others may put in the way of forwarded packets: how, how it goes again, and how it is called. */
  const reasons: readonly [what: string, add: string[], remove: string[], why: RegExp][] = [
    [
      'NAT',
      table('ip', 'type nat hook postrouting priority 100; ip daddr 192.0.2.9 masquerade;'),
      noTable('ip'),
      /chain ip own c \(NAT\)/,
    ],
    [
      'a chain of interfaces',
      table('netdev', 'type filter hook ingress devices = { client, web } priority 0; counter;'),
      noTable('netdev'),
      /chain netdev own c/,
    ],
    [
      'a policy of IPsec',
      ['ip', 'xfrm', 'policy', 'add', ...policy],
      ['ip', 'xfrm', 'policy', 'delete', ...policy],
      /IPsec policies/,
    ],
  ];

  it.each(reasons)('carries nothing past %s, from the next packet on', async (...reason) => {
    const [, add, remove, why] = reason;
    await untilCarried();
    await gateway(...add);
    await expectJudged();
    await firewall.gateway('up');
    expect(await whyOff()).toMatch(why);
    expect(await gateway('tc', 'filter', 'show', 'dev', 'web', 'ingress')).toBe('');
    await gateway(...remove);
    await firewall.gateway('up');
    await untilCarried();
  });

  it('carries nothing past a chain that may get rules, says so by itself, and goes on when it is gone', async () => {
    await untilCarried();
    await gateway(...table('ip', 'type filter hook forward priority 0;'));
    await expectJudged();
    await untilWhy(/has changed since `gateway up` looked/);
    await gateway(...noTable('ip'));
    await untilCarried();
  });

  it('is off beside filters of tc', async ({ skip }) => {
    const filter = ['dev', 'web', 'ingress', 'pref', '7'];
    const what = ['protocol', 'ip', 'u32', 'match', 'ip', 'dst', '192.0.2.9/32', 'action', 'pass'];
    const add = ['tc', 'filter', 'add', ...filter, ...what];
    const { code, stderr } = await firewall.lab.exec('gateway', add);
    if (code !== 0) skip(`the kernel has no u32 for tc: ${stderr}`);
    await firewall.gateway('up');
    expect(await whyOff()).toMatch(/filters of tc at the ingress of web/);
    await gateway('tc', 'filter', 'del', ...filter);
    await firewall.gateway('up');
    await untilCarried();
  });

  it('attaches to an interface that has come since', async () => {
    await gateway('ip', 'link', 'add', 'extra', 'type', 'veth', 'peer', 'name', 'extra-end');
    await firewall.gateway('up');
    for (const name of ['web', 'extra']) {
      expect(await gateway('tc', 'filter', 'show', 'dev', name, 'ingress')).toMatch(/carry-2:/);
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

  it('carries nothing past iptables-legacy, but with `force`', async ({ skip }) => {
    const added = await firewall.lab.exec('gateway', ['iptables-legacy', '-A', 'FORWARD']);
    if (added.code !== 0) skip(`this kernel has no iptables-legacy: ${added.stderr}`);
    await firewall.gateway('up');
    expect(await whyOff()).toMatch(/iptables-legacy has table filter/);
    await firewall.gateway('up', '--fast-path', 'force');
    await firewall.until('the firewall has looked', async () => (await state()).on);
  });

  it('leaves nothing mounted where no other gateway has pins', () => {
    // A machine of its own, as far as mounts, processes and networks go.
    const own = ['--net', '--mount', '--pid', '--fork', '--mount-proc'];
    const script = `
      mount -t tmpfs tmpfs /run
      ip link add cable type veth peer name other
      before=$(mount -t bpf)
      node dist/main.js gateway up --fast-path auto >&2
      node dist/main.js gateway status | grep -x 'the fast path is on: .*'
      [ "$(mount -t bpf)" = "$before" ] || echo mounted
      node dist/main.js gateway down >&2
      [ "$(mount -t bpf)" != "$before" ] || echo as before`;
    const { stdout, stderr } = spawnSync('unshare', [...own, 'sh', '-c', script], {
      cwd: repository,
      encoding: 'utf8',
    });
    expect(stdout, stderr).toMatch(/^the fast path is on: .*cable.*\nmounted\nas before\n$/);
  });

  it('is gone after `gateway down`', async () => {
    await firewall.stop();
    await firewall.gateway('down');
    expect(await gateway('tc', 'qdisc', 'show')).toBe(
      qdiscsBefore.replace(/^qdisc .* dev fw0 .*\n/m, ''),
    );
  });
});
