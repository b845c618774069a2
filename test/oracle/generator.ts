/** Case K of a seed: always the same conversation. */
import type { Conversation, Place, Settings, Step } from './conversation.ts';
import { allowedPorts, usualSettings } from './conversation.ts';
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

/** So many cases in a row have the same settings, and are played side by side. */
export const lanes = 128;

/** Every second lot picks up connections; half of each has no limit on the distance of fragments; a third of all is restarted. */
function settingsOf(caseNumber: number): Settings {
  const lot = Math.floor(caseNumber / lanes);
  return {
    loose: lot % 2 === 1,
    fragmentDistance: lot % 4 < 2 ? usualSettings.fragmentDistance : 0,
    restarts: lot % 3 === 2,
  };
}

export function generate(seed: number, caseNumber: number): Conversation {
  const random = new Random(seed, caseNumber);
  const place: Place = random.chance(0.7) ? 'outside' : 'inside';
  const kind = random.weighted(kinds);
  const settings = settingsOf(caseNumber);
  let steps = kind(random);
  // Where connections are picked up, many have begun before.
  if (settings.loose && random.chance(0.5)) steps = steps.slice(random.int(0, steps.length - 1));
  if (random.chance(0.35)) steps = withErrors(steps, random);
  if (random.chance(0.6)) steps = mutate(steps, random);
  const allowed = kind === udpExchange ? allowedPorts[place].udp : allowedPorts[place].tcp;
  const port = random.chance(0.97) ? allowed : 8080;
  return { settings, place, port, steps: steps.slice(0, maxSteps) };
}
