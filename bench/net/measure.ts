/** What several workloads need: CPU per packet around something, one trial at a rate, and the highest rate with little loss. */
import { setTimeout as sleep } from 'node:timers/promises';
import { cpuBetween } from './cpu.ts';
import { arrivals } from './rig.ts';
import type { Subject } from './subject.ts';
import { udpBlast, udpSink } from './tools.ts';
import type { BlastOptions, Sent } from './tools.ts';

/** Time for what is still in queues to arrive. */
const settleMs = 150;

export interface CpuPerPacket {
  readonly cpuUs: number;
  readonly userUs: number;
}

/** Runs something; tells the CPU that the subject spent on each packet that came into the gateway meanwhile. */
export async function withCpu<Result>(
  subject: Subject,
  work: () => Promise<Result>,
): Promise<{ result: Result; perPacket: CpuPerPacket; packets: number }> {
  const [packetsBefore, before] = [await arrivals(subject.lab), subject.cpu()];
  const result = await work();
  const [after, packetsAfter] = [subject.cpu(), await arrivals(subject.lab)];
  const packets = packetsAfter.packets - packetsBefore.packets;
  const { totalNs, userNs } = cpuBetween(before, after);
  const perPacket = { cpuUs: totalNs / packets / 1000, userUs: userNs / packets / 1000 };
  return { result, perPacket, packets };
}

/** A rate that was offered, and what became of it. */
export interface Trial {
  /** Packets a second that the sender really sent: it may not reach what was asked for. */
  readonly offered: number;
  /** Packets a second that arrived. */
  readonly rate: number;
  /** Part of the sent packets that did not arrive. */
  readonly loss: number;
  readonly perPacket: CpuPerPacket;
}

export function trialOf(sent: Sent, arrived: number, perPacket: CpuPerPacket): Trial {
  return {
    offered: sent.sent / sent.seconds,
    rate: arrived / sent.seconds,
    loss: 1 - arrived / sent.sent,
    perPacket,
  };
}

/** Sends at a rate and counts what arrives. */
export async function forwardingTrial(
  subject: Subject,
  options: BlastOptions,
  send: (rate: number) => Promise<Sent> = (rate) => udpBlast(subject.lab, { ...options, rate }),
): Promise<Trial> {
  const sink = await udpSink(subject.lab, { size: options.size ?? 18 });
  const { result: sent, perPacket } = await withCpu(subject, async () => {
    const done = await send(options.rate);
    await sleep(settleMs);
    return done;
  });
  const { received, overflow } = await sink.stop();
  return trialOf(sent, received + overflow, perPacket);
}

/** The same for packets that are to be dropped: what the subject has looked at arrives, so to speak. */
export async function discardingTrial(subject: Subject, options: BlastOptions): Promise<Trial> {
  const before = await subject.discarded();
  const { result: sent, perPacket } = await withCpu(subject, async () => {
    const done = await udpBlast(subject.lab, options);
    await sleep(settleMs);
    return done;
  });
  return trialOf(sent, (await subject.discarded()) - before, perPacket);
}

export interface Search {
  /** Part of the packets that may be lost. */
  readonly tolerated: number;
  /** Ends when the limit is known to this factor, 1.05 say. */
  readonly precision: number;
  /** Where to begin, packets/s: what the round before has found. As much as the sender can if absent. */
  readonly near?: number | undefined;
}

export interface Found {
  readonly trial: Trial;
  /** The sender could not send enough to find the limit. */
  readonly senderLimited: boolean;
}

/** The lowest rate that is tried, as a part of where the search began. */
const searchRange = 64;
/** The first steps up or down from there. */
const stride = 1.25;
/** A sender that reaches less of what it was asked for has reached its own limit. */
const senderReaches = 0.95;

/**
 * The highest rate with no more than the tolerated loss: RFC 2544's throughput. Strides up or down until the limit lies between
 * two rates, and bisection between them, on a logarithmic scale.
 *
 * A trial that fails is repeated once: a machine that was elsewhere for a moment is not the limit of what runs on it. The rate
 * is that which arrived; 0 if even the lowest rate lost too much.
 */
export async function highestRate(
  { tolerated, precision, near }: Search,
  attempt: (rate: number) => Promise<Trial>,
): Promise<Found> {
  let best: Trial | undefined;
  const passes = async (rate: number): Promise<Trial> => {
    let trial = await attempt(rate);
    if (trial.loss > tolerated) trial = await attempt(rate);
    if (trial.loss <= tolerated && trial.rate > (best?.rate ?? 0)) best = trial;
    return trial;
  };
  const first = await passes(near ?? 0);
  if (near === undefined && best !== undefined) return { trial: best, senderLimited: true };
  const start = near ?? first.offered;
  let [low, high] = best === undefined ? [0, start] : [start, Infinity];
  while (high === Infinity) {
    const trial = await passes(low * stride);
    if (trial.loss > tolerated) high = low * stride;
    else if (trial.offered < senderReaches * low * stride) {
      return { trial: best!, senderLimited: true };
    } else low *= stride;
  }
  // Without a rate of the round before the limit may be far below: longer strides, the further it goes.
  for (
    let step = near === undefined ? 2 : stride;
    low === 0 && high > start / searchRange;
    step *= step
  ) {
    const rate = Math.max(high / step, start / searchRange);
    if ((await passes(rate)).loss > tolerated) high = rate;
    else low = rate;
  }
  while (low > 0 && high / low > precision) {
    const middle = Math.sqrt(low * high);
    if ((await passes(middle)).loss > tolerated) high = middle;
    else low = middle;
  }
  return { trial: best ?? { ...first, rate: 0 }, senderLimited: false };
}

/** What rounds have found so far, by subject and by what was searched for. */
export class Findings {
  readonly #rates = new Map<string, number>();

  /** The search goes on where the last one of this subject has ended. */
  async highestRate(
    subject: Subject,
    what: string,
    search: Search,
    attempt: (rate: number) => Promise<Trial>,
  ): Promise<Found> {
    const key = `${subject.name} ${what}`;
    const found = await highestRate({ near: this.#rates.get(key), ...search }, attempt);
    // The rate that was offered, which may be above what arrived by the tolerated loss.
    if (found.trial.rate > 0 && !found.senderLimited) this.#rates.set(key, found.trial.offered);
    else this.#rates.delete(key);
    return found;
  }
}
