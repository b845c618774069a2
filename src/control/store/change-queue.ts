/**
 * How a change becomes a commit, whatever the store:
 *
 *     the newest state -> of each change that waits: guard -> edit -> draft -> validate the whole -> one commit of all
 *
 * Changes of this process that wait together are committed together. Each is judged alone, upon those before it, and has its
 * own answer, history and audit record; a refused one does not hold up the others. If the state was changed by somebody
 * else before the commit, all of it is begun anew, with the state that is there then.
 *
 * What differs between stores is behind `Commits`: what keeps others away, where the newest state comes from, and how a
 * commit is made.
 */
import { changeEvent } from './audit-events.ts';
import { makePlan } from './change-plan.ts';
import type { Plan, PlanParts } from './change-plan.ts';
import type { Reading } from './config-judge.ts';
import { StoreError } from './failures.ts';
import { requireNothingWaits } from './confirmation.ts';
import type {
  Actor,
  AuditEvent,
  AuditLog,
  ChangeOptions,
  ChangeResult,
  Edit,
  Operation,
  Unconfirmed,
  User,
} from './store.ts';
import type { Written } from './versions.ts';

/** How often changes are begun anew because of others. */
export const maxAttempts = 20;
/** So many changes at most are committed together: others may wait for their turn. */
const mostTogether = 32;

/** A change that may be made, and what it does to the files. */
export type PlannedChange = Plan & Omit<Written, 'versions' | 'changed'>;

export interface Commits<R extends Reading> {
  /** Runs `work` while nobody else commits, if this store has such a lock. */
  exclusively<T>(work: () => Promise<T>): Promise<T>;
  /** The newest state. */
  newest(): Promise<R>;
  /** The users at this moment, for guards. */
  users(): Promise<readonly User[]>;
  /** The change that waits for confirmation, in this state. */
  unconfirmed(reading: R): Promise<Unconfirmed | undefined>;
  /** Nothing waits for confirmation any more. @returns false when the state is not that of the reading any more */
  settle(reading: R, event: AuditEvent): Promise<boolean>;
  /** Finds every foreseeable obstacle before anything is written. @throws StoreError */
  allow(plan: Plan): Promise<void>;
  /** @returns false when the state is not that of the reading any more: then nothing is written */
  commit(reading: R, changes: readonly PlannedChange[]): Promise<boolean>;
  /** The refusal for a failed commit. */
  failureOf(error: unknown): StoreError;
  /** Why a change was given up that was begun anew again and again. */
  readonly busy: string;
}

/** The work of this store has to be locked, and begun, anew. */
export class PlaceReplaced extends Error {
  override name = 'PlaceReplaced';
}

/** A change that waits, and what became of it. */
interface WaitingChange {
  readonly actor: Actor;
  readonly edit: Edit;
  readonly options: ChangeOptions;
  operations: readonly Operation[];
  outcome: { readonly result: ChangeResult } | { readonly error: unknown } | undefined;
}

/** Without a plan there is nothing to write for it. */
interface Judged {
  readonly change: WaitingChange;
  readonly plan: Plan | undefined;
  readonly result: ChangeResult;
}

export class ChangeQueue<R extends Reading> {
  readonly #commits: Commits<R>;
  readonly #parts: PlanParts;
  readonly #audit: AuditLog;
  /** Who has work to do with the store, in this process, one after the other. */
  #turns: Promise<unknown> = Promise.resolve();
  readonly #waiting: Set<WaitingChange> = new Set<WaitingChange>();

  constructor(commits: Commits<R>, parts: PlanParts, audit: AuditLog) {
    this.#commits = commits;
    this.#parts = parts;
    this.#audit = audit;
  }

