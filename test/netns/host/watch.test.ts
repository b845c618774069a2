/**
 * `tunwall gateway watch`: what root changes behind the gateway's back is repaired. Allowed traffic comes back; forbidden
 * traffic, which runs all the while, never arrives. The firewall itself, as nobody, says how the gateway is.
 */
import { readFile, rm, writeFile } from 'node:fs/promises';
import { readdirSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  db,
  FirewallLab,
  obstacle,
  openConfig,
  program,
  web,
  type Config,
} from '../support/firewall.ts';
import { ping, tcp, udp, whatPasses } from '../support/probes.ts';
import { supervise, Watch } from '../support/watch.ts';

/** db is a server without templates: nothing to it is allowed. */
const config: Config = {
  ...openConfig,
  servers: [
    { name: 'web', addresses: [web], templates: ['open'] },
    { name: 'db', addresses: [db], templates: [] },
  ],
};
const allowed = [ping('client', web), tcp('client', web, 80), udp('client', web, 53)];

let firewall: FirewallLab;
let letEnd: () => void;
let arrivals: () => Promise<number>;

async function start(): Promise<void> {
  firewall = await FirewallLab.started(config);
  letEnd = supervise(firewall);
  arrivals = await firewall.countArrivals('db');
  const { lab } = firewall;
  lab.spawn('client', ['ping', '-i', '0.01', '-q', db]);
  lab.spawn('client', ['sh', '-c', `while :; do curl -s -m 1 http://${db}/; done`]);
  lab.spawn('client', ['sh', '-c', `while :; do echo x | nc -u -w 1 ${db} 53; done`]);
}

async function finish(): Promise<void> {
  letEnd();
  await firewall.close();
}

async function inGateway(script: string): Promise<void> {
  await firewall.lab.mustExec('gateway', ['bash', '-ec', script]);
}

async function expectAllRight(): Promise<void> {
  await firewall.until('the gateway is right again', async () => {
    const status = await firewall.lab.exec('gateway', [
      process.execPath,
      program,
      ...['gateway', 'status', '--json'],
    ]);
    return status.code === 0;
  });
  await firewall.until(
    'allowed traffic passes',
    async () => (await whatPasses(firewall, allowed)).length === allowed.length,
  );
  expect(await arrivals()).toBe(0);
}

async function sample(name: string): Promise<number | undefined> {
  return (await firewall.metrics()).get(`tunwall_gateway_${name}`);
}

function inode(): number {
  return statSync(`/run/netns/${firewall.lab.namespace('gateway')}`).ino;
}

/** Without the one that is being written. */
function statusFiles(): string[] {
  return readdirSync('/run/tunwall')
    .filter((name) => name.startsWith(`watch-${inode()}-`) && name.endsWith('.json'))
    .sort();
}

/** What is changed, how, and by what name the repair is known. */
const changes: readonly (readonly [what: string, script: string, repaired: string])[] = [
  ['all rules of ours', 'for p in 20 10 5 4 21; do ip rule del priority $p; done', 'rule 20'],
  ['the routes', 'ip route flush table 100', 'table 100'],
  ['all of nftables', 'nft flush ruleset', 'nft table inet tunwall-guard'],
  [
    'nftables, by a reload of nftables.service',
    `printf 'flush ruleset\\ntable inet filter { chain f { type filter hook forward priority 0; }\\n }\\n' | nft -f -`,
    'nft table inet tunwall-guard',
  ],
  [
    'a chain of the guard',
    'nft flush chain inet tunwall-guard forward',
    'nft table inet tunwall-guard',
  ],
  [
    'sysctls, as sysctl --system does',
    `printf '%s\\n' net.ipv4.conf.all.rp_filter=2 net.ipv4.conf.web.rp_filter=0 net.ipv4.ip_forward=0 \\
      net.ipv4.conf.all.send_redirects=1 net.ipv6.conf.all.forwarding=1 | sysctl -qp -`,
    'net.ipv4.ip_forward',
  ],
  [
    'a sysctl without events',
    'sysctl -qw net.ipv4.conf.client.send_redirects=1',
    'net.ipv4.conf.client.send_redirects',
  ],
  ['the MTU', 'ip link set fw0 mtu 1500', 'fw0 mtu'],
  ['the link of the device', 'ip link set fw0 down', 'fw0 link'],
  ['the device', 'ip link delete fw0', 'device fw0'],
  [
    'a cable that goes and comes',
    'ip link set web down; ip route flush table 100; ip link set web up',
    'table 100',
  ],
  [
    'a new interface without a filter',
    'ip link add late0 type veth peer name late1; sysctl -qw net.ipv4.conf.late0.rp_filter=0',
    'net.ipv4.conf.late0.rp_filter',
  ],
  [
    'rules, routes and the device',
    'for p in 20 10 5 4 21; do ip rule del priority $p; done; ip link delete fw0; ip route flush table 100',
    'device fw0',
  ],
  // Without the default route into the device, the unreachable one is left.
  ['the guard and the device', 'nft flush ruleset; ip link delete fw0', 'device fw0'],
];

