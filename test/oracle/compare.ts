/**
 * Plays conversations to both filters and compares them: what comes out after every step, and at the end the flows that
 * each of them tracks.
 *
 * A batch of conversations is played in rounds, one step of each in a round, every conversation with an outside address of
 * its own. A conversation ends at its first difference: behind it the two filters need not agree any more, so that every
 * verdict that is compared means something.
 *
 * Both filters see the same time pass, but not to the millisecond. A batch that the machine held up for so long that a short
 * timeout could have come between them is played again.
 */
import type { EngineFixture } from '../support/engine-fixture.ts';
import type { Conversation, Place } from './conversation.ts';
import { entersFrom, sent } from './conversation.ts';
import { createEngine, judge, restarted } from './engine-filter.ts';
import { engineFlows, kernelFlows } from './flows.ts';
import type { Flow } from './flows.ts';
import type { KernelFilter } from './kernel-filter.ts';
import type { Cast } from './packets.ts';
import { buildPackets, castFor, datagramsOf, laneOf } from './packets.ts';

/** What both filters said to a step. `pass` and `drop` of the kernel stand for the datagram coming out or not. */
export interface StepVerdict {
  readonly kernel: 'pass' | 'drop';
  /** `pass`, `held` (an incomplete datagram) or the drop reason; of fragments, all that were given. */
  readonly engine: string;
}

/** Where a conversation's two performances part. */
export interface Difference {
  readonly kind: 'verdict' | 'content' | 'flows';
  /** Index of the step; for `flows` the last one. */
  readonly step: number;
  readonly kernel: string;
  readonly engine: string;
}

export interface Outcome {
  readonly conversation: Conversation;
  /** Of the steps that were played. */
  readonly verdicts: readonly StepVerdict[];
  readonly difference: Difference | undefined;
}

/** Shorter than the shortest timeout of either filter, with room for both being asked one after the other. */
const longestBatchMs = 6000;
const mostTries = 10;

/** Performances whose flows may pile up in the kernel: no two have an address in common. */
const flushAfter = 256;

/** Remaining times may differ by so much: the kernel tells whole seconds, and is asked later. */
export const timeTolerance = 4;

interface Lane {
  readonly conversation: Conversation;
  readonly cast: Cast;
  readonly verdicts: StepVerdict[];
  packets: number;
  difference: Difference | undefined;
}

export class Comparison {
  readonly #kernel: KernelFilter;
  #performances = 1;
  #sinceFlush = 0;
  /** Packets that were given to both filters. */
  packets = 0;
  /** Batches that took too long. */
  repeated = 0;

  constructor(kernel: KernelFilter) {
    this.#kernel = kernel;
  }

  /** Plays conversations side by side, `laneCount` at most; all have the settings of the first. */
  play(conversations: readonly Conversation[]): Outcome[] {
    for (let tries = 0; tries < mostTries; tries++) {
      const started = performance.now();
      const lanes = conversations.map((conversation, lane): Lane => {
        const cast = castFor(lane, this.#performances++);
        return { conversation, cast, verdicts: [], packets: 0, difference: undefined };
      });
      this.#playOnce(lanes);
      if (performance.now() - started < longestBatchMs) {
        for (const lane of lanes) this.packets += lane.packets;
        return lanes;
      }
      this.repeated++;
    }
    throw new Error(`a batch never took less than ${longestBatchMs} ms: this machine is too busy`);
  }

  #playOnce(lanes: readonly Lane[]): void {
    const kernel = this.#kernel;
    const { settings } = lanes[0]!.conversation;
    kernel.configure(settings);
    let engine = createEngine(settings);
    engine.nowMs = Math.floor(performance.now());
    const rounds = Math.max(...lanes.map((lane) => lane.conversation.steps.length));
    for (let round = 0; round < rounds; round++) {
      const playing = lanes.filter(
        (lane) => lane.difference === undefined && round < lane.conversation.steps.length,
      );
      engine.nowMs = Math.floor(performance.now());
      for (const place of ['outside', 'inside'] as const) {
        playRound(kernel, engine, playing, round, place);
      }
      if (settings.restarts) engine = restarted(engine, settings);
    }
    engine.nowMs = Math.floor(performance.now());
    if (lanes.some((lane) => lane.difference === undefined)) {
      compareFlows(lanes, kernelFlows(kernel.listFlows()), engineFlows(engine));
    }
    this.#sinceFlush += lanes.length;
    if (this.#sinceFlush >= flushAfter) {
      kernel.flush();
      this.#sinceFlush = 0;
    }
    if (kernel.lost > 0) throw new Error('a TUN device of the kernel filter has lost packets');
  }
}

