/**
 * A restart: the firewall is killed under load, and its supervisor starts it again as the systemd unit does.
 *
 * The gap is the longest time between two arrivals at the receiver, by the kernel's time stamps: from the kill until the first
 * packet that the new process forwards, RestartSec of the unit included. The flow's rule allows it to go on.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Benchmark } from '../lib/benchmark.ts';
import { interleave } from '../lib/interleave.ts';
import { closeLab } from '../net/rig.ts';
import { rulesOf } from '../net/policy.ts';
import { udpBlast, startUdpBlast, udpSink } from '../net/tools.ts';
import { startSupervised } from '../net/tunwall.ts';
import type { Supervised } from '../net/tunwall.ts';

/** Packets a second: a gap is known to a millisecond. */
const rate = 1000;
const longestMs = 60_000;
const rules = 1000;

async function gapMs(subject: Supervised): Promise<number> {
  const { lab } = subject;
  const sink = await udpSink(lab, { gaps: true });
  const sender = await startUdpBlast(lab, { rate, ms: longestMs });
  await sleep(500);
  await subject.restart();
  await sleep(500);
  await sender.stop();
  await sleep(200);
  return (await sink.stop()).longestGapMs;
}

export const restart: Benchmark = {
  name: 'restart',
  describe: `killed under load with ${rules.toLocaleString('en-US')} rules: how long nothing is forwarded`,
  async run(context) {
    const subjects: Supervised[] = [];
    try {
      for (const queues of [1, 2]) {
        const subject = await startSupervised({ rules: rulesOf(rules), bothCores: true, queues });
        subjects.push(subject);
        await udpBlast(subject.lab, { rate, ms: 1000 });
      }
      const { gap } = await interleave(context, 'restart', subjects, ['gap'], async (subject) => ({
        gap: { value: await gapMs(subject) },
      }));
      context.record({
        id: 'restart.gap',
        title: 'restart: longest gap',
        unit: 'ms',
        better: 'lower',
        series: gap,
        note: 'From the kill until the first packet that the new process forwards, the 200 ms of RestartSec included.',
      });
    } finally {
      for (const { lab } of subjects) await closeLab(lab);
    }
  },
};
