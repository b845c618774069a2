/** Case K of a seed: always the same conversation. */
import type { Conversation, Place, Step } from './conversation.ts';
import { allowedPorts } from './conversation.ts';
import { icmpExchange, udpExchange, withErrors } from './datagram-generator.ts';
import { mutate } from './mutate.ts';
import { maxSteps } from './packets.ts';
import { Random } from './random.ts';
import { tcpChallenge, tcpLife, tcpWalk } from './tcp-generator.ts';

/** Shares of what a case can be. */
const kinds: readonly (readonly [number, (random: Random) => Step[]])[] = [
  [30, tcpLife],
  [25, tcpWalk],
  [15, tcpChallenge],
  [10, udpExchange],
  [12, icmpExchange],
];

export function generate(seed: number, caseNumber: number): Conversation {
  const random = new Random(seed, caseNumber);
  const place: Place = random.chance(0.7) ? 'outside' : 'inside';
  const kind = random.weighted(kinds);
  let steps = kind(random);
  if (random.chance(0.35)) steps = withErrors(steps, random);
  if (random.chance(0.6)) steps = mutate(steps, random);
  const allowed = kind === udpExchange ? allowedPorts[place].udp : allowedPorts[place].tcp;
  const port = random.chance(0.97) ? allowed : 8080;
  return { place, port, steps: steps.slice(0, maxSteps) };
}
