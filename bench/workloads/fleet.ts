/**
 * One policy in etcd for many gateways: 1,000 servers and 200 templates, three members on the loopback of this machine, which share its
 * cores with all that is measured. Changes are measured with two gateways, before there are 500 watchers: those take turns on one thread.
 *
 * One gateway is a firewall in a namespace, asked by its control socket. The others are stores in this process that watch and compile, without
 * packet threads; what those add is the swap (`reload.swap`).
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApiClient } from '../../src/cli/api-client.ts';
import { socketTransport } from '../../src/cli/transport.ts';
import { EtcdStore } from '../../src/control/store/etcd/etcd-store.ts';
import type { Actor, Snapshot, Watching } from '../../src/control/store/store.ts';
import { compilePolicy } from '../../src/policy/compile.ts';
import { EtcdCluster, etcdObstacle } from '../../test/support/etcd.ts';
import { EtcdRelay } from '../../test/support/etcd-relay.ts';
import type { Benchmark, Context, Series } from '../lib/benchmark.ts';
import { interleave } from '../lib/interleave.ts';
import type { Measured } from '../lib/interleave.ts';
import { cpuBetween, processCpu, residentBytes } from '../net/cpu.ts';
import type { CpuReading } from '../net/cpu.ts';
import { forwardingTrial } from '../net/measure.ts';
import { rulesOf } from '../net/policy.ts';
import { closeLab, openLab, tunwallCommand } from '../net/rig.ts';
import { startTunwall, tunwall } from '../net/tunwall.ts';
import { change, configFiles, counts, timed } from './control-plane.ts';

const actor: Actor = { name: 'bench', via: 'cli' };
const watchers = 500;
/** Watchers that begin together. */
const atOnce = 25;
const changes = 30;
const revocations = 10;
/** Measured with two gateways, and with all watchers. */
const changeKeys = ['rule', 'rule99', 'revoked', 'assign', 'cold'] as const;
const watcherKeys = ['watchers', 'memory', 'cpu', 'leader'] as const;
type ChangeKey = (typeof changeKeys)[number];
type WatcherKey = (typeof watcherKeys)[number];
type Key = ChangeKey | WatcherKey;

const figures: Record<Key, readonly [title: string, unit: string, note: string]> = {
  rule: [
    'fleet: a rule added at one gateway, until compiled at another, p50',
    'ms',
    `Of ${changes} changes a round, by the control socket of a firewall.`,
  ],
  rule99: ['fleet: the same, p99', 'ms', `The slowest of ${changes} changes a round.`],
  revoked: [
    'fleet: a token revoked at one gateway, until refused at another',
    'ms',
    `The slowest of ${revocations} a round.`,
  ],
  assign: [
    `fleet: assign a template to ${counts.servers.toLocaleString('en-US')} servers, until in force`,
    'ms',
    'One commit; until the answer of the firewall that made it.',
  ],
  leader: ['fleet: leader killed, until a change is accepted', 'ms', 'From the kill.'],
  watchers: [
    `fleet: one commit, until ${watchers} watchers have read it`,
    'ms',
    'Watchers without a data plane, all in one process; a small policy.',
  ],
  memory: ['fleet: memory of the largest member', 'MB', `With ${watchers} watchers.`],
  cpu: ['fleet: CPU of all members for that commit', 'ms', `With ${watchers} watchers.`],
  cold: ['fleet: cold start from the store, until compiled', 'ms', 'Nothing on the disk before.'],
};

/** A gateway without packet threads. */
class Watcher {
  readonly store: EtcdStore;
  #watching: Watching | undefined;
  #seen = '';
  #waiting: { readonly revision: string; readonly resolve: () => void } | undefined;

  constructor(store: EtcdStore) {
    this.store = store;
  }

