/** The flow table's invariants, checked by walking all of it. Throws with what is broken. */
import { flowListCount } from '../../src/dataplane/flow/flow-lists.ts';
import { Control, shareBucket } from '../../src/dataplane/flow/flow-memory.ts';
import type { FlowMemory } from '../../src/dataplane/flow/flow-memory.ts';
import {
  Cold,
  Direction,
  Hot,
  StateBits,
  coldWords,
  flowStateCount,
  hotShift,
} from '../../src/dataplane/flow/flow-record.ts';
import { maxChainLength } from '../../src/dataplane/flow/flow-table.ts';

function must(condition: boolean, what: string): void {
  if (!condition) throw new Error(`flow table: ${what}`);
}

/** The server in whose share a flow is: the one that opened it, or that it was opened to from outside. */
export function serverOf(hot: Int32Array, flow: number): number {
  const record = flow << hotShift;
  const direction =
    (hot[record + Hot.state]! & StateBits.directionMask) >> StateBits.directionShift;
  return hot[record + (direction === Direction.inbound ? Hot.replyAddr : Hot.originalAddr)]!;
}

/** No share that is not a flow's: a walk over all of them, for when the table should be empty or a test ends. */
export function checkShares(memory: FlowMemory): void {
  const shared = new Int32Array(memory.shares).reduce((sum, count) => sum + Math.abs(count), 0);
  const used = new Int32Array(memory.control)[Control.used]!;
  must(shared === used, `shares add up to ${shared}, ${used} flows counted`);
}

/** @returns the indices of all flows in the table */
export function checkFlowTable(memory: FlowMemory): Set<number> {
  const hot = new Int32Array(memory.hot);
  const cold = new Int32Array(memory.cold);
  const control = new Int32Array(memory.control);
  const buckets = new Int32Array(memory.buckets);
  const shares = new Int32Array(memory.shares);
  const stateOf = (flow: number): number => hot[(flow << hotShift) + Hot.state]!;

  const chained = new Set<number>();
  for (let bucket = 0; bucket < buckets.length; bucket++) {
    let length = 0;
    for (let flow = buckets[bucket]!; flow !== 0; flow = hot[(flow << hotShift) + Hot.next]!) {
      must(!chained.has(flow), `flow ${flow} is in two places of the chains (bucket ${bucket})`);
      must((stateOf(flow) & StateBits.inUse) !== 0, `flow ${flow} is chained but free`);
      chained.add(flow);
      length++;
    }
    must(length <= maxChainLength, `chain ${bucket} has ${length} flows`);
  }

  const listed = new Set<number>();
  for (let list = 0; list < flowListCount; list++) {
    let previous = 0;
    let length = 0;
    let flow = control[Control.head + list]!;
    for (; flow !== 0; flow = cold[flow * coldWords + Cold.next]!) {
      must(!listed.has(flow), `flow ${flow} is on two lists or in a loop (list ${list})`);
      must(cold[flow * coldWords + Cold.previous] === previous, `back link of flow ${flow}`);
      const named = (stateOf(flow) & StateBits.listMask) >> StateBits.listShift;
      must(named === list, `flow ${flow} is on list ${list} but says ${named}`);
      listed.add(flow);
      previous = flow;
      length++;
    }
    must(control[Control.tail + list] === previous, `tail of list ${list}`);
    must(control[Control.listLength + list] === length, `length of list ${list}`);
  }

  const used = control[Control.used]!;
  must(chained.size === used, `${chained.size} flows in chains, ${used} counted`);
  must(listed.size === used, `${listed.size} flows on lists, ${used} counted`);
  must(used <= memory.capacity, `${used} flows in a table of ${memory.capacity}`);
  for (const flow of listed) must(chained.has(flow), `flow ${flow} is listed but not chained`);

  const perState = new Array<number>(flowStateCount).fill(0);
  for (const flow of chained) perState[stateOf(flow) & StateBits.stateMask]! += 1;
  perState.forEach((count, state) => {
    must(control[Control.stateCount + state] === count, `count of state ${state}`);
  });
  const perShare = new Map<number, number>();
  for (const flow of chained) {
    const share = shareBucket(serverOf(hot, flow));
    perShare.set(share, (perShare.get(share) ?? 0) + 1);
  }
  for (const [share, count] of perShare) {
    must(shares[share] === count, `share ${share} says ${shares[share]} flows, it has ${count}`);
  }

  const free = new Set<number>();
  for (
    let flow = control[Control.freeHead]!;
    flow !== 0;
    flow = hot[(flow << hotShift) + Hot.next]!
  ) {
    must(!free.has(flow), `loop in the free list at ${flow}`);
    must(!chained.has(flow), `flow ${flow} is free and in use`);
    must(hot[(flow << hotShift) + Hot.state] === 0, `free flow ${flow} has a state`);
    free.add(flow);
  }
  must(
    free.size + used === control[Control.firstFresh]! - 1,
    `${free.size} free and ${used} used of ${control[Control.firstFresh]! - 1} records`,
  );
  return chained;
}
