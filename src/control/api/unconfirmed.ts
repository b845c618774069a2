/** Changes that are undone unless somebody confirms them, as clients ask for them and see them. */
import type { FastifyRequest } from 'fastify';
import type { Static } from 'typebox';
import { parseDuration } from '../../text/duration.ts';
import type { Store, Unconfirmed } from '../store/store.ts';
import { StoreError } from '../store/store.ts';
import { HttpProblem } from './http-problem.ts';
import type { unconfirmed } from './schemas.ts';

/** The header of every change that is to be confirmed. */
export const confirmHeader = 'tunwall-confirm';

const [leastS, mostS] = [5, 86_400];
export const confirmWords = `a time from ${leastS} s to 24 h: 60s, 5m, or a number of seconds`;

/** Seconds; `undefined`: it need not be confirmed. @throws HttpProblem `bad-request` */
export function confirmTimeOf({ headers }: FastifyRequest): number | undefined {
  const value = headers[confirmHeader];
  return value === undefined ? undefined : parseConfirmTime([value].flat().join(', '));
}

/** @throws HttpProblem `bad-request` */
function parseConfirmTime(text: string): number {
  const seconds = /^\d{1,6}$/.test(text.trim()) ? Number(text) : parseDuration(text);
  if (seconds !== undefined && seconds >= leastS && seconds <= mostS) return seconds;
  throw new HttpProblem('bad-request', `${confirmHeader}: expected ${confirmWords}`);
}

export function unconfirmedView(waiting: Unconfirmed): Static<typeof unconfirmed> {
  const { number, actor, ...rest } = waiting;
  const secondsLeft = Math.max(0, (Date.parse(waiting.until) - Date.now()) / 1000);
  return { revision: number, actor: actor.name, ...rest, secondsLeft };
}

/** For those who look; while the store does not answer, nothing is said. */
export async function unconfirmedIn(
  store: Pick<Store, 'unconfirmed'>,
): Promise<{ unconfirmed?: Static<typeof unconfirmed> }> {
  try {
    const waiting = await store.unconfirmed();
    return waiting === undefined ? {} : { unconfirmed: unconfirmedView(waiting) };
  } catch (error) {
    if (error instanceof StoreError) return {};
    throw error;
  }
}
