/** UDP exchanges, ICMP queries, and ICMP errors about either or about TCP. */
import type { Changes, End, Fields, Step } from './conversation.ts';
import { otherEnd, sent, stepOf } from './conversation.ts';
import type { Random } from './random.ts';

const ends: readonly End[] = ['opener', 'responder'];

export function udpExchange(random: Random): Step[] {
  const steps: Step[] = [];
  for (let times = random.int(1, 8); times > 0; times--) {
    const from = steps.length === 0 && random.chance(0.9) ? 'opener' : random.pick(ends);
    const given: Changes = {
      length: random.pick([0, 1, 8, 100, 511, 512]),
      ...(random.chance(0.1) && { checksum: 'none' as const }),
    };
    steps.push(stepOf(from, 'udp', given));
  }
  return steps;
}

const queries: readonly (readonly [number, number])[] = [
  [8, 0],
  [8, 0],
  [8, 0],
  [13, 14],
  [15, 16],
  [17, 18],
];

export function icmpExchange(random: Random): Step[] {
  const steps: Step[] = [];
  const [request, reply] = random.pick(queries);
  const ids = [random.int(0, 65_535), random.int(0, 65_535)];
  for (let times = random.int(1, 8); times > 0; times--) {
    const asks = random.chance(0.5);
    const opens = random.chance(0.75);
    const given: Changes = {
      type: asks ? request : reply,
      id: random.chance(0.8) ? ids[0]! : ids[1]!,
      rest: times,
      length: random.pick([0, 8, 56, 1000]),
      ...(random.chance(0.1) && { code: random.int(0, 3) }),
      ...(random.chance(0.05) && { type: random.int(0, 20) }),
    };
    steps.push(stepOf(asks === opens ? 'opener' : 'responder', 'query', given));
  }
  return steps;
}

/** Types of errors with the share that they have, and the codes that make sense. */
const errors: readonly (readonly [number, readonly [number, readonly number[]]])[] = [
  [8, [3, [0, 1, 2, 3, 4, 9, 10, 13]]],
  [4, [11, [0, 1]]],
  [2, [12, [0, 1, 2]]],
  [1, [4, [0]]],
  [1, [5, [0, 1]]],
];

/** An error about a datagram: from the end that it went to, or from a router on the way, on either side. */
export function errorAbout(step: Step, random: Random): Step {
  const quoted = sent(step);
  const [type, codes] = random.weighted(errors);
  const code = random.pick(codes);
  return stepOf(otherEnd(quoted.from), 'error', {
    type,
    code,
    rest: type === 3 && code === 4 ? 1400 : 0,
    router: random.chance(0.5),
    quote: asSeenUnderway(quoted),
    keep: random.pick([28, 28, 28, 48, 68, 100, 548]),
  });
}

/** What is quoted is what was sent, in one piece. */
function asSeenUnderway(fields: Fields): Fields {
  const seen = { ...fields };
  delete seen.quote;
  delete seen.pieces;
  return seen;
}

/** Puts errors about earlier steps into a conversation. */
export function withErrors(steps: readonly Step[], random: Random): Step[] {
  const result: Step[] = [];
  for (const step of steps) {
    result.push(step);
    if (random.chance(0.25)) result.push(errorAbout(random.pick(result.filter(isNoError)), random));
  }
  return result;
}

function isNoError(step: Step): boolean {
  return step.base.kind !== 'error';
}