describe.skipIf(obstacle !== undefined)('a change behind the gateway’s back is repaired', () => {
  let watch: Watch;
  beforeAll(async () => {
    await start();
    watch = await Watch.started(firewall);
  });
  afterAll(finish);

  it.each(changes)('%s', async (_, script, repaired) => {
    const before = (await watch.repairs()).length;
    await inGateway(script);
    await firewall.until('it is repaired', async () =>
      (await watch.repairs()).slice(before).includes(repaired),
    );
    await expectAllRight();
  });

  it('the record of what was there before', async () => {
    const file = `/run/tunwall/gateway-${inode()}.json`;
    const before = await readFile(file, 'utf8');
    await rm(file);
    await firewall.until(
      'it is there again',
      async () => (await readFile(file, 'utf8').catch(() => '')) === before,
    );
    await expectAllRight();
  });

  it('and the firewall tells of it', async () => {
    await firewall.until('health is ok', async () => (await watch.gateway())?.state === 'ok');
    expect((await watch.gateway())?.watch).toBe('running');
    expect(await sample('repairs_total')).toBeGreaterThanOrEqual(changes.length);
    expect(await sample('state{state="ok"}')).toBe(1);
    expect(statusFiles()).toEqual([`watch-${inode()}-fw0.json`]);
  });

  it('again and again: in bounds, and it is said', async () => {
    const { lab } = firewall;
    const before = (await watch.repairs()).length;
    // One watch is enough.
    const second = await Watch.refused(firewall);
    expect(second).toContain("another 'tunwall gateway watch' runs");
    const script = 'while :; do ip rule del priority 20 2>/dev/null; sleep 0.05; done';
    const fight = lab.spawn('gateway', ['bash', '-c', script]);
    await firewall.until('the firewall says so', async () =>
      ((await watch.gateway())?.problems ?? []).some(
        ({ what, found }) => what === 'rule 20' && found.includes('again and again'),
      ),
    );
    fight.kill();
    await expectAllRight();
    await firewall.until('health is ok', async () => (await watch.gateway())?.state === 'ok');
    expect((await watch.repairs()).length - before).toBeGreaterThan(5);
  });

  it('until the gateway is taken down: then it ends', async () => {
    const ended = watch.end();
    letEnd();
    await firewall.gateway('down', '--keep-closed');
    expect(await ended).toBe(0);
    expect((await watch.log()).at(-1)?.msg).toContain('the gateway was taken down');
    expect(statusFiles()).toEqual([]);
    expect(await arrivals()).toBe(0);
  });
});

