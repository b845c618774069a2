/**
 * A million flows: how fast they open, what they cost in memory, and what they do to the rate of packets of established flows.
 *
 * The flows are UDP from sixteen addresses and all their ports. Their packets come in random order, so that every lookup meets
 * memory that the cache does not hold.
 */
import type { Benchmark, Context, Sample } from '../lib/benchmark.ts';
import { interleave } from '../lib/interleave.ts';
import { manyFlowsFrom } from '../net/addresses.ts';
import type { Field } from '../net/kinds.ts';
import { forwardingTrial, highestRate } from '../net/measure.ts';
import type { Trial } from '../net/measure.ts';
import { openVswitchTso } from '../net/open-vswitch.ts';
import { rulesOf } from '../net/policy.ts';
import { withSubjects } from '../net/session.ts';
import type { Subject, SubjectKind } from '../net/subject.ts';
import { flowBlast } from '../net/tools.ts';

const flows = 1_000_000;
const capacity = 1 << 20;
/** The table of the process that counts as idle. */
const idleFlows = 1024;
/** New flows a second while the table is filled: below what every subject can do. */
const openingRate = 30_000;
const openingMs = 120_000;
/** Filling again opens the flows whose first packet was lost. */
const fillings = 4;

/** What opening the flows has shown, by subject. */
interface Opened {
  readonly tracked: number | undefined;
  readonly bytesPerFlow: number | undefined;
  readonly megabytes: number | undefined;
}

function blast(
  subject: Subject,
  count: number,
  rate: number,
  ms: number,
  seed?: number,
  ask = false,
): Promise<Trial> {
  const order = { random: seed !== undefined, seed: seed ?? 1, ask };
  const options = { from: manyFlowsFrom, flows: count, ms, ...order };
  return forwardingTrial(subject, { rate, ms }, (each) =>
    flowBlast(subject.lab, { ...options, rate: each }),
  );
}

function warmUp(subject: Subject): Promise<Trial> {
  return blast(subject, idleFlows, 0, 1000, 1);
}

/**
 * Resident memory of each process with a table that holds next to nothing, after the same traffic as the others' warm-up: what
 * the table takes at the start counts as the flows' too.
 */
async function idleMemory(
  context: Context,
  kinds: readonly SubjectKind[],
): Promise<ReadonlyMap<string, number>> {
  const memory = new Map<string, number>();
  const options = { rules: rulesOf(), flows: idleFlows };
  await withSubjects(context, kinds, options, warmUp, (subjects) => {
    for (const { name, resident } of subjects) {
      if (resident !== undefined) memory.set(name, resident());
    }
    return Promise.resolve();
  });
  return memory;
}

async function openAll(
  context: Context,
  subject: Subject,
  before: number | undefined,
  ask: boolean,
): Promise<Opened> {
  for (let filling = 0; filling < fillings; filling++) {
    const { loss } = await blast(subject, flows, openingRate, openingMs, undefined, ask);
    if (loss === 0) break;
  }
  const tracked = await subject.flowCount?.();
  const after = subject.resident?.();
  const grown = before === undefined || after === undefined ? undefined : after - before;
  context.say(`${subject.name}: ${tracked ?? 'no'} flows`);
  return {
    tracked,
    megabytes: grown === undefined ? undefined : grown / 1e6,
    bytesPerFlow: grown === undefined || tracked === undefined ? undefined : grown / tracked,
  };
}

function recordOpened(context: Context, opened: ReadonlyMap<string, Opened>): void {
  const series = (key: keyof Opened): { subject: string; samples: Sample[] }[] =>
    [...opened].flatMap(([subject, each]) => {
      const value = each[key];
      return value === undefined ? [] : [{ subject, samples: [{ value }] }];
    });
  context.record({
    id: 'many-flows.tracked',
    title: 'flows tracked of a million',
    unit: 'flows',
    better: 'higher',
    series: series('tracked'),
    note: 'The kernel has the limit that this machine has set, nf_conntrack_max. Measured once.',
  });
  context.record({
    id: 'many-flows.memory',
    title: 'memory of a million flows over the idle process',
    unit: 'MB',
    better: 'lower',
    series: series('megabytes'),
    note: 'Resident memory, over that of a process with a table of 1,024 flows. Measured once.',
  });
  context.record({
    id: 'many-flows.bytes',
    title: 'memory per flow',
    unit: 'bytes',
    better: 'lower',
    series: series('bytesPerFlow'),
    note: 'That ÷ flows tracked.',
  });
}

export const manyFlows = (field: Field): Benchmark => ({
  name: 'many-flows',
  describe:
    'a million flows: how many are tracked, memory, and the rate of packets in random order',
  async run(context) {
    const ms = context.quick ? 300 : 1000;
    const precision = context.quick ? 1.1 : 1.03;
    const options = { rules: rulesOf(), flows: capacity };
    const kinds = field.kinds.filter((kind) => kind !== openVswitchTso);
    const idle = await idleMemory(context, kinds);
    await withSubjects(context, kinds, options, warmUp, async (subjects) => {
      const opened = new Map<string, Opened>();
      for (const subject of subjects) {
        opened.set(
          subject.name,
          await openAll(context, subject, idle.get(subject.name), field.answered),
        );
      }
      recordOpened(context, opened);
      // One that cannot hold them drops most of what comes: its rate is 0, and finding that takes long.
      const holding = subjects.filter(
        ({ name }) => (opened.get(name)?.tracked ?? flows) > 0.9 * flows,
      );
      for (const { name } of subjects.filter((subject) => !holding.includes(subject))) {
        context.skip(
          `${name}: packets of a million flows`,
          'it does not hold a million flows here',
        );
      }
      for (const count of [1000, flows]) {
        const title = `packets of ${count.toLocaleString('en-US')} flows in random order`;
        const { rate } = await interleave(
          context,
          title,
          holding,
          ['rate'],
          async (subject, round) => {
            const search = { tolerated: 0.005, precision };
            const attempt = (each: number): Promise<Trial> =>
              blast(subject, count, each, ms, round + 2);
            const { trial } = await highestRate(search, attempt);
            return { rate: { value: trial.rate, ...trial.perPacket } };
          },
        );
        context.record({
          id: `many-flows.rate-${count}`,
          title,
          unit: 'packets/s',
          better: 'higher',
          series: rate,
        });
      }
    });
  },
});
