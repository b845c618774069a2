/** Bulk UDP with segmentation offload: super-packets of 44 datagrams, as a QUIC server sends. */
import type { Benchmark } from '../lib/benchmark.ts';
import { interleave } from '../lib/interleave.ts';
import type { Field } from '../net/kinds.ts';
import { Findings, forwardingTrial } from '../net/measure.ts';
import { rulesOf } from '../net/policy.ts';
import { withSubjects } from '../net/session.ts';
import type { Subject } from '../net/subject.ts';

const size = 1400;
const segments = 44;

export const bulkUdp = (field: Field): Benchmark => ({
  name: 'bulk-udp',
  describe: 'goodput of UDP with segmentation offload, at most 0.5 % lost',
  async run(context) {
    const ms = context.quick ? 300 : 500;
    const precision = context.quick ? 1.1 : 1.05;
    const trial = (subject: Subject, rate: number): ReturnType<typeof forwardingTrial> =>
      forwardingTrial(subject, { rate, ms, size, segments, answered: field.answered });
    const findings = new Findings();
    const deaf = new Set<Subject>();
    const prepare = async (subject: Subject): Promise<void> => {
      const { rate } = await trial(subject, 20_000);
      if (rate > 0) return;
      deaf.add(subject);
      context.skip(`${subject.name}: bulk UDP`, 'it forwards no UDP super-packet');
    };
    await withSubjects(context, field.kinds, { rules: rulesOf() }, prepare, async (all) => {
      const subjects = all.filter((subject) => !deaf.has(subject));
      const title = 'bulk UDP with GSO';
      const { rate } = await interleave(context, title, subjects, ['rate'], async (subject) => {
        const search = { tolerated: 0.005, precision };
        const found = await findings.highestRate(subject, 'rate', search, (wanted) =>
          trial(subject, wanted),
        );
        const { rate: datagrams, perPacket } = found.trial;
        return { rate: { value: (datagrams * size * 8) / 1e9, ...perPacket } };
      });
      context.record({
        id: 'bulk-udp.rate',
        title,
        unit: 'Gb/s',
        better: 'higher',
        series: rate,
        note: 'A packet is what enters the gateway: a super-packet where the subject takes them.',
      });
    });
  },
});
