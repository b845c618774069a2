/** A SYN flood from forged sources, and honest connections beside it: do they still come about, and how long do they take? */
import type { Benchmark } from '../lib/benchmark.ts';
import { interleave } from '../lib/interleave.ts';
import { floodFrom } from '../net/addresses.ts';
import { everyKind } from '../net/kinds.ts';
import { rulesOf } from '../net/policy.ts';
import { withSubjects } from '../net/session.ts';
import type { Subject } from '../net/subject.ts';
import { synFlood, tcpConnect, tcpServe } from '../net/tools.ts';

/**
 * SYNs a second: in a round or two they fill half a table of 262,144 flows, which is what one server may have of it; and the
 * subject's core has room for others.
 */
const floodRate = 20_000;
/** Honest connections: one at a time, with a pause after each. */
const intervalUs = 5000;

export const flood: Benchmark = {
  name: 'syn-flood',
  describe: `honest TCP connections beside ${floodRate.toLocaleString('en-US')} forged SYNs a second`,
  async run(context) {
    const ms = context.quick ? 3000 : 8000;
    const prepare = async ({ lab }: Subject): Promise<void> => {
      await tcpServe(lab);
      await tcpConnect(lab, { concurrency: 16, ms: 1000 });
    };
    await withSubjects(context, everyKind, { rules: rulesOf() }, prepare, async (subjects) => {
      const keys = ['opened', 'p50', 'p99'] as const;
      const series = await interleave(context, 'SYN flood', subjects, keys, async ({ lab }) => {
        const flooding = synFlood(lab, { from: floodFrom, rate: floodRate, ms });
        const result = await tcpConnect(lab, { concurrency: 1, ms, intervalUs });
        await flooding;
        const attempts = result.opened + result.failed;
        return {
          opened: { value: (100 * result.opened) / attempts },
          // Without a connection there is no time; a failed one has waited for the tool's second.
          p50: { value: result.opened > 0 ? result.p50Us : 1e6 },
          p99: { value: result.opened > 0 ? result.p99Us : 1e6 },
        };
      });
      const note = 'All rounds flood the same table: it is full from the first on.';
      context.record({
        id: 'syn-flood.opened',
        title: 'SYN flood: honest connections that come about',
        unit: '%',
        better: 'higher',
        series: series.opened,
        note,
      });
      for (const key of ['p50', 'p99'] as const) {
        context.record({
          id: `syn-flood.${key}`,
          title: `SYN flood: time to connect, ${key}`,
          unit: 'µs',
          better: 'lower',
          series: series[key],
        });
      }
    });
  },
};
