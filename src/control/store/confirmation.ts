/**
 * Changes that are undone unless somebody confirms them. The deadline lies in the store, with the change: so it outlasts the
 * process, and with gateways that share a policy any of them may confirm, and any of them undoes.
 *
 * While a change waits, no other one is made: going back would take that one away, too.
 */
import { shortened } from '../../policy/problem.ts';
import { madeEvent } from './audit-events.ts';
import { StoreError } from './failures.ts';
import type {
  Actor,
  AuditEvent,
  ChangeOptions,
  ChangeResult,
  Edit,
  Store,
  Unconfirmed,
} from './store.ts';
import type { Written } from './versions.ts';

const maxSummary = 300;

/**
 * What waits for confirmation after changes that are committed together.
 *
 * @param place the number of the change to come, and of the one before: it is asked for only if it is needed
 * @returns `null`: nothing any more; `undefined`: it is as before
 */
export async function waitingAfter(
  [change]: readonly Omit<Written, 'versions'>[],
  place: () => Promise<Pick<Unconfirmed, 'number' | 'back'>>,
): Promise<Unconfirmed | null | undefined> {
  if (change?.settles === true) return null;
  const seconds = change?.confirmWithinS;
  if (change === undefined || seconds === undefined) return undefined;
  const { actor, summary = '' } = madeEvent(change);
  const { why } = change;
  const nowMs = Date.now();
  return {
    ...(await place()),
    ...{ actor, summary: shortened(summary, maxSummary) },
    ...(why !== undefined && { why }),
    at: new Date(nowMs).toISOString(),
    until: new Date(nowMs + seconds * 1000).toISOString(),
  };
}

/** @throws StoreError the refusal of other changes */
export function requireNothingWaits(waiting: Unconfirmed | undefined): void {
  if (waiting === undefined) return;
  const { number, actor, until, summary } = waiting;
  const message = `revision ${number} of ${actor.name} (${summary}) waits for confirmation until ${until}: confirm or undo it first`;
  throw new StoreError([{ kind: 'unconfirmed', message }]);
}

/** @param number only this one @throws StoreError `not-found` */
export function requireWaiting(waiting: Unconfirmed | undefined, number?: number): Unconfirmed {
  if (waiting !== undefined && (number ?? waiting.number) === waiting.number) return waiting;
  const name = number === undefined ? '' : String(number);
  throw new StoreError([{ kind: 'not-found', what: 'unconfirmed change', name }]);
}

export function confirmedEvent(
  actor: Actor,
  { number, summary }: Unconfirmed,
  why: string | undefined,
): AuditEvent {
  return {
    ...{ actor, action: 'policy.confirm', result: 'ok' },
    target: [`revision ${number}`],
    summary: `keep: ${summary}`,
    ...(why !== undefined && { why }),
  };
}

export function isOverdue({ until }: Unconfirmed, nowMs: number): boolean {
  return nowMs >= Date.parse(until);
}

/** Undoes it, if it still waits. @throws StoreError */
export function undo(
  store: Pick<Store, 'change'>,
  actor: Actor,
  { number, back }: Unconfirmed,
  options: Pick<ChangeOptions, 'guard' | 'why'>,
): Promise<ChangeResult> {
  const edit: Edit = () => [{ kind: 'restore-policy', number: back }];
  return store.change(actor, edit, { ...options, undoes: number });
}

const clock: Actor = { name: 'clock', via: 'system' };

/** Undoes what nobody has confirmed in time. @returns what was undone. @throws StoreError */
export async function undoOverdue(
  store: Pick<Store, 'change' | 'unconfirmed'>,
  isDue: (waiting: Unconfirmed) => boolean = (waiting) => isOverdue(waiting, Date.now()),
): Promise<Unconfirmed | undefined> {
  const waiting = await store.unconfirmed();
  if (waiting === undefined || !isDue(waiting)) return undefined;
  const why = `revision ${waiting.number} was not confirmed in time`;
  await undo(store, clock, waiting, { why });
  return waiting;
}