function playRound(
  kernel: KernelFilter,
  engine: EngineFixture,
  lanes: readonly Lane[],
  round: number,
  place: Place,
): void {
  const acting: { lane: Lane; packets: Uint8Array[] }[] = [];
  const all: Uint8Array[] = [];
  for (const lane of lanes) {
    const { conversation, cast } = lane;
    const step = conversation.steps[round]!;
    if (entersFrom(conversation.place, sent(step).from) !== place) continue;
    const packets = buildPackets(step, round, conversation, cast);
    acting.push({ lane, packets });
    all.push(...packets);
    lane.packets += packets.length;
  }
  const outByLane = new Map<number, Uint8Array[]>();
  for (const packet of kernel.forward(place, all)) {
    const lane = laneOf(packet);
    const already = outByLane.get(lane);
    if (already === undefined) outByLane.set(lane, [packet]);
    else already.push(packet);
  }
  for (const { lane, packets } of acting) {
    compareStep(lane, round, outByLane.get(lane.cast.lane) ?? [], engine, packets);
  }
}

function compareStep(
  lane: Lane,
  step: number,
  kernelOut: readonly Uint8Array[],
  engine: EngineFixture,
  packets: readonly Uint8Array[],
): void {
  const engineOut: Uint8Array[] = [];
  const reasons = new Set<string>();
  for (const packet of packets) {
    const judged = judge(engine, packet);
    engineOut.push(...judged.out);
    // The pieces of a datagram: what is said to any of them.
    if (judged.verdict !== 'held') reasons.add(judged.verdict);
  }
  const verdict = reasons.size === 0 ? 'held' : [...reasons].join('+');
  const byKernel = datagramsOf(kernelOut);
  const byEngine = datagramsOf(engineOut);
  const kernelVerdict = byKernel.length > 0 ? 'pass' : 'drop';
  lane.verdicts.push({ kernel: kernelVerdict, engine: verdict });
  if (byKernel.length > 0 !== byEngine.length > 0) {
    lane.difference = { kind: 'verdict', step, kernel: kernelVerdict, engine: verdict };
  } else if (byKernel.join() !== byEngine.join()) {
    const [kernelText, engineText] = [byKernel, byEngine].map((datagrams) =>
      datagrams.map((datagram) => Buffer.from(datagram, 'latin1').toString('hex')).join(' and '),
    );
    lane.difference = { kind: 'content', step, kernel: kernelText!, engine: engineText! };
  }
}

function compareFlows(
  lanes: readonly Lane[],
  kernel: readonly Flow[],
  engine: readonly Flow[],
): void {
  const [kernelOf, engineOf] = [kernel, engine].map((flows) => {
    const byAddress = new Map<string, Flow[]>();
    for (const flow of flows) {
      byAddress.set(flow.outside, [...(byAddress.get(flow.outside) ?? []), flow]);
    }
    return byAddress;
  });
  for (const lane of lanes) {
    if (lane.difference !== undefined) continue;
    const ours = inOrder(engineOf!.get(lane.cast.outside) ?? []);
    const theirs = inOrder(kernelOf!.get(lane.cast.outside) ?? []);
    if (agree(ours, theirs)) continue;
    lane.difference = {
      kind: 'flows',
      step: lane.conversation.steps.length - 1,
      kernel: theirs.map(printFlow).join('; ') || 'no flow',
      engine: ours.map(printFlow).join('; ') || 'no flow',
    };
  }
}

function inOrder(flows: Flow[]): Flow[] {
  return flows.sort((a, b) => (a.text < b.text ? -1 : 1));
}

function agree(ours: readonly Flow[], theirs: readonly Flow[]): boolean {
  return (
    ours.length === theirs.length &&
    ours.every((flow, index) => {
      const other = theirs[index]!;
      return (
        flow.text === other.text &&
        (flow.leftSeconds === undefined ||
          Math.abs(flow.leftSeconds - other.leftSeconds!) <= timeTolerance)
      );
    })
  );
}

function printFlow(flow: Flow): string {
  return flow.leftSeconds === undefined
    ? flow.text
    : `${flow.text}, ${Math.round(flow.leftSeconds)} s`;
}
