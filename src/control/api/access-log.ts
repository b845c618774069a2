/**
 * What any client can put into the audit log as often as it likes: thinned by user, address and route, with counts
 * (`thinning.ts`). Unauthenticated clients have a limit of their own, so that they cannot hide what a user tries. Logins
 * have one, too: they are among the records of changes, and a user who logs in again and again must not displace those.
 */
import type { FastifyRequest } from 'fastify';
import type { Actor, AuditEvent, AuditLog } from '../store/store.ts';
import type { BudgetOptions } from './budget.ts';
import { Thinning } from './thinning.ts';

/** One record a second for a day fits into the files of denials. */
const deniedBudget = { burst: 600, perSecond: 1 };

export interface Denial {
  readonly actor: Actor;
  readonly action: 'access' | 'login' | 'user.set-password';
  readonly target?: readonly string[];
  readonly summary?: string;
}

/** Logins and logouts: some a minute, for months. */
const loginBudget = { burst: 100, perSecond: 1 / 60 };

export class AccessLog {
  readonly #ofUsers: Thinning<AuditEvent>;
  readonly #ofStrangers: Thinning<AuditEvent>;
  readonly #logins: Thinning<AuditEvent>;

  constructor(audit: () => AuditLog, now: () => number) {
    const thinned = (
      budget: BudgetOptions,
      result: AuditEvent['result'],
      summary: string,
    ): Thinning<AuditEvent> =>
      new Thinning({
        ...{ now, ...budget },
        tell: (event, count) => audit().append({ ...event, ...(count > 1 && { count }) }),
        tellLeftOut: (count) =>
          audit().append({
            ...{ actor: { name: 'tunwall', via: 'system' }, action: 'access', result },
            ...{ summary, count },
          }),
      });
    const often = 'were refused too often to list each time';
    this.#ofUsers = thinned(deniedBudget, 'denied', `users ${often}`);
    this.#ofStrangers = thinned(deniedBudget, 'denied', `strangers ${often}`);
    this.#logins = thinned(
      loginBudget,
      'ok',
      'users logged in and out too often to list each time',
    );
  }

  /** @param isKnown whether the actor is authenticated */
  async denied(request: FastifyRequest, denial: Denial, isKnown: boolean): Promise<void> {
    const { method, ip, routeOptions } = request;
    const route = `${method} ${routeOptions.url ?? ''}`;
    const event: AuditEvent = { ...denial, result: 'denied' };
    const thinning = isKnown ? this.#ofUsers : this.#ofStrangers;
    await thinning.add(JSON.stringify([denial.actor.name, ip, route, denial.action]), event);
  }

  /** A login or logout. */
  async login(event: AuditEvent): Promise<void> {
    const { actor, action } = event;
    await this.#logins.add(JSON.stringify([actor.name, actor.address, action]), event);
  }

  async sweep(): Promise<void> {
    for (const each of [this.#ofUsers, this.#ofStrangers, this.#logins]) await each.sweep();
  }

  async flush(): Promise<void> {
    for (const each of [this.#ofUsers, this.#ofStrangers, this.#logins]) await each.flush();
  }
}
