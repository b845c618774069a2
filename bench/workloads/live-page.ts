/** What the panel costs the packets: small packets with the live page open in a browser, and without. */
import type { Benchmark } from '../lib/benchmark.ts';
import { interleave } from '../lib/interleave.ts';
import { browserObstacle, openLivePage } from '../net/live-page.ts';
import { Findings, forwardingTrial } from '../net/measure.ts';
import { rulesOf } from '../net/policy.ts';
import { withSubjects } from '../net/session.ts';
import type { Subject, SubjectKind } from '../net/subject.ts';
import { tunwall } from '../net/tunwall.ts';

const withPage = 'tunwall, live page open';

const watched: SubjectKind = {
  name: withPage,
  obstacle: () => Promise.resolve(browserObstacle()),
  async start(options) {
    return { ...(await tunwall.start({ ...options, logins: true })), name: withPage };
  },
};

/** At this rate the CPU per packet is compared, packets/s. */
const commonRate = 100_000;

export const livePage: Benchmark = {
  name: 'live-page',
  describe: 'small packets with the live page of the panel open in a browser, and without',
  async run(context) {
    const { trialMs, cpuMs } = context.quick
      ? { trialMs: 500, cpuMs: 2000 }
      : { trialMs: 1000, cpuMs: 5000 };
    const findings = new Findings();
    const prepare = async (subject: Subject): Promise<void> => {
      await forwardingTrial(subject, { rate: 0, ms: 1000 });
      if (subject.name === withPage) await openLivePage(subject.lab);
    };
    const kinds = [watched, tunwall];
    await withSubjects(context, kinds, { rules: rulesOf() }, prepare, async (subjects) => {
      const { rate, cpu } = await interleave(
        context,
        'live page',
        subjects,
        ['rate', 'cpu'],
        async (subject) => {
          const search = { tolerated: 0.005, precision: 1.05 };
          const { trial } = await findings.highestRate(subject, 'rate', search, (each) =>
            forwardingTrial(subject, { rate: each, ms: trialMs }),
          );
          const { perPacket } = await forwardingTrial(subject, { rate: commonRate, ms: cpuMs });
          return {
            rate: { value: trial.rate, ...trial.perPacket },
            cpu: { value: perPacket.cpuUs, ...perPacket },
          };
        },
      );
      context.record({
        id: 'live-page.rate',
        title: 'small packets with the live page open, 0.5 % loss',
        unit: 'packets/s',
        better: 'higher',
        series: rate,
      });
      context.record({
        id: 'live-page.cpu',
        title: `CPU per packet with the live page open, at ${commonRate.toLocaleString('en-US')} packets/s`,
        unit: 'µs',
        better: 'lower',
        series: cpu,
        note: 'Of the whole process: what answers the page is in it.',
      });
    });
  },
};
