/**
 * Micro-benchmarks: one function of the data plane at a time, without a device, each beside its naive twin.
 *
 * Every measurement is a process of its own (run-process.ts); rounds are interleaved like those of the network benchmarks. They
 * need no privilege. What the twin is: process/naive.ts.
 */
import type { Benchmark, Context, Figure, Series } from '../lib/benchmark.ts';
import { defaultBatchSize } from '../../src/dataplane/tun/batch.ts';
import { interleave } from '../lib/interleave.ts';
import type { Measured } from '../lib/interleave.ts';
import { median, valuesOf } from '../lib/statistics.ts';
import { runMeasurement } from './run-process.ts';
import type { Measurement } from './process/main.ts';

type Case = Measurement extends infer Each
  ? Each extends Measurement
    ? Omit<Each, 'duration'>
    : never
  : never;

interface Subject {
  readonly name: string;
  readonly measurement: Case;
}

const us = 'tunwall';
const twin = 'naive twin';

/** Interleaved rounds of some measurements; the values are divided by `unit` ns. */
async function measureAll<Key extends string>(
  context: Context,
  what: string,
  subjects: readonly Subject[],
  keys: readonly Key[],
): Promise<Record<Key, Series[]>> {
  const duration = context.quick
    ? { warmUpMs: 300, measureMs: 200 }
    : { warmUpMs: 500, measureMs: 500 };
  return await interleave(context, what, subjects, keys, async ({ measurement }) => {
    const measured = await runMeasurement({ ...measurement, duration });
    const samples: Measured<Key> = {};
    for (const key of keys) {
      if (measured[key] !== undefined) samples[key] = { value: measured[key] };
    }
    return samples;
  });
}

/** A figure for which less is better. */
function lower(id: string, title: string, unit: string, series: Series[], note?: string): Figure {
  return { id, title, unit, better: 'lower', series, ...(note !== undefined && { note }) };
}

function scaled(series: readonly Series[], factor: number): Series[] {
  return series.map(({ subject, samples }) => ({
    subject,
    samples: samples.map(({ value }) => ({ value: value * factor })),
  }));
}

/** The series of these subjects, under the names that a figure has for them. */
function renamed(all: readonly Series[], names: Readonly<Record<string, string>>): Series[] {
  return Object.entries(names).map(([subject, name]) => {
    const { samples } = all.find((series) => series.subject === subject)!;
    return { subject: name, samples };
  });
}

function pair(measurement: Case): Subject[] {
  return [
    { name: us, measurement: { ...measurement, naive: false } },
    { name: twin, measurement: { ...measurement, naive: true } },
  ];
}

const parse: Benchmark = {
  name: 'micro-parse',
  describe: 'parsing a TCP segment, beside a parser that makes objects',
  async run(context) {
    const subjects = pair({ case: 'parse', naive: false });
    const { time } = await measureAll(context, 'parse', subjects, ['time']);
    context.record(lower('micro-parse.time', 'parse a TCP segment', 'ns', time));
  },
};

const flowCounts = [1000, 65_536, 1_000_000] as const;

const hit: Benchmark = {
  name: 'micro-hit',
  describe: 'a packet of an established flow, of 1,000, 65,536 and a million in random order',
  async run(context) {
    const lines: { subject: string; points: [number, number][] }[] = [];
    for (const flows of flowCounts) {
      const batchSize = defaultBatchSize.readSlots;
      const options = { case: 'hit', flows, batchSize } as const;
      const subjects: Subject[] = [
        { name: 'TCP', measurement: { ...options, protocol: 'tcp', naive: false } },
        { name: 'UDP', measurement: { ...options, protocol: 'udp', naive: false } },
        { name: twin, measurement: { ...options, protocol: 'udp', naive: true } },
      ];
      const of = `of ${flows.toLocaleString('en-US')} flows`;
      const { time } = await measureAll(context, `hit ${of}`, subjects, ['time']);
      for (const [key, name] of [
        ['tcp', 'TCP'],
        ['udp', 'UDP'],
      ] as const) {
        const series = renamed(time, { [name]: us, [twin]: twin });
        const title = `established ${name} flow, hit, ${of}`;
        context.record(lower(`micro-hit-${flows}.${key}`, title, 'ns', series));
      }
      for (const series of time) {
        let line = lines.find(({ subject }) => subject === series.subject);
        if (line === undefined) lines.push((line = { subject: series.subject, points: [] }));
        line.points.push([flows, median(valuesOf(series))]);
      }
    }
    context.chart({
      title: 'a packet of an established flow',
      xLabel: 'flows',
      yLabel: 'ns',
      logarithmicX: true,
      lines,
    });
  },
};

const drop: Benchmark = {
  name: 'micro-drop',
  describe: 'a packet that no rule allows',
  async run(context) {
    const subjects = pair({ case: 'drop', naive: false });
    const { time } = await measureAll(context, 'drop', subjects, ['time']);
    context.record(lower('micro-drop.time', 'drop a packet that no rule allows', 'ns', time));
  },
};

const few = 10;
const many = 100_000;

