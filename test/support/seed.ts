/** One seed for all randomness of a test run: printed, and taken from TUNWALL_SEED to replay a failure. */
import { randomInt } from 'node:crypto';

export const seed: number = Number(process.env.TUNWALL_SEED ?? randomInt(2 ** 31));

console.log(`TUNWALL_SEED=${seed}`);

/** mulberry32: small, good enough to choose test cases, and the same everywhere. */
export function seededRandom(start: number = seed): () => number {
  let state = start | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