  /** Runs `work` when all that was asked for before has ended. */
  async inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turns.then(async () => {
      try {
        return await work();
      } catch (error) {
        throw this.#commits.failureOf(error);
      }
    });
    this.#turns = turn.catch(() => undefined);
    return await turn;
  }

  /** @throws StoreError */
  async change(actor: Actor, edit: Edit, options: ChangeOptions = {}): Promise<ChangeResult> {
    const own: WaitingChange = { actor, edit, options, operations: [], outcome: undefined };
    this.#waiting.add(own);
    try {
      await this.inTurn(async () => {
        try {
          // Who came before may have made this one, too.
          if (own.outcome === undefined) await this.#commits.exclusively(() => this.#makeWaiting());
        } finally {
          this.#waiting.delete(own);
        }
      });
      if ('error' in own.outcome!) throw own.outcome.error;
      return own.outcome!.result;
    } catch (error) {
      const failure = this.#commits.failureOf(error);
      const failed = failure.failures.some(({ kind }) => kind === 'failed');
      const result = failed ? 'failed' : 'refused';
      const { why } = options;
      await this.#audit.append(
        changeEvent(actor, own.operations, result, [], failure.message, why),
      );
      throw failure;
    }
  }

  /** Makes the changes that wait. @throws StoreError when none could be made; who still waits may try again */
  async #makeWaiting(): Promise<void> {
    for (let attempt = 1; attempt <= maxAttempts; attempt++) {
      const reading = await this.#commits.newest();
      const judged = await this.#judgeWaiting(reading);
      try {
        if (!(await this.#commit(reading, judged))) continue;
      } catch (error) {
        if (error instanceof PlaceReplaced) throw error;
        for (const { change } of judged) change.outcome = { error };
        return;
      }
      for (const { change, result } of judged) change.outcome = { result };
      return;
    }
    throw new StoreError([{ kind: 'busy', message: this.#commits.busy }]);
  }

  /** Judges each change that waits upon those before it. Settles those that are refused, and returns the others. */
  async #judgeWaiting(reading: R): Promise<Judged[]> {
    const unconfirmed = await this.#commits.unconfirmed(reading);
    const judged: Judged[] = [];
    let state: Reading = reading;
    for (const change of this.#waiting) {
      if (change.outcome !== undefined) continue;
      if (judged.length === mostTogether) break;
      try {
        change.options.guard?.(await this.#commits.users());
        change.operations = change.edit(state.snapshot);
        const { undoes } = change.options;
        // Somebody was faster.
        if (undoes !== undefined && unconfirmed?.number !== undoes) change.operations = [];
        if (undoes === undefined && change.operations.length > 0) requireNothingWaits(unconfirmed);
        // The way back begins at what the history has.
        if (judged.some(({ plan }) => plan !== undefined) && isAlone(change)) break;
        const plan = await makePlan(state, change.operations, this.#parts);
        if (plan !== undefined) {
          await this.#commits.allow(plan);
          state = { snapshot: plan.next, raw: plan.after };
        }
        const { snapshot } = state;
        judged.push({ change, plan, result: { snapshot, changed: plan?.changed ?? [] } });
        if (isAlone(change)) break;
      } catch (error) {
        change.outcome = { error };
      }
    }
    return judged;
  }

  async #commit(reading: R, judged: readonly Judged[]): Promise<boolean> {
    const planned = judged.flatMap(({ change: { actor, operations, options }, plan }) => {
      if (plan === undefined) return [];
      const { why, confirmWithinS, undoes } = options;
      const written = {
        ...(why !== undefined && { why }),
        ...(confirmWithinS !== undefined && { confirmWithinS }),
        ...(undoes !== undefined && { settles: true as const }),
      };
      return [{ actor, operations, ...written, ...plan }];
    });
    if (planned.length > 0 && !(await this.#commits.commit(reading, planned))) return false;
    for (const { change, plan } of judged) {
      if (plan !== undefined || change.operations.length === 0) continue;
      const { actor, operations, options } = change;
      // It was so already.
      if (options.undoes !== undefined) {
        const event = changeEvent(actor, operations, 'ok', [], undefined, options.why);
        if (!(await this.#commits.settle(reading, event))) return false;
        continue;
      }
      await this.#audit.append(changeEvent(actor, operations, 'ok', [], undefined, options.why));
    }
    return true;
  }
}

/** Whether it may not be committed together with others. */
function isAlone({ operations, options }: WaitingChange): boolean {
  const { confirmWithinS, undoes } = options;
  if (operations.length === 0) return false;
  return (
    (confirmWithinS ?? undoes) !== undefined ||
    operations.some(({ kind }) => kind === 'restore-policy')
  );
}
