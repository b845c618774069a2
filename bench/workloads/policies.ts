/**
 * What a change costs in a very large configuration: 10,000 servers with three of 1,000 templates each, 50 rules a template, 200 of the
 * rules about servers by label. From the request until the packet threads judge by it, and how long packets wait meanwhile; and what
 * the firewall needs to start with it. Beside that, sizes of compiled programs, and the time of a match in them.
 */
import { existsSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApiClient } from '../../src/cli/api-client.ts';
import type { AppliedView } from '../../src/cli/api-types.ts';
import { socketTransport } from '../../src/cli/transport.ts';
import type { Network } from '../../src/lab/network.ts';
import { ConfigReader } from '../../src/control/store/files/config-directory.ts';
import { compilePolicy } from '../../src/policy/compile.ts';
import { rangesOf } from '../../src/policy/ranges.ts';
import type { AddressSet, Template } from '../../src/policy/types.ts';
import type { Benchmark, Context, Sample } from '../lib/benchmark.ts';
import { interleave } from '../lib/interleave.ts';
import type { MatchOptions } from '../micro/process/match.ts';
import { runMeasurement } from '../micro/run-process.ts';
import { serverAddress } from '../net/addresses.ts';
import { median } from '../lib/statistics.ts';
import { cpuBetween, processCpu, residentBytes } from '../net/cpu.ts';
import { writeLargeConfig } from '../net/large-policy.ts';
import type { RolePeers } from '../net/large-policy.ts';
import { closeLab, openLab, spawnSubject, tunwallCommand, until } from '../net/rig.ts';
import { rulesOf } from '../net/policy.ts';
import { startUdpBlast, udpSink } from '../net/tools.ts';
import { childOf, tunwall } from '../net/tunwall.ts';

const keys = [
  ...(['start', 'memory', 'rule', 'label', 'edited', 'blocked', 'gap', 'quietGap'] as const),
];
type Key = (typeof keys)[number];

/** Of each kind, in a round. */
const edits = 20;

const titles: Record<Key, readonly [title: string, unit: string]> = {
  start: ['10,000 servers: start until the first packet', 'ms'],
  memory: ['10,000 servers: resident memory of both processes at the first packet', 'MB'],
  rule: ['10,000 servers: add a rule, until it is in force', 'ms'],
  label: ['10,000 servers: change the label of a server, until it is in force', 'ms'],
  edited: [`10,000 servers: resident memory after ${edits * 2} changes more`, 'MB'],
  blocked: ['10,000 servers: packets lost while a rule is added, as time', 'ms'],
  gap: ['10,000 servers: longest gap of a stream while a rule is added', 'ms'],
  quietGap: ['the same without a change', 'ms'],
};

/** Packets a second: 0.1 ms of blocked time is one packet. */
const rate = 10_000;
const streamMs = 120_000;

/** A change whose answer says that packets are judged by it. */
async function change(
  client: ApiClient,
  method: 'POST' | 'PATCH',
  path: string,
  body: unknown,
): Promise<void> {
  const { applied } = await client.change<{ applied: AppliedView }>(method, path, { body });
  if (!applied.applied) throw new Error(`${path}: not in force: ${applied.pending}`);
}

/** Time that passes, in ms, and CPU time of the firewall. */
async function timed(pid: number, work: () => Promise<unknown>): Promise<Sample> {
  const before = processCpu(pid);
  const startedMs = performance.now();
  await work();
  const value = performance.now() - startedMs;
  return { value, cpuUs: cpuBetween(before, processCpu(pid)).totalNs / 1000 };
}

/** Ends when the first packet has come back: what comes before the firewall forwards is dropped. */
async function firstPacket(lab: Network): Promise<void> {
  const ping = ['ping', '-q', '-i', '0.02', '-c', '1', '-w', '120', serverAddress];
  await lab.mustExec('client', ping);
}

