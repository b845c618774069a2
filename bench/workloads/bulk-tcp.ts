/** Bulk TCP: iperf3 from the client to the server, one stream and sixteen. */
import type { Benchmark } from '../lib/benchmark.ts';
import { interleave } from '../lib/interleave.ts';
import type { Field } from '../net/kinds.ts';
import { withCpu } from '../net/measure.ts';
import { rulesOf } from '../net/policy.ts';
import { withSubjects } from '../net/session.ts';
import { iperf, iperfServe } from '../net/tools.ts';

export const bulkTcp = (field: Field): Benchmark => ({
  name: 'bulk-tcp',
  describe: 'goodput of TCP with 1 and 16 streams (iperf3)',
  async run(context) {
    const seconds = context.quick ? 1 : 2;
    const prepare = ({ lab }: { lab: Parameters<typeof iperfServe>[0] }): Promise<void> =>
      iperfServe(lab);
    await withSubjects(context, field.kinds, { rules: rulesOf() }, prepare, async (subjects) => {
      for (const streams of [1, 16]) {
        const title = `bulk TCP, ${streams} stream${streams === 1 ? '' : 's'}`;
        const { rate } = await interleave(context, title, subjects, ['rate'], async (subject) => {
          const { result, perPacket } = await withCpu(subject, () =>
            iperf(subject.lab, { streams, seconds }),
          );
          return { rate: { value: result / 1e9, ...perPacket } };
        });
        context.record({
          id: `bulk-tcp-${streams}.rate`,
          title,
          unit: 'Gb/s',
          better: 'higher',
          series: rate,
          note: 'A packet is what enters the gateway: a super-packet counts as one, and so does an ACK.',
        });
      }
    });
  },
});
