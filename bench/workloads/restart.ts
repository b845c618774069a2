/**
 * One process after another under load: the firewall is killed as a whole, and its supervisor starts it again as the systemd unit
 * does; its child is killed, and the parent starts the next one; another one takes over by an upgrade.
 *
 * The gap is the longest time between two arrivals at the receiver, by the kernel's time stamps: until the first packet that the
 * new process forwards. The flow's rule allows it to go on.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Benchmark, Context } from '../lib/benchmark.ts';
import { interleave } from '../lib/interleave.ts';
import { closeLab } from '../net/rig.ts';
import { rulesOf } from '../net/policy.ts';
import { udpBlast, startUdpBlast, udpSink } from '../net/tools.ts';
import { startSupervised } from '../net/tunwall.ts';
import type { Supervised } from '../net/tunwall.ts';

/** Packets a second. */
const rate = 20_000;
const longestMs = 60_000;
const rules = 1000;

interface Seen {
  readonly gapMs: number;
  /** Packets that were sent and have not arrived. */
  readonly lost: number;
}

async function during(subject: Supervised, work: () => Promise<void>): Promise<Seen> {
  const { lab } = subject;
  const sink = await udpSink(lab, { gaps: true });
  const sender = await startUdpBlast(lab, { rate, ms: longestMs });
  await sleep(500);
  await work();
  await sleep(500);
  const { sent } = await sender.stop();
  await sleep(200);
  const { longestGapMs, received, overflow } = await sink.stop();
  return { gapMs: longestGapMs, lost: sent - received - overflow };
}

const keys = ['restart', 'cpu', 'kill', 'upgrade', 'lost'] as const;

export async function measureRestarts(context: Context): Promise<void> {
  const subjects: Supervised[] = [];
  try {
    for (const queues of [1, 2]) {
      const subject = await startSupervised({ rules: rulesOf(rules), bothCores: true, queues });
      subjects.push(subject);
      await udpBlast(subject.lab, { rate, ms: 1000 });
    }
    const measured = await interleave(context, 'restart', subjects, keys, async (subject) => {
      const whole = await during(subject, () => subject.restart());
      const startCpuMs = subject.startCpuMs();
      const kill = await during(subject, () => subject.killChild());
      const upgrade = await during(subject, () => subject.upgrade());
      return {
        restart: { value: whole.gapMs },
        cpu: { value: startCpuMs },
        kill: { value: kill.gapMs },
        upgrade: { value: upgrade.gapMs },
        lost: { value: upgrade.lost },
      };
    });
    const figures = [
      [
        'gap',
        'restart',
        'restart: longest gap',
        'ms',
        'From the kill of all of it; the 200 ms of RestartSec included.',
      ],
      [
        'kill',
        'kill',
        'child killed: longest gap',
        'ms',
        'From the kill until the first packet that the next child forwards.',
      ],
      [
        'start-cpu',
        'cpu',
        'start: CPU time until packets are judged',
        'ms',
        'Of the parent and its child, all threads.',
      ],
      ['upgrade', 'upgrade', 'upgrade: longest gap', 'ms', 'Packets wait meanwhile.'],
      [
        'lost',
        'lost',
        'upgrade: packets lost',
        'packets',
        `Of a stream of ${rate.toLocaleString('en-US')} a second.`,
      ],
    ] as const;
    for (const [id, key, title, unit, note] of figures) {
      const series = measured[key];
      context.record({ id: `restart.${id}`, title, unit, better: 'lower', series, note });
    }
  } finally {
    for (const { lab } of subjects) await closeLab(lab);
  }
}

export const restart: Benchmark = {
  name: 'restart',
  describe: `killed or upgraded under load with ${rules.toLocaleString('en-US')} rules: how long nothing is forwarded`,
  run: measureRestarts,
};
