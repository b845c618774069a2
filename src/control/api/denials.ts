/**
 * Refusals for the audit log: thinned by user, address and route, with counts (`thinning.ts`). Unauthenticated clients
 * have a limit of their own, so that they cannot hide what a user tries.
 */
import type { FastifyRequest } from 'fastify';
import type { Actor, AuditEvent, AuditLog } from '../store/store.ts';
import { Thinning } from './thinning.ts';

/** One record a second for a day fits into the files of denials. */
const budget = { burst: 600, perSecond: 1 };

export interface Denial {
  readonly actor: Actor;
  readonly action: 'access' | 'login';
  readonly target?: readonly string[];
  readonly summary?: string;
}

export class Denials {
  readonly #ofUsers: Thinning<AuditEvent>;
  readonly #ofStrangers: Thinning<AuditEvent>;

  constructor(audit: () => AuditLog, now: () => number) {
    const thinned = (who: string): Thinning<AuditEvent> =>
      new Thinning({
        ...{ now, ...budget },
        tell: (event, count) => audit().append({ ...event, ...(count > 1 && { count }) }),
        tellLeftOut: (count) =>
          audit().append({
            ...{ actor: { name: 'tunwall', via: 'system' }, action: 'access', result: 'denied' },
            ...{ summary: `${who} were turned away too often to tell each time`, count },
          }),
      });
    this.#ofUsers = thinned('users');
    this.#ofStrangers = thinned('strangers');
  }

  /** @param isKnown whether the actor is authenticated */
  async add(request: FastifyRequest, denial: Denial, isKnown: boolean): Promise<void> {
    const { method, ip, routeOptions } = request;
    const route = `${method} ${routeOptions.url ?? ''}`;
    const event: AuditEvent = { ...denial, result: 'denied' };
    const thinning = isKnown ? this.#ofUsers : this.#ofStrangers;
    await thinning.add(JSON.stringify([denial.actor.name, ip, route, denial.action]), event);
  }

  async sweep(): Promise<void> {
    await this.#ofUsers.sweep();
    await this.#ofStrangers.sweep();
  }

  async flush(): Promise<void> {
    await this.#ofUsers.flush();
    await this.#ofStrangers.flush();
  }
}