const flowLife: Benchmark = {
  name: 'micro-flow-life',
  describe: 'opening a flow with 10 and with 100,000 rules, a tick without work, and expiry',
  async run(context) {
    const options = { case: 'flow-life', flows: 65_536 } as const;
    const subjects: Subject[] = [
      { name: 'few', measurement: { ...options, rules: few, naive: false } },
      { name: 'many', measurement: { ...options, rules: many, naive: false } },
      { name: 'few, naive', measurement: { ...options, rules: few, naive: true } },
      // A hundred microseconds each.
      { name: 'many, naive', measurement: { ...options, flows: 2048, rules: many, naive: true } },
    ];
    const keys = ['open', 'idleTick', 'expire'] as const;
    const { open, idleTick, expire } = await measureAll(context, 'flow life', subjects, keys);
    const note = 'A SYN that another rule allows each time, rules in random order.';
    const withFew = `${us}, ${few} rules`;
    context.record(
      lower(
        `micro-new-flow.rules-${few}`,
        `new flow, ${few} rules`,
        'ns',
        renamed(open, { few: us, 'few, naive': twin }),
        note,
      ),
    );
    context.record(
      lower(
        `micro-new-flow.rules-${many}`,
        `new flow, ${many.toLocaleString('en-US')} rules`,
        'ns',
        renamed(open, { many: us, few: withFew, 'many, naive': twin }),
        note,
      ),
    );
    context.record(
      lower(
        'micro-expiry.flow',
        'remove an expired flow',
        'ns',
        renamed(expire, { few: us, 'few, naive': twin }),
      ),
    );
    context.record(
      lower(
        'micro-expiry.idle-tick',
        'tick with 65,536 flows of which none has expired',
        'µs',
        scaled(renamed(idleTick, { few: us, 'few, naive': twin }), 1e-3),
      ),
    );
  },
};

const compile: Benchmark = {
  name: 'micro-compile',
  describe: 'compiling 100,000 rules, and the swap of the policy',
  async run(context) {
    const subjects: Subject[] = [
      { name: us, measurement: { case: 'compile', rules: many, naive: false } },
    ];
    const { compile: compiled, swap } = await measureAll(context, 'compile', subjects, [
      'compile',
      'swap',
    ]);
    const note = 'The first one of a process, when nothing has been optimised yet.';
    const rules = many.toLocaleString('en-US');
    const title = `compile ${rules} rules`;
    context.record(lower('micro-compile.compile', title, 'ms', scaled(compiled, 1e-6), note));
    context.record(
      lower('micro-compile.swap', `put ${rules} rules in force`, 'µs', scaled(swap, 1e-3), note),
    );
  },
};

const memory: Benchmark = {
  name: 'micro-memory',
  describe: 'resident memory of a flow, of a million',
  async run(context) {
    // A whole number of chunks, a little more than a million.
    const subjects = pair({ case: 'memory', flows: 123 * 8192, naive: false });
    const { bytes } = await measureAll(context, 'memory', subjects, ['bytes']);
    context.record(
      lower(
        'micro-memory.flow',
        'memory per flow, of a million',
        'bytes',
        bytes,
        'Table, hash and lists: what the process has grown by, over the flows.',
      ),
    );
  },
};

const on = 'survive: true';
const off = 'survive: false';

/** Taking over the flows of an earlier process, and what the flow table costs in a file. */
export async function measureFlowFile(context: Context): Promise<void> {
  for (const flows of [262_144, 1_000_000]) {
    const subjects: Subject[] = [{ name: us, measurement: { case: 'adopt', flows, naive: false } }];
    const what = `adopt ${flows.toLocaleString('en-US')} flows`;
    const keys = ['time', 'lay', 'cpu'] as const;
    const measured = await measureAll(context, what, subjects, keys);
    const unused = 'In a process that has compiled nothing yet.';
    const figures = {
      time: ['', `While packets wait: checks, policy and insertion. ${unused}`],
      lay: [', the file before that', 'Its space, which the machine may have to find first.'],
      cpu: [', CPU', 'Of both and all threads, those that compile included.'],
    } as const;
    for (const key of keys) {
      const id = `survive.adopt-${key === 'time' ? '' : `${key}-`}${flows}`;
      const [title, note] = figures[key];
      context.record(lower(id, what + title, 'ms', scaled(measured[key], 1e-6), note));
    }
  }
  const batchSize = defaultBatchSize.readSlots;
  for (const protocol of ['tcp', 'udp'] as const) {
    const hits = { case: 'hit', flows: 65_536, batchSize, protocol, naive: false } as const;
    const subjects: Subject[] = [
      { name: on, measurement: { ...hits, survive: true } },
      { name: off, measurement: { ...hits, survive: false } },
    ];
    const what = `established ${protocol.toUpperCase()} flow, hit, table in a file`;
    const { time } = await measureAll(context, what, subjects, ['time']);
    context.record(lower(`survive.hit-${protocol}`, what, 'ns', time));
  }
  const life = { case: 'flow-life', flows: 65_536, rules: few, naive: false } as const;
  const subjects: Subject[] = [
    { name: on, measurement: { ...life, survive: true } },
    { name: off, measurement: { ...life, survive: false } },
  ];
  const { open } = await measureAll(context, 'new flow, table in a file', subjects, ['open']);
  context.record(lower('survive.new-flow', 'new flow, table in a file', 'ns', open));
}

export const microBenchmarks: readonly Benchmark[] = [parse, hit, drop, flowLife, compile, memory];
