/** The cost of many rules: connections are asked about, packets of established flows are not. */
import type { Benchmark, Chart, Series } from '../lib/benchmark.ts';
import { interleave } from '../lib/interleave.ts';
import { median, valuesOf } from '../lib/statistics.ts';
import { kernel } from '../net/kernel.ts';
import { withCpu } from '../net/measure.ts';
import { openVswitch } from '../net/open-vswitch.ts';
import { rulesOf } from '../net/policy.ts';
import { withSubjects } from '../net/session.ts';
import type { Subject, SubjectKind } from '../net/subject.ts';
import { tcpConnect, tcpServe } from '../net/tools.ts';
import { tunwall } from '../net/tunwall.ts';

const counts = [10, 1000, 100_000] as const;
const kinds: readonly SubjectKind[] = [tunwall, kernel, openVswitch];

function curves(series: readonly (readonly [number, readonly Series[]])[]): Chart['lines'] {
  const names = [...new Set(series.flatMap(([, each]) => each.map(({ subject }) => subject)))];
  return names.map((subject) => ({
    subject,
    points: series.flatMap(([count, each]): [number, number][] => {
      const found = each.find((one) => one.subject === subject);
      return found === undefined ? [] : [[count, median(valuesOf(found))]];
    }),
  }));
}

export const manyRules: Benchmark = {
  name: 'rules',
  describe: 'TCP connections a second, and CPU of each, with 10, 1,000 and 100,000 rules',
  async run(context) {
    const ms = context.quick ? 1000 : 3000;
    const prepare = async ({ lab }: Subject): Promise<void> => {
      await tcpServe(lab);
      await tcpConnect(lab, { concurrency: 16, ms: 1000 });
    };
    const measured: [number, Series[]][] = [];
    for (const count of counts) {
      await withSubjects(context, kinds, { rules: rulesOf(count) }, prepare, async (subjects) => {
        const title = `connections with ${count.toLocaleString('en-US')} rules`;
        const { rate } = await interleave(context, title, subjects, ['rate'], async (subject) => {
          const { result, perPacket } = await withCpu(subject, () =>
            tcpConnect(subject.lab, { concurrency: 64, ms }),
          );
          return { rate: { value: result.opened / result.seconds, ...perPacket } };
        });
        context.record({
          id: `rules-${count}.rate`,
          title,
          unit: 'connections/s',
          better: 'higher',
          series: rate,
          note: 'The rule that allows them is one of the last.',
        });
        measured.push([count, rate]);
      });
    }
    context.chart({
      title: 'connections a second by number of rules',
      xLabel: 'rules',
      yLabel: 'connections/s',
      logarithmicX: true,
      lines: curves(measured),
    });
  },
};