/** What a stream of packets loses while something is done, and the longest gap in it. */
async function streamed(
  lab: Network,
  work: () => Promise<unknown>,
): Promise<{ blocked: Sample; gap: Sample }> {
  const sink = await udpSink(lab, { gaps: true });
  const sender = await startUdpBlast(lab, { rate, ms: streamMs });
  await sleep(300);
  await work();
  await sleep(300);
  const { sent } = await sender.stop();
  await sleep(200);
  const { received, overflow, longestGapMs } = await sink.stop();
  const blocked = { value: ((sent - received - overflow) / rate) * 1000 };
  return { blocked, gap: { value: longestGapMs } };
}

/** What the middle one of some changes took. */
async function medianOf(count: number, each: (index: number) => Promise<Sample>): Promise<Sample> {
  const samples: Sample[] = [];
  for (let index = 0; index < count; index++) samples.push(await each(index));
  return {
    value: median(samples.map(({ value }) => value)),
    cpuUs: median(samples.map(({ cpuUs }) => cpuUs!)),
  };
}

/** A firewall from its start on; it has ended when this resolves. */
async function measure(lab: Network, config: string, round: number): Promise<Record<Key, Sample>> {
  const log = join(lab.directory, 'tunwall.log');
  const startedMs = performance.now();
  const command = tunwallCommand('run', '--config', config);
  const parent = spawnSubject(lab, { bothCores: true }, command, openSync(log, 'a'));
  const idle = processCpu(parent);
  try {
    await firstPacket(lab);
    const pid = childOf(parent);
    const cpuUs = cpuBetween(idle, processCpu(pid)).totalNs / 1000;
    const start = { value: performance.now() - startedMs, cpuUs };
    const resident = (): Sample => ({
      value: (residentBytes(parent) + residentBytes(pid)) / 1e6,
    });
    const memory = resident();
    const socket = join(lab.directory, 'tunwall.sock');
    const client = new ApiClient(socketTransport(socket, { 'tunwall-actor': 'bench' }));
    await until('the API answers', () => client.get('/status').then(Boolean, () => false), log);
    const label = (index: number): Promise<Sample> => {
      const body = { labels: { role: `r-${(index + round) % 20}` } };
      return timed(pid, () => change(client, 'PATCH', `/servers/s-${index + 7}`, body));
    };
    const rule = (template: number): Promise<Sample> => {
      const body = { protocol: 'udp', ports: [53] };
      return timed(pid, () =>
        change(client, 'POST', `/templates/t-${template}/rules/inbound`, body),
      );
    };
    // The first ones come before the code for them is compiled, and write the history of all templates.
    for (let warm = 0; warm < 4; warm++) {
      await label(warm);
      await rule(round * 50 + 1 + warm);
    }
    const measured = {
      rule: await medianOf(edits, (index) => rule(round * 50 + 10 + index)),
      label: await medianOf(edits, (index) => label(100 + index)),
    };
    const edited = resident();
    const quiet = await streamed(lab, () => sleep(500));
    const { blocked, gap } = await streamed(lab, () => rule(round * 50 + 40));
    return { start, memory, ...measured, edited, blocked, gap, quietGap: quiet.gap };
  } finally {
    process.kill(parent, 'SIGTERM');
    const ended = (): Promise<boolean> => Promise.resolve(!existsSync(`/proc/${parent}`));
    await until('the firewall has ended', ended, log);
  }
}

/** 100,000 rules are replaced by others, in the files of their templates. */
async function recordSaving(context: Context): Promise<void> {
  const rules = 100_000;
  const subject = await tunwall.start({ rules: rulesOf(rules), bothCores: true });
  try {
    const { saved } = await interleave(context, 'saved', [subject], ['saved'], async (_, round) => {
      const startedMs = performance.now();
      await subject.replaceRules!(rulesOf(rules, round + 1));
      return { saved: { value: performance.now() - startedMs } };
    });
    const title = '100,000 rules, from saving until they are in force';
    context.record({ id: 'policies.saved', title, unit: 'ms', better: 'lower', series: saved });
  } finally {
    await closeLab(subject.lab);
  }
}

