/** Makes a failing case small: whatever can be left out or put back without the failure going away, is. */
import type { FuzzCase, FuzzPacket, FuzzStep } from './case.ts';

/** Whether a case still fails in the same way. */
type Fails = (fuzzCase: FuzzCase) => boolean;

/** Leaves out runs of elements, long ones first. */
function shrinkList<T>(
  list: readonly T[],
  fails: (shorter: readonly T[]) => boolean,
): readonly T[] {
  let kept = list;
  for (let run = Math.ceil(list.length / 2); run >= 1; run = Math.floor(run / 2)) {
    for (let from = kept.length - run; from >= 0; from -= run) {
      const shorter = [...kept.slice(0, from), ...kept.slice(from + run)];
      if (fails(shorter)) kept = shorter;
    }
  }
  return kept;
}

/** Simpler forms of a packet, each tried by itself. */
function simplerPackets(packet: FuzzPacket): FuzzPacket[] {
  const simpler: FuzzPacket[] = packet.edits.map((_, index) => ({
    ...packet,
    edits: packet.edits.filter((__, each) => each !== index),
  }));
  if (packet.length !== undefined) simpler.push({ ...packet, length: undefined });
  if (packet.vnetFlags !== 0) simpler.push({ ...packet, vnetFlags: 0 });
  if (packet.gsoType !== 0) simpler.push({ ...packet, gsoType: 0 });
  if (!packet.repaired) simpler.push({ ...packet, repaired: true });
  return simpler;
}

function simplerSteps(step: FuzzStep): FuzzStep[] {
  const simpler: FuzzStep[] = [];
  if (step.change !== undefined) {
    simpler.push({ ...step, change: undefined });
    if (step.change.late) simpler.push({ ...step, change: { ...step.change, late: false } });
  }
  if (step.tick) simpler.push({ ...step, tick: false });
  if (step.engine !== 0) simpler.push({ ...step, engine: 0 });
  for (const afterMs of [0, 1, 1000]) {
    if (afterMs < step.afterMs) simpler.push({ ...step, afterMs });
  }
  step.packets.forEach((packet, at) => {
    for (const each of simplerPackets(packet)) {
      simpler.push({ ...step, packets: step.packets.with(at, each) });
    }
  });
  return simpler;
}

export function shrink(failing: FuzzCase, fails: Fails): FuzzCase {
  let smallest = failing;
  const attempt = (steps: readonly FuzzStep[]): boolean => {
    const candidate = { ...smallest, steps };
    if (!fails(candidate)) return false;
    smallest = candidate;
    return true;
  };
  for (let size = Infinity; size > sizeOf(smallest);) {
    size = sizeOf(smallest);
    shrinkList(smallest.steps, attempt);
    for (let at = smallest.steps.length - 1; at >= 0; at--) {
      const step = (): FuzzStep => smallest.steps[at]!;
      shrinkList(step().packets, (packets) =>
        attempt(smallest.steps.with(at, { ...step(), packets })),
      );
      for (const simpler of simplerSteps(step())) attempt(smallest.steps.with(at, simpler));
    }
  }
  return smallest;
}

/** Gets smaller with every step of the shrinker. */
function sizeOf({ steps }: FuzzCase): number {
  return JSON.stringify(steps).length;
}
