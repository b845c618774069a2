/**
 * Flows that outlive the process: what is lost of long-lived connections, streams and pings by whatever ends it or takes over from
 * it; how long packets wait; what taking over costs; and what it costs to keep flows in a file while nothing happens.
 */
import { once } from 'node:events';
import type { ChildProcess } from 'node:child_process';
import { rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Network } from '../../src/lab/network.ts';
import { layoutBuild } from '../../test/netns/support/layout-build.ts';
import { InstalledProgram } from '../../test/netns/support/programs.ts';
import type { Benchmark, Context } from '../lib/benchmark.ts';
import { interleave } from '../lib/interleave.ts';
import { measureFlowFile } from '../micro/index.ts';
import { serverAddress } from '../net/addresses.ts';
import { forwardingTrial } from '../net/measure.ts';
import { port, rulesOf } from '../net/policy.ts';
import { closeLab, tunwallCommand } from '../net/rig.ts';
import { startUdpBlast, tcpConnect, tcpServe, udpSink } from '../net/tools.ts';
import { startSupervised, tunwall } from '../net/tunwall.ts';
import type { Supervised } from '../net/tunwall.ts';
import { measureRestarts } from './restart.ts';

const repository = join(import.meta.dirname, '../..');
const sessionsFile = join(repository, 'test/netns/support/sessions.ts');

/** Rounds at most, so that all of it takes some minutes: of restarts, and of rates. */
const mostRestarts = 3;
const mostRounds = 5;

const patienceMs = 120_000;

const idle = { port: port.tcp, count: 1000 };
const busy = { port: port.tcp + 1, count: 50 };
const streams = 4;
const pings = 2;
const flowCount = idle.count + busy.count + streams + pings;

function sessions(lab: Network, host: string, ...args: (string | number)[]): ChildProcess {
  const command = [process.execPath, '--import', import.meta.resolve('tsx'), sessionsFile];
  return lab.spawn(host, [...command, ...args.map(String)], 'pipe');
}

/** What a program has printed. */
function listen(child: ChildProcess): () => string {
  let output = '';
  child.stdout!.on('data', (chunk: Buffer) => (output += chunk.toString()));
  return () => output;
}

/** Connections, streams and pings that run through a firewall for as long as all of this takes. */
class Traffic {
  readonly #lab: Network;
  readonly #all: ChildProcess[] = [];
  /** Of the connections: rounds that all of them have answered. Of a ping: answers. */
  readonly #counts: (() => number)[] = [];
  #idle: ChildProcess | undefined;

  constructor(lab: Network) {
    this.#lab = lab;
  }

  async start(): Promise<void> {
    const lab = this.#lab;
    for (const each of [idle, busy]) {
      const server = sessions(lab, 'server', 'serve', each.port);
      await once(server.stdout!, 'data');
      const period = each === busy ? 20 : 0;
      const to = `${serverAddress}:${each.port}`;
      const kept = sessions(lab, 'client', 'keep', to, each.count, period);
      const printed = listen(kept);
      this.#counts.push(() => printed().split('round ').length - 1);
      this.#all.push(kept);
      if (each === idle) this.#idle = kept;
    }
    await udpSink(lab);
    for (let stream = 0; stream < streams; stream++) {
      await startUdpBlast(lab, { rate: 200, ms: 600_000 });
    }
    for (let ping = 0; ping < pings; ping++) {
      const child = lab.spawn('client', ['ping', '-i', '0.2', serverAddress], 'pipe');
      const printed = listen(child);
      this.#counts.push(() => printed().split('ttl=').length - 1);
      this.#all.push(child);
    }
    await this.#until('all of it runs', () => this.#counts.every((count) => count() > 0));
  }

  /** Every connection answers once more, and so does every ping. */
  async goOn(): Promise<void> {
    const counts = this.#counts.map((count) => ({ count, before: count() }));
    this.#idle!.kill('SIGUSR2');
    const all = (): boolean => counts.every(({ count, before }) => count() > before);
    await this.#until('every connection has answered', all);
  }