/** Sizes of compiled programs: exact, so measured once. */
function recordSizes(context: Context, directory: string): void {
  const wordsOf = (peers: RolePeers): number => {
    const config = join(directory, peers);
    writeLargeConfig(config, '', peers);
    return compilePolicy(new ConfigReader(config).read().snapshot, 1).stats.words;
  };
  const once = (words: number): Sample[] => [{ value: (words * 4) / 1e6 }];
  context.record({
    id: 'policies.size',
    title: '10,000 servers: size of the program, 200 rules with labels',
    unit: 'MB',
    better: 'lower',
    series: [
      { subject: 'tunwall', samples: once(wordsOf('labels')) },
      { subject: 'addresses written out', samples: once(wordsOf('written')) },
    ],
  });
  // Every third address: no two of them touch.
  const list = rangesOf(
    Array.from({ length: 1_000_000 }, (_, i) => ({ from: i * 3000, to: i * 3000 })),
  );
  const set: AddressSet = { name: 'list', addresses: [], except: [], include: [], list };
  const peer = { kind: 'set', name: 'list', text: 'set:list' } as const;
  const templates = Array.from({ length: 100 }, (_, t): Template => ({
    name: `t-${t}`,
    inbound: [{ protocol: 'tcp', ports: [{ from: 1 + t, to: 1 + t }], peers: [peer] }],
    outbound: [],
  }));
  const servers = templates.map(({ name }, s) => ({
    name: `s-${s}`,
    addresses: [0x0a000000 + s],
    templates: [name],
  }));
  const { stats } = compilePolicy({ templates, servers, sets: [set] }, 1);
  context.record({
    id: 'policies.set',
    title: 'a set of 1,000,000 addresses in 100 templates: size of the program',
    unit: 'MB',
    better: 'lower',
    series: [{ subject: 'tunwall', samples: once(stats.words) }],
  });
}

/** Time of a match in large sets, and with rules about servers by label. */
async function recordMatches(context: Context): Promise<void> {
  const pairs: readonly (readonly [string, string, readonly [string, MatchOptions][]])[] = [
    [
      'policies.match-set',
      'match of a new flow with a set of a million addresses',
      [
        ['tunwall', { kind: 'set', of: 'addresses', count: 1_000_000 }],
        ['a set of a thousand', { kind: 'set', of: 'addresses', count: 1000 }],
      ],
    ],
    [
      'policies.match-blocks',
      'match of a new flow with a set of a million blocks',
      [
        ['tunwall', { kind: 'set', of: 'blocks', count: 1_000_000 }],
        ['a set of a thousand', { kind: 'set', of: 'blocks', count: 1000 }],
      ],
    ],
    [
      'policies.match-labels',
      'match of a new flow with rules about servers by label',
      [
        ['tunwall', { kind: 'labels' }],
        ['addresses written out', { kind: 'written' }],
      ],
    ],
  ];
  const duration = { warmUpMs: 300, measureMs: 500 };
  for (const [id, title, cases] of pairs) {
    const subjects = cases.map(([name, options]) => ({ name, options }));
    const { time } = await interleave(context, title, subjects, ['time'], async ({ options }) => {
      const measurement = { case: 'match', naive: false, duration, ...options } as const;
      const measured = await runMeasurement(measurement);
      return { time: { value: measured['time']! } };
    });
    context.record({ id, title, unit: 'ns', better: 'lower', series: time });
  }
}

export const policies: Benchmark = {
  name: 'policies',
  describe: 'start, memory and edits of 10,000 servers with 1,000 templates; sizes of programs',
  async run(context) {
    const lab = await openLab();
    try {
      recordSizes(context, lab.directory);
      await recordMatches(context);
      const config = join(lab.directory, 'config');
      const socket = join(lab.directory, 'tunwall.sock');
      mkdirSync(config);
      writeLargeConfig(config, `api: { socket: ${socket} }\n`, 'labels');
      await lab.mustExec('gateway', tunwallCommand('gateway', 'up', '--config', config));
      const subjects = [{ name: 'tunwall' }];
      const series = await interleave(context, 'policies', subjects, keys, (_, round) =>
        measure(lab, config, round),
      );
      for (const key of keys) {
        const [title, unit] = titles[key];
        const id = `policies.${key}`;
        context.record({ id, title, unit, better: 'lower', series: series[key] });
      }
      await recordSaving(context);
    } finally {
      await closeLab(lab);
    }
  },
};
