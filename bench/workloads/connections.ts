/** TCP connections: how many a second can be opened, and how long one takes. */
import type { Benchmark, Context, Series } from '../lib/benchmark.ts';
import { interleave } from '../lib/interleave.ts';
import type { Field } from '../net/kinds.ts';
import { withCpu } from '../net/measure.ts';
import { rulesOf } from '../net/policy.ts';
import { withSubjects } from '../net/session.ts';
import type { Subject } from '../net/subject.ts';
import { iperf, iperfServe, tcpConnect, tcpRequest, tcpServe } from '../net/tools.ts';
import type { Latencies } from '../net/tools.ts';

const percentiles = ['p50', 'p99', 'p999'] as const;

export function percentileSamples({
  p50Us,
  p99Us,
  p999Us,
}: Latencies): Record<(typeof percentiles)[number], { value: number }> {
  return { p50: { value: p50Us }, p99: { value: p99Us }, p999: { value: p999Us } };
}

function recordPercentiles(
  context: Context,
  id: string,
  title: string,
  series: Record<(typeof percentiles)[number], Series[]>,
): void {
  for (const percentile of percentiles) {
    context.record({
      id: `${id}.${percentile}`,
      title: `${title}, ${percentile}`,
      unit: 'µs',
      better: 'lower',
      series: series[percentile],
    });
  }
}

function none(what: string, failed: number): void {
  if (failed > 0) throw new Error(`${failed} ${what} failed`);
}

/** Servers, and connections enough for the code to be compiled. */
async function prepare({ lab }: Subject): Promise<void> {
  await tcpServe(lab);
  await tcpConnect(lab, { concurrency: 16, ms: 1000 });
}

export const connections = (field: Field): Benchmark => ({
  name: 'connections',
  describe: 'TCP connections a second with 64 at a time; time to connect with one at a time',
  async run(context) {
    const ms = context.quick ? 1000 : 3000;
    await withSubjects(context, field.kinds, { rules: rulesOf() }, prepare, async (subjects) => {
      const { rate } = await interleave(
        context,
        'connections',
        subjects,
        ['rate'],
        async (subject) => {
          const { result, perPacket } = await withCpu(subject, () =>
            tcpConnect(subject.lab, { concurrency: 64, ms }),
          );
          return { rate: { value: result.opened / result.seconds, ...perPacket } };
        },
      );
      context.record({
        id: 'connections.rate',
        title: 'connections',
        unit: 'connections/s',
        better: 'higher',
        series: rate,
        note: 'SYN, SYN+ACK, ACK, RST: four packets each.',
      });
      const latencies = await interleave(
        context,
        'time to connect',
        subjects,
        percentiles,
        async (subject) => {
          const result = await tcpConnect(subject.lab, { concurrency: 1, ms });
          none('connections', result.failed);
          return percentileSamples(result);
        },
      );
      recordPercentiles(context, 'connect', 'time to connect', latencies);
    });
  },
});

export const loadedLatency = (field: Field): Benchmark => ({
  name: 'loaded-latency',
  describe: 'time to the answer of a small request while bulk TCP runs beside it',
  async run(context) {
    const seconds = context.quick ? 2 : 4;
    const prepareBoth = async (subject: Subject): Promise<void> => {
      await prepare(subject);
      await iperfServe(subject.lab);
    };
    await withSubjects(
      context,
      field.kinds,
      { rules: rulesOf() },
      prepareBoth,
      async (subjects) => {
        const latencies = await interleave(
          context,
          'request under load',
          subjects,
          percentiles,
          async ({ lab }) => {
            // iperf3 leaves its first second out; the requests come after it, too.
            const bulk = iperf(lab, { streams: 1, seconds: seconds + 1 });
            await new Promise((resolve) => setTimeout(resolve, 1000));
            const result = await tcpRequest(lab, { ms: seconds * 1000 });
            await bulk;
            none('requests', result.failed);
            return percentileSamples(result);
          },
        );
        recordPercentiles(context, 'loaded-latency', 'request under bulk load', latencies);
      },
    );
  },
});
