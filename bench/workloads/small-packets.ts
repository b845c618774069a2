/**
 * Small packets: the rate at which UDP datagrams of 64 bytes on the wire are forwarded, and at which they are dropped.
 *
 * The CPU per packet is taken in a longer trial just below the rate that was found: the division into user and system time is
 * sampled, and needs the time.
 */
import type { Benchmark, Context } from '../lib/benchmark.ts';
import { interleave } from '../lib/interleave.ts';
import type { Measured } from '../lib/interleave.ts';
import { kernel } from '../net/kernel.ts';
import { everyKind } from '../net/kinds.ts';
import type { Field } from '../net/kinds.ts';
import { Findings, discardingTrial, forwardingTrial } from '../net/measure.ts';
import type { Trial } from '../net/measure.ts';
import { port, rulesOf } from '../net/policy.ts';
import { withSubjects } from '../net/session.ts';
import type { Subject } from '../net/subject.ts';

/** At this rate everybody's CPU per packet is compared, packets/s. */
const commonRate = 100_000;

interface Times {
  readonly trialMs: number;
  readonly cpuMs: number;
  readonly precision: number;
}

function timesOf({ quick }: Context): Times {
  return quick
    ? { trialMs: 300, cpuMs: 1000, precision: 1.1 }
    : { trialMs: 500, cpuMs: 2000, precision: 1.05 };
}

type Attempt = (rate: number, ms: number) => Promise<Trial>;

/** The rate at a loss, with the CPU per packet just below it. */
async function rateWithCpu(
  context: Context,
  subject: Subject,
  findings: Findings,
  times: Times,
  attempt: Attempt,
): Promise<{ value: number; cpuUs: number; userUs: number; offered: number }> {
  const search = { tolerated: 0.005, precision: times.precision };
  const found = await findings.highestRate(subject, 'rate', search, (rate) =>
    attempt(rate, times.trialMs),
  );
  if (found.senderLimited) {
    context.skip(
      `${subject.name}: the limit of its rate`,
      "it forwards all that the sender can send; its rate is the sender's",
    );
  }
  const { rate, offered } = found.trial;
  const { perPacket } = await attempt(rate * 0.95, times.cpuMs);
  return { value: rate, ...perPacket, offered };
}

type ForwardKey = 'rate' | 'lossless' | 'cpu' | 'user';

async function forward(
  context: Context,
  subject: Subject,
  findings: Findings,
  times: Times,
  answered: boolean,
): Promise<Measured<ForwardKey>> {
  const attempt: Attempt = (rate, ms) => forwardingTrial(subject, { rate, ms, answered });
  const { offered, ...rate } = await rateWithCpu(context, subject, findings, times, attempt);
  const search = { tolerated: 0, precision: times.precision };
  const { trial: lossless } = await findings.highestRate(
    subject,
    'lossless',
    { near: offered, ...search },
    (each) => attempt(each, times.trialMs),
  );
  const { perPacket } = await attempt(commonRate, times.cpuMs);
  return {
    rate,
    user: { value: rate.userUs },
    lossless: { value: lossless.rate },
    cpu: { value: perPacket.cpuUs, ...perPacket },
  };
}

export const smallPackets = (field: Field): Benchmark => ({
  name: 'small-packets',
  describe: 'forwarding rate of 64-byte packets at 0.5 % and at zero loss, and CPU per packet',
  async run(context) {
    const times = timesOf(context);
    const findings = new Findings();
    const prepare = (subject: Subject): Promise<unknown> =>
      forwardingTrial(subject, { rate: 0, ms: 1000, answered: field.answered });
    await withSubjects(context, field.kinds, { rules: rulesOf() }, prepare, async (subjects) => {
      const keys = ['rate', 'lossless', 'cpu', 'user'] as const;
      const { rate, lossless, cpu, user } = await interleave(
        context,
        'small packets',
        subjects,
        keys,
        (subject) => forward(context, subject, findings, times, field.answered),
      );
      context.record({
        id: 'small-packets.rate',
        title: 'small packets, 0.5 % loss',
        unit: 'packets/s',
        better: 'higher',
        series: rate,
      });
      context.record({
        id: 'small-packets.lossless',
        title: 'small packets, no loss',
        unit: 'packets/s',
        better: 'higher',
        series: lossless,
        note: '0 means that packets were lost at every rate that was tried.',
      });
      context.record({
        id: 'small-packets.cpu',
        title: `CPU per packet at ${commonRate.toLocaleString('en-US')} packets/s`,
        unit: 'µs',
        better: 'lower',
        series: cpu,
      });
      context.record({
        id: 'small-packets.user',
        title: 'user time per packet',
        unit: 'µs',
        better: 'lower',
        // The kernel has none.
        series: user.filter(({ subject }) => subject !== kernel.name),
        note: "Of the thread that handles packets, at 95 % of its highest rate. The null relay's is what system calls alone cost.",
      });
    });
  },
});

export const droppedPackets: Benchmark = {
  name: 'dropped-packets',
  describe: 'rate at which 64-byte packets that no rule allows are dropped',
  async run(context) {
    const times = timesOf(context);
    const findings = new Findings();
    const attempt =
      (subject: Subject): Attempt =>
      (rate, ms) =>
        discardingTrial(subject, { rate, ms, port: port.refused });
    const prepare = (subject: Subject): Promise<unknown> => attempt(subject)(0, 1000);
    const options = { rules: rulesOf(), discards: true };
    await withSubjects(context, everyKind, options, prepare, async (subjects) => {
      const { rate } = await interleave(context, 'dropped', subjects, ['rate'], async (subject) => {
        const { value, cpuUs, userUs } = await rateWithCpu(
          context,
          subject,
          findings,
          times,
          attempt(subject),
        );
        return { rate: { value, cpuUs, userUs } };
      });
      context.record({
        id: 'dropped-packets.rate',
        title: 'dropped packets',
        unit: 'packets/s',
        better: 'higher',
        series: rate,
        note: 'The null relay reads only. Lost is what was never looked at.',
      });
    });
  },
};