describe.skipIf(obstacle !== undefined)('what the firewall says, as nobody', () => {
  beforeAll(start);
  afterAll(finish);

  const deleteRule = (): Promise<void> => inGateway('ip rule del priority 20');

  it('without a watch: what it sees itself, and that nobody watches', async () => {
    const watch = await Watch.started(firewall);
    expect(await watch.end('SIGTERM')).toBe(0);
    expect(statusFiles()).toEqual([]);
    await firewall.until('nobody watches', async () => (await watch.gateway())?.watch === 'absent');
    expect(await watch.gateway()).toMatchObject({ state: 'ok', problems: [] });
    // Not known is not zero.
    expect(await sample('bypass_packets_total')).toBeUndefined();
    expect(await sample('repairs_total')).toBeUndefined();

    await deleteRule();
    await firewall.until(
      'it is degraded',
      async () => (await watch.gateway())?.state === 'degraded',
    );
    expect((await watch.gateway())?.problems.map(({ what }) => what)).toEqual(['rule 20']);
    expect(await sample('state{state="degraded"}')).toBe(1);
    const told = (await firewall.log()).find(({ msg }) => msg === 'the gateway is degraded');
    expect(told).toMatchObject({ level: 40, problems: [{ what: 'rule 20', found: 'missing' }] });
    await firewall.gateway('up');
    await firewall.until('it is ok', async () => (await watch.gateway())?.state === 'ok');
  });

  it('with --report-only: what the watch sees, and what the guard drops; nothing is repaired', async () => {
    const watch = await Watch.started(firewall, '--report-only');
    await firewall.until(
      'it reports',
      async () => (await watch.gateway())?.watch === 'report-only',
    );
    await deleteRule();
    await firewall.until(
      'it is degraded',
      async () => (await watch.gateway())?.state === 'degraded',
    );
    await firewall.until(
      'what goes around the firewall is counted',
      async () => ((await sample('bypass_packets_total')) ?? 0) > 0,
    );
    expect(await arrivals()).toBe(0);
    expect(await firewall.lab.ip('gateway', 'rule')).not.toContain('lookup 100');
    await firewall.gateway('up');
    await inGateway('nft flush ruleset');
    await firewall.until('the guard is missed', async () =>
      ((await watch.gateway())?.problems ?? []).some(({ what }) => what.startsWith('nft table')),
    );
    expect(await watch.repairs()).toEqual([]);
    await firewall.gateway('up');
    expect(await watch.end('SIGINT')).toBe(0);
    expect(await arrivals()).toBe(0);
  });

  it('a status that is not root’s counts for nothing', async () => {
    const watch = await Watch.started(firewall);
    await watch.end('SIGTERM');
    const file = `/run/tunwall/watch-${inode()}-fw0.json`;
    await writeFile(file, '{}');
    await firewall.until('it is said', async () => (await watch.gateway())?.watch === 'stale');
    expect((await watch.gateway())?.problems[0]).toMatchObject({ what: 'gateway watch' });
    await rm(file);
    // Half a file of one that was killed.
    await writeFile(`${file}.abcdef.tmp`, '{');
    const killed = await Watch.started(firewall);
    expect(readdirSync('/run/tunwall')).not.toContain(`${basename(file)}.abcdef.tmp`);
    // One that hangs as well, by its silence, and comes back.
    killed.process.kill('SIGSTOP');
    await firewall.until('its silence is noticed', async () => {
      const { watch: state, problems } = (await watch.gateway()) ?? {};
      return state === 'stale' && problems?.[0]?.found.startsWith('silent since') === true;
    });
    killed.process.kill('SIGCONT');
    await firewall.until('it is heard', async () => (await watch.gateway())?.watch === 'running');
    // One that was killed says nothing more, and is missed before its last word is old.
    await killed.end('SIGKILL');
    await firewall.until('it is missed', async () => {
      const { watch: state, problems } = (await watch.gateway()) ?? {};
      return state === 'stale' && /^process \d+ is gone/.test(problems?.[0]?.found ?? '');
    });
    await rm(file);
    await firewall.until('it is ok', async () => (await watch.gateway())?.state === 'ok');
  });
});

describe.skipIf(obstacle !== undefined)('the command', () => {
  beforeAll(async () => {
    firewall = await FirewallLab.create(config);
  });
  afterAll(() => firewall.close());

  it('tells systemd that it is ready, and says what is wrong when there is nothing to watch', async () => {
    const { lab } = firewall;
    const socket = join(lab.directory, 'notify');
    const listen = `use Socket; $| = 1; socket(S, PF_UNIX, SOCK_DGRAM, 0); bind(S, sockaddr_un("${socket}"));
      while (defined recv(S, $m, 4096, 0)) { print "$m\\n" }`;
    const listener = lab.spawn('gateway', ['perl', '-e', listen], 'pipe');
    let said = '';
    listener.stdout!.on('data', (data: Buffer) => (said += data.toString()));
    await firewall.until('somebody listens', () =>
      Promise.resolve(readdirSync(lab.directory).includes('notify')),
    );
    const watch = [process.execPath, program, 'gateway', 'watch'];
    const child = lab.spawn('gateway', ['env', `NOTIFY_SOCKET=${socket}`, ...watch]);
    await firewall.until('systemd is told', () => Promise.resolve(said.includes('READY=1')));
    expect(said).toContain('STATUS=watches the gateway on fw0');
    child.kill();

    await firewall.gateway('down');
    const { code, stderr } = await lab.exec('gateway', watch);
    expect(code).toBe(1);
    expect(stderr).toBe(
      'tunwall: the gateway is not up in this network namespace: there is nothing to watch\n' +
        '  set it up first: tunwall gateway up\n',
    );
  });
});