  async watch(compiles: boolean): Promise<void> {
    await this.store.read();
    this.#watching = await this.store.watch({
      onChange: (snapshot) => {
        if (compiles) compilePolicy(snapshot, 1);
        this.#seen = snapshot.revision;
        if (this.#waiting?.revision === this.#seen) this.#waiting.resolve();
      },
      onWarning: () => undefined,
    });
  }

  /** Resolves when it has this policy, compiled. */
  has({ revision }: Pick<Snapshot, 'revision'>): Promise<void> {
    if (this.#seen === revision) return Promise.resolve();
    return new Promise((resolve) => (this.#waiting = { revision, resolve }));
  }

  async close(): Promise<void> {
    await this.#watching?.close();
  }
}

class Fleet {
  readonly directory: string = mkdtempSync(join(tmpdir(), 'twb-fleet-'));
  readonly cluster: EtcdCluster;
  #stores = 0;

  constructor(cluster: EtcdCluster) {
    this.cluster = cluster;
  }

  async store(prefix: string): Promise<EtcdStore> {
    const directory = join(this.directory, `gw-${this.#stores++}`);
    mkdirSync(directory);
    writeFileSync(join(directory, 'gateway.yaml'), '');
    const config = { endpoints: this.cluster.endpoints, prefix };
    return await EtcdStore.open(directory, config, { onWarning: () => undefined });
  }

  async close(): Promise<void> {
    await this.cluster.stop();
    rmSync(this.directory, { recursive: true });
  }
}

interface Gateways {
  readonly fleet: Fleet;
  readonly firewall: ApiClient;
  /** Of the firewall's policy. */
  readonly other: Watcher;
}

interface Watchers {
  readonly fleet: Fleet;
  readonly small: readonly Watcher[];
}

async function measureRules({ firewall, other }: Gateways, round: number): Promise<number[]> {
  const times: number[] = [];
  for (let count = 0; count < changes; count++) {
    const rule = { protocol: 'udp', ports: [1 + count], comment: `round ${round}` };
    const started = performance.now();
    await firewall.change('POST', `/templates/t-${count}/rules/inbound`, { body: rule });
    await other.has(await other.store.read());
    times.push(performance.now() - started);
  }
  return times.sort((a, b) => a - b);
}

async function measureRevocations({ firewall, other: { store } }: Gateways): Promise<number> {
  const times: number[] = [];
  const tokens = '/users/bench-tokens/tokens';
  await firewall.change('POST', '/users', { body: { name: 'bench-tokens', role: 'member' } });
  for (let count = 0; count < revocations; count++) {
    const name = `t-${count}`;
    const { token } = await firewall.change<{ token: string }>('POST', tokens, { body: { name } });
    while ((await store.users.verifyToken(token)) === undefined) await sleep(5);
    const started = performance.now();
    await firewall.change('DELETE', `${tokens}/${name}`);
    while ((await store.users.verifyToken(token)) !== undefined) await sleep(1);
    times.push(performance.now() - started);
  }
  await firewall.change('DELETE', '/users/bench-tokens');
  return Math.max(...times);
}

async function measureLeader(
  { fleet: { cluster }, small }: Watchers,
  round: number,
): Promise<number> {
  const leader = await cluster.leader();
  const started = performance.now();
  await cluster.kill(leader);
  for (let tries = 0; ; tries++) {
    try {
      const name = `leader-${round}-${tries}`;
      await small[0]!.store.change(actor, () => [{ kind: 'create-template', name, body: {} }]);
      break;
    } catch (error) {
      if (performance.now() - started > 60_000) throw error;
    }
  }
  const ms = performance.now() - started;
  cluster.restart(leader);
  await cluster.ready();
  // The next round is not measured while they come back.
  while (small.some(({ store }) => !store.link.connected)) await sleep(100);
  return ms;
}

/** Without what the kernel does for all. */
function ownCpu(pid: number): CpuReading {
  return new Map([...processCpu(pid)].filter(([task]) => task.startsWith(`/proc/${pid}/`)));
}

async function measureWatchers(
  { fleet: { cluster }, small }: Watchers,
  round: number,
): Promise<Measured<WatcherKey>> {
  const before = cluster.pids.map(ownCpu);
  const started = performance.now();
  const name = `all-${round}`;
  const { snapshot } = await small[0]!.store.change(actor, () => [
    { kind: 'create-template', name, body: {} },
  ]);
  await Promise.all(small.map((each) => each.has(snapshot)));
  const ms = performance.now() - started;
  const cpuMs = cluster.pids.reduce((sum, pid, index) => {
    return sum + cpuBetween(before[index]!, ownCpu(pid)).totalNs / 1e6;
  }, 0);
  const memory = Math.max(...cluster.pids.map(residentBytes));
  return { watchers: { value: ms }, memory: { value: memory / 1e6 }, cpu: { value: cpuMs } };
}

async function measureChanges(parts: Gateways, round: number): Promise<Measured<ChangeKey>> {
  const rules = await measureRules(parts, round);
  const servers = Array.from({ length: counts.servers }, (_, index) => `s-${index}`);
  const templates = [`t-${round + 100}`];
  const assign = await timed(() => change(parts.firewall, '/assignments', { servers, templates }));
  const cold = await timed(async () => {
    compilePolicy(await (await parts.fleet.store('/policy')).read(), 1);
  });
  const [rule, rule99] = [rules[Math.floor(rules.length / 2)]!, rules.at(-1)!];
  const revoked = { value: await measureRevocations(parts) };
  return { rule: { value: rule }, rule99: { value: rule99 }, revoked, assign, cold };
}

function record<K extends Key>(
  context: Context,
  keys: readonly K[],
  series: Record<K, Series[]>,
): void {
  for (const key of keys) {
    const [title, unit, note] = figures[key];
    context.record({
      ...{ id: `fleet.${key}`, title, unit, note, better: 'lower', series: series[key] },
    });
  }
}

const subjects = [{ name: 'tunwall' }];

/** A firewall, and a gateway without packet threads. */
async function changesOfTwo(context: Context, fleet: Fleet): Promise<void> {
  const lab = await openLab();
  const other = new Watcher(await fleet.store('/policy'));
  let relay: EtcdRelay | undefined;
  try {
    relay = await EtcdRelay.open(lab, 'gateway', fleet.cluster.endpoints);
    await other.store.administration.initialize(actor);
    await other.store.replaceFiles({ actor, files: configFiles() });
    await other.watch(true);
    context.say('fleet: a policy is there');
    const config = join(lab.directory, 'config');
    const socket = join(lab.directory, 'tunwall.sock');
    mkdirSync(config);
    const etcd = { endpoints: fleet.cluster.endpoints, prefix: '/policy' };
    const gateway = { api: { socket }, name: 'bench', store: { etcd } };
    writeFileSync(join(config, 'gateway.yaml'), JSON.stringify(gateway));
    await startTunwall(lab, config, { bothCores: true });
    const firewall = new ApiClient(socketTransport(socket, { 'tunwall-actor': 'bench' }));
    const parts: Gateways = { fleet, firewall, other };
    const series = await interleave(context, 'two gateways', subjects, changeKeys, (_, round) =>
      measureChanges(parts, round),
    );
    record(context, changeKeys, series);
  } finally {
    await other.close();
    relay?.close();
    await closeLab(lab);
  }
}

async function startWatchers(fleet: Fleet): Promise<Watcher[]> {
  const first = await fleet.store('/small');
  await first.administration.initialize(actor);
  const small = [new Watcher(first)];
  while (small.length < watchers) {
    const stores = await Promise.all(Array.from({ length: atOnce }, () => fleet.store('/small')));
    small.push(...stores.map((store) => new Watcher(store)));
  }
  for (let at = 0; at < small.length; at += atOnce) {
    await Promise.all(small.slice(at, at + atOnce).map((each) => each.watch(false)));
  }
  return small;
}

async function changesOfMany(context: Context, fleet: Fleet): Promise<void> {
  const small = await startWatchers(fleet);
  try {
    context.say(`fleet: ${small.length} watchers`);
    const parts: Watchers = { fleet, small };
    const series = await interleave(
      context,
      `${watchers} watchers`,
      subjects,
      watcherKeys,
      async (_, round) => {
        const measured = await measureWatchers(parts, round);
        return { ...measured, leader: { value: await measureLeader(parts, round) } };
      },
    );
    record(context, watcherKeys, series);
  } finally {
    await Promise.all(small.map((each) => each.close()));
  }
}

/** What a firewall forwards that is connected to etcd, and one whose policy is files. */
async function packetRates(context: Context, fleet: Fleet): Promise<void> {
  const etcd = { endpoints: fleet.cluster.endpoints, prefix: '/packets' };
  let relay: EtcdRelay | undefined;
  const connected = await tunwall.start({
    rules: rulesOf(),
    settings: `name: packets\nstore: { etcd: ${JSON.stringify(etcd)} }\n`,
    async beforeRun(lab, config) {
      relay = await EtcdRelay.open(lab, 'gateway', etcd.endpoints);
      for (const args of [['init'], ['push', config, '--yes']]) {
        const command = tunwallCommand('store', ...args, '--config', config);
        await lab.mustExec('gateway', command);
      }
    },
  });
  const both = [
    { ...connected, name: 'store in etcd' },
    { ...(await tunwall.start({ rules: rulesOf() })), name: 'files only' },
  ];
  try {
    for (const subject of both) await forwardingTrial(subject, { rate: 0, ms: 1000 });
    const series = await interleave(
      context,
      'store in etcd',
      both,
      ['packets'],
      async (subject) => {
        const { rate, perPacket } = await forwardingTrial(subject, { rate: 0, ms: 2000 });
        return { packets: { value: rate, ...perPacket } };
      },
    );
    context.record({
      ...{ id: 'fleet.packets', title: 'fleet: packets a second, store in etcd' },
      ...{ unit: 'packets/s', better: 'higher', series: series.packets },
    });
  } finally {
    relay?.close();
    for (const { lab } of both) await closeLab(lab);
  }
}

export const fleet: Benchmark = {
  name: 'fleet',
  describe: `gateways on one store in etcd: changes, a killed leader, ${watchers} watchers, cold start, packets`,
  async run(context) {
    if (etcdObstacle !== undefined) {
      context.skip('fleet', etcdObstacle);
      return;
    }
    const own = new Fleet(await EtcdCluster.start({ syncs: true }));
    try {
      await packetRates(context, own);
      await changesOfTwo(context, own);
      await changesOfMany(context, own);
    } finally {
      await own.close();
    }
  },
};