  /** TCP tries ever more rarely while nothing is forwarded. */
  async #until(what: string, condition: () => boolean): Promise<void> {
    const deadlineMs = performance.now() + patienceMs;
    while (!condition()) {
      const ended = this.#all.find(({ exitCode, signalCode }) => exitCode ?? signalCode);
      if (ended !== undefined)
        throw new Error(`a connection was lost: ${ended.spawnargs.join(' ')}`);
      if (performance.now() > deadlineMs) throw new Error(`waited in vain until ${what}`);
      await sleep(20);
    }
  }

  /** Of every flow the part of its id that it keeps: made of its ends and of when it began. */
  async flows(): Promise<Set<string>> {
    const found = new Set<string>();
    const filters = [
      ['--port', String(idle.port)],
      ['--port', String(busy.port)],
      ['--protocol', 'udp'],
      ['--protocol', 'icmp'],
    ];
    for (const filter of filters) {
      const list = tunwallCommand('flows', '--json', '--limit', '1000', ...filter);
      const { flows } = JSON.parse(await this.#lab.mustExec('gateway', list)) as {
        flows: { id: string }[];
      };
      for (const { id } of flows) found.add(id.split('-')[1]!);
    }
    return found;
  }

  /** How many flows something has lost. */
  async lostBy(act: () => Promise<void>): Promise<number> {
    const before = await this.flows();
    if (before.size !== flowCount) throw new Error(`${before.size} flows instead of ${flowCount}`);
    await act();
    await this.goOn();
    const after = await this.flows();
    return [...before].filter((flow) => !after.has(flow)).length;
  }
}

async function measureLosses(context: Context): Promise<void> {
  const installed = new InstalledProgram();
  const other = layoutBuild();
  let subject: Supervised | undefined;
  try {
    const running = await startSupervised({
      rules: rulesOf(),
      bothCores: true,
      templates: { pings: 'inbound:\n  - { protocol: icmp }\n' },
      program: join(repository, installed.path),
    });
    subject = running;
    const traffic = new Traffic(running.lab);
    await traffic.start();
    const acts: readonly (readonly [id: string, what: string, act: () => Promise<void>])[] = [
      ['sigkill', 'SIGKILL of the child', () => running.killChild()],
      ['sigterm', 'SIGTERM of the parent', () => running.restart('SIGTERM')],
      ['upgrade', 'an upgrade', () => running.upgrade()],
      [
        'layout',
        'an upgrade to another record layout and one back',
        async () => {
          for (const program of [other, 'dist/main.js']) {
            installed.install(program);
            await running.upgrade();
            await traffic.goOn();
          }
        },
      ],
      [
        'ten',
        'ten restarts in a row',
        async () => {
          for (let restart = 0; restart < 10; restart++) await running.restart();
        },
      ],
    ];
    for (const [id, what, act] of acts) {
      const lost = await traffic.lostBy(act);
      context.say(`lost by ${what}: ${lost} of ${flowCount}`);
      context.record({
        id: `survive.lost-${id}`,
        title: `lost by ${what}`,
        unit: 'flows',
        better: 'lower',
        series: [{ subject: 'tunwall', samples: [{ value: lost }] }],
        note: `Of ${idle.count.toLocaleString('en-US')} idle and ${busy.count} busy TCP connections, ${streams} UDP streams, ${pings} pings.`,
      });
    }
  } finally {
    if (subject !== undefined) await closeLab(subject.lab);
    installed.remove();
    rmSync(join(repository, dirname(dirname(other))), { recursive: true });
  }
}

const on = 'survive: true';
const off = 'survive: false';

/** Packets and connections a second with flows in a file, and without. */
async function measureRates(context: Context): Promise<void> {
  const start = async (name: string) => {
    const subject = await tunwall.start({ rules: rulesOf(), settings: `flows: { ${name} }\n` });
    await tcpServe(subject.lab);
    await tcpConnect(subject.lab, { concurrency: 16, ms: 1000 });
    await forwardingTrial(subject, { rate: 0, ms: 1000 });
    return { ...subject, name };
  };
  const subjects = [await start(on), await start(off)];
  try {
    const keys = ['packets', 'connections'] as const;
    const series = await interleave(context, 'flows in a file', subjects, keys, async (subject) => {
      const { rate, perPacket } = await forwardingTrial(subject, { rate: 0, ms: 1000 });
      const { opened, seconds } = await tcpConnect(subject.lab, { concurrency: 64, ms: 1000 });
      return { packets: { value: rate, ...perPacket }, connections: { value: opened / seconds } };
    });
    for (const key of keys) {
      context.record({
        id: `survive.${key}`,
        title: `${key} a second, table in a file`,
        unit: `${key}/s`,
        better: 'higher',
        series: series[key],
      });
    }
  } finally {
    for (const { lab } of subjects) await closeLab(lab);
  }
}

export const survive: Benchmark = {
  name: 'survive',
  describe:
    'flows across the end of the process: losses, gaps, adoption, and what keeping them costs',
  async run(context) {
    const atMost = (pairs: number): Context => ({
      ...context,
      pairs: Math.min(context.pairs, pairs),
    });
    await measureLosses(context);
    await measureRestarts(atMost(mostRestarts));
    await measureRates(atMost(mostRounds));
    await measureFlowFile(context);
  },
};
