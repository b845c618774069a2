/**
 * What the panel costs the packets: one firewall, with its live page open in a browser, and with the page left.
 *
 * Each round measures a third time, again without the page: what these two differ by is the machine's noise, which the
 * difference that the page makes has to be seen against.
 */
import type { Benchmark, Sample, Series } from '../lib/benchmark.ts';
import { interleave } from '../lib/interleave.ts';
import { browserObstacle } from '../../test/support/browser.ts';
import { browserOf } from '../net/live-page.ts';
import { Findings, forwardingTrial, withCpu } from '../net/measure.ts';
import { rulesOf } from '../net/policy.ts';
import { withSubjects } from '../net/session.ts';
import type { Subject, SubjectKind } from '../net/subject.ts';
import { iperf, iperfServe } from '../net/tools.ts';
import { tunwall } from '../net/tunwall.ts';

const watched: SubjectKind = {
  name: 'tunwall',
  obstacle: () => Promise.resolve(browserObstacle()),
  start: (options) => tunwall.start({ ...options, logins: true }),
};

interface Case {
  readonly name: string;
  readonly isOpen: boolean;
}

const withPage: Case = { name: 'live page open', isOpen: true };
const without: Case = { name: 'no page', isOpen: false };
const again: Case = { name: 'no page, once more', isOpen: false };

/** At this rate the CPU per packet is compared, packets/s. */
const commonRate = 100_000;

const keys = ['tcp', 'rate', 'cpu'] as const;
type Key = (typeof keys)[number];

const figures: Record<Key, { title: string; unit: string; better: 'higher' | 'lower' }> = {
  tcp: { title: 'bulk TCP, 1 stream', unit: 'Gb/s', better: 'higher' },
  rate: { title: 'small packets, 0.5 % loss', unit: 'packets/s', better: 'higher' },
  cpu: {
    title: `CPU per packet of the whole process, at ${commonRate.toLocaleString('en-US')} packets/s`,
    unit: 'µs',
    better: 'lower',
  },
};

export const livePage: Benchmark = {
  name: 'live-page',
  describe:
    'bulk TCP and small packets with the live page of the panel open in a browser, and without',
  async run(context) {
    const { seconds, trialMs, cpuMs } = context.quick
      ? { seconds: 1, trialMs: 500, cpuMs: 2000 }
      : { seconds: 2, trialMs: 1000, cpuMs: 5000 };
    const findings = new Findings();
    const prepare = async (subject: Subject): Promise<void> => {
      await iperfServe(subject.lab);
      await forwardingTrial(subject, { rate: 0, ms: 1000 });
    };
    await withSubjects(context, [watched], { rules: rulesOf() }, prepare, async ([subject]) => {
      if (subject === undefined) return;
      const page = await browserOf(subject.lab);
      const measure = async ({ name, isOpen }: Case): Promise<Record<Key, Sample>> => {
        await (isOpen ? page.open() : page.leave());
        const { result, perPacket: tcp } = await withCpu(subject, () =>
          iperf(subject.lab, { streams: 1, seconds }),
        );
        const search = { tolerated: 0.005, precision: 1.05 };
        const { trial } = await findings.highestRate({ ...subject, name }, 'rate', search, (each) =>
          forwardingTrial(subject, { rate: each, ms: trialMs }),
        );
        const { perPacket } = await forwardingTrial(subject, { rate: commonRate, ms: cpuMs });
        return {
          tcp: { value: result / 1e9, ...tcp },
          rate: { value: trial.rate, ...trial.perPacket },
          cpu: { value: perPacket.cpuUs, ...perPacket },
        };
      };
      const cases = [withPage, without, again];
      const series = await interleave(context, 'live page', cases, keys, measure);
      const pair = (all: readonly Series[], one: Case, other: Case): Series[] =>
        [one, other].map(({ name }) => all.find((each) => each.subject === name)!);
      for (const key of keys) {
        const { title, unit, better } = figures[key];
        context.record({
          id: `live-page.${key}`,
          title: `live page open: ${title}`,
          unit,
          better,
          series: pair(series[key], withPage, without),
        });
        context.record({
          id: `live-page.${key}-noise`,
          title: `no page, twice: ${title}`,
          unit,
          better,
          series: pair(series[key], again, without),
          note: 'What the machine does by itself.',
        });
      }
    });
  },
};
