/**
 * A reload under load: 100,000 rules are replaced by others while packets of an allowed flow go through.
 *
 * The blocked time is what was lost of it, as time: lost packets ÷ offered rate. The longest gap is between two arrivals at the
 * receiver, by the kernel's time stamps; without a reload it is what the machine itself does to the flow, and is measured too.
 *
 * Here the subjects are not confined to their core: with compiler and packets on one core, the scheduler would be measured.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Benchmark } from '../lib/benchmark.ts';
import { interleave } from '../lib/interleave.ts';
import type { Measured } from '../lib/interleave.ts';
import type { Field } from '../net/kinds.ts';
import { nullRelay } from '../net/null-relay.ts';
import { openVswitchTso } from '../net/open-vswitch.ts';
import { rulesOf } from '../net/policy.ts';
import { withSubjects } from '../net/session.ts';
import type { Subject } from '../net/subject.ts';
import { startUdpBlast, udpBlast, udpSink } from '../net/tools.ts';
import type { Arrived, Sent } from '../net/tools.ts';

const ruleCount = 100_000;
/** Packets a second: 0.1 ms of blocked time is one packet, and every subject forwards it with ease. */
const rate = 10_000;
const longestMs = 120_000;

interface Stream {
  readonly sent: Sent;
  readonly arrived: Arrived;
}

/** Sends while something is done, and a little before and after. */
async function stream(
  subject: Subject,
  answered: boolean,
  work: () => Promise<void>,
): Promise<Stream> {
  const sink = await udpSink(subject.lab, { gaps: true });
  const sender = await startUdpBlast(subject.lab, { rate, ms: longestMs, answered });
  await sleep(500);
  await work();
  await sleep(500);
  const sent = await sender.stop();
  if (sent.seconds * 1000 >= longestMs) throw new Error(`${subject.name}: reload takes too long`);
  await sleep(200);
  return { sent, arrived: await sink.stop() };
}

type Key = 'blocked' | 'gap' | 'quietGap' | 'inForce' | 'swap';

async function measure(subject: Subject, answered: boolean, round: number): Promise<Measured<Key>> {
  const quiet = await stream(subject, answered, () => sleep(2000));
  let inForceMs = 0;
  let swapMs: number | undefined;
  const { sent, arrived } = await stream(subject, answered, async () => {
    const started = performance.now();
    swapMs = await subject.replaceRules!(rulesOf(ruleCount, round + 1));
    inForceMs = performance.now() - started;
  });
  return {
    blocked: { value: ((sent.sent - arrived.received - arrived.overflow) / rate) * 1000 },
    gap: { value: arrived.longestGapMs },
    quietGap: { value: quiet.arrived.longestGapMs },
    inForce: { value: inForceMs },
    ...(swapMs !== undefined && { swap: { value: swapMs } }),
  };
}

export const reload = (field: Field): Benchmark => ({
  name: 'reload',
  describe: `${ruleCount.toLocaleString('en-US')} rules replaced under load: blocked time, longest gap`,
  async run(context) {
    const options = { rules: rulesOf(ruleCount), bothCores: true };
    const warmUp = (subject: Subject): Promise<unknown> =>
      udpBlast(subject.lab, { rate, ms: 1000 });
    const kinds = field.kinds.filter((kind) => ![nullRelay, openVswitchTso].includes(kind));
    await withSubjects(context, kinds, options, warmUp, async (subjects) => {
      const keys = ['blocked', 'gap', 'quietGap', 'inForce', 'swap'] as const;
      const series = await interleave(context, 'reload', subjects, keys, (subject, round) =>
        measure(subject, field.answered, round),
      );
      const titles: Record<Key, [title: string, note?: string]> = {
        blocked: ['reload: blocked time', `Packets lost ÷ ${rate} packets/s.`],
        gap: ['reload: longest gap'],
        quietGap: ['longest gap without a reload'],
        inForce: ['reload: from the edit until it is in force', 'Reading the files included.'],
        swap: ['reload: compile and swap', 'As tunwall logs it.'],
      };
      for (const key of keys) {
        const [title, note] = titles[key];
        context.record({
          id: `reload.${key}`,
          title,
          unit: 'ms',
          better: 'lower',
          series: series[key],
          ...(note !== undefined && { note }),
        });
      }
    });
  },
});
