/**
 * Authentication and authorisation.
 *
 * Each route declares its access (`config.access`); the default is `owner` (fail closed):
 *
 *     public    every request, with or without login
 *     anyone    every user, of any role
 *     view      owner, member, billing-member
 *     owner     owner
 *
 * A client of the control socket is an owner: the file's mode admits root and its group. The kernel knows the client's
 * user, but Node cannot query it; so the client sends a name for the audit log (`tunwall-actor`), and nothing else
 * relies on it. On TCP a client sends a token (`Authorization: Bearer`) or a session cookie. The user is looked up for
 * each request, so that a withdrawn role or a revoked token takes effect at once.
 *
 * A change waits for the store, and a stream lasts: both check the access again (`Identity.guard`). Every refusal is in
 * the audit log (`access-log.ts`).
 */
import type { FastifyRequest } from 'fastify';
import type { Role } from '../../policy/users.ts';
import { StoreError } from '../store/store.ts';
import type { Actor, Guard, User } from '../store/store.ts';
import { isOpen } from './api.ts';
import type { Listener } from './api.ts';
import { AccessLog } from './access-log.ts';
import { requireOneTarget, requireOwnHost, requireOwnOrigin } from './browser-guards.ts';
import type { ApiContext } from './context.ts';
import { HttpProblem } from './http-problem.ts';
import { sessionIds } from './session-cookie.ts';
import type { Sessions } from './sessions.ts';

export type Access = 'public' | 'anyone' | 'view' | 'owner';

const allowedRoles: Readonly<Record<Exclude<Access, 'public'>, readonly Role[]>> = {
  anyone: ['owner', 'member', 'billing-member', 'billing-admin'],
  view: ['owner', 'member', 'billing-member'],
  owner: ['owner'],
};

export function mayAccess(role: Role, access: Access): boolean {
  return access === 'public' || allowedRoles[access].includes(role);
}

const actorHeader = 'tunwall-actor';

/** Characters of a path in a record. */
const maxTarget = 200;

export interface Identity {
  readonly actor: Actor;
  readonly role: Role;
  readonly via: 'session' | 'token' | 'socket' | 'cli';
  /** With a session: its id, and when it ends at the latest. */
  readonly session?: { readonly id: string; readonly endsMs: number };
  /** Whether the client still has this access. Absent: it cannot be withdrawn. */
  readonly guard?: Guard;
}

declare module 'fastify' {
  interface FastifyContextConfig {
    access?: Access;
  }
  interface FastifyRequest {
    /** `null` on public routes. */
    identity: Identity | null;
  }
}

/** The user of a request to a route that is not public. */
export function identityOf(request: FastifyRequest): Identity {
  const { identity } = request;
  if (identity === null) throw new Error('a public route needs an identity');
  return identity;
}

export interface GateOptions {
  readonly context: ApiContext;
  readonly listener: Listener;
  readonly sessions: Sessions;
  /** Whether a client's address is in `metrics.allow`. */
  readonly mayMonitor: (address: string) => boolean;
  /** In ms. */
  readonly now: () => number;
}

export class Gate {
  readonly log: AccessLog;
  readonly #options: GateOptions;

  constructor(options: GateOptions) {
    this.#options = options;
    this.log = new AccessLog(() => options.context.store.audit, options.now);
  }

  /** Runs before anything else of a request is processed. @throws HttpProblem */
  async admit(request: FastifyRequest): Promise<void> {
    const { listener, context } = this.#options;
    try {
      requireOneTarget(request.raw);
      if (listener === 'metrics') this.#requireMonitor(request);
      if (listener === 'tcp') {
        if (!this.#isMonitor(request)) requireOwnHost(request.headers, context.hosts);
        requireOwnOrigin(request.method, request.headers, usesCookie(request));
      }
      if (request.is404) return;
      const access = accessOf(request);
      if (access !== 'public') request.identity = await this.#require(request, access);
    } catch (error) {
      // A look without credentials, as of the login page, is no denial.
      const isLook = error === noCredentials;
      if (error instanceof HttpProblem && !isLook) await this.#recordDenial(request, error);
      throw error;
    }
  }

  /** Whether a request for metrics comes from a client that may ask for them by any name: nothing in them depends on it. */
  #isMonitor(request: FastifyRequest): boolean {
    return request.routeOptions.url === '/metrics' && this.#options.mayMonitor(request.ip);
  }

  /** @throws HttpProblem `forbidden` */
  #requireMonitor({ ip }: FastifyRequest): void {
    if (this.#options.mayMonitor(ip)) return;
    throw new HttpProblem('forbidden', `${ip} is not in metrics.allow of gateway.yaml`);
  }

  /** For a route that checks more than the role. @returns the problem to throw */
  async deny(request: FastifyRequest, detail: string): Promise<HttpProblem> {
    const problem = new HttpProblem('forbidden', detail);
    await this.#recordDenial(request, problem);
    return problem;
  }

  async #require(request: FastifyRequest, access: Access): Promise<Identity> {
    const identity = await this.#identify(request, access);
    if (mayAccess(identity.role, access)) return identity;
    request.identity = identity;
    throw new HttpProblem(
      'forbidden',
      `the role ${identity.role} of ${identity.actor.name} does not allow this`,
    );
  }

  async #identify(request: FastifyRequest, access: Access): Promise<Identity> {
    const { listener, context } = this.#options;
    if (!isOpen(listener)) return localIdentity(request, listener);
    const bearer = bearerOf(request);
    if (bearer === undefined) return await this.#identifySession(request, access);
    const found = await context.store.users.verifyToken(bearer);
    if (found === undefined) throw unauthenticated('the token is not valid (any more)');
    const { user, token } = found;
    const created = createdOf(user, token);
    const guard: Guard = (users) => {
      const now = users.find(({ name }) => name === user.name);
      const holds = now?.tokens.some((each) => each.name === token && each.created === created);
      requireStill(holds === true ? now : undefined, access);
    };
    const actor = { ...tcpActor(request, user), token };
    return { actor, role: user.role, via: 'token', guard };
  }

  async #identifySession(request: FastifyRequest, access: Access): Promise<Identity> {
    const { sessions, context } = this.#options;
    const ids = sessionIds(request);
    if (ids.length === 0) throw noCredentials;
    const { users } = await context.store.users.list();
    for (const id of ids) {
      const session = sessions.find(id, users);
      if (session === undefined) continue;
      const { user, endsMs } = session;
      return {
        ...{ actor: tcpActor(request, user), role: user.role, via: 'session' },
        session: { id, endsMs },
        guard: (now) => requireStill(sessions.find(id, now)?.user, access),
      };
    }
    throw unauthenticated('the session has ended: log in again');
  }

  async #recordDenial(request: FastifyRequest, problem: HttpProblem): Promise<void> {
    const { identity } = request;
    const actor = identity?.actor ?? stranger(request);
    const { kind, message } = problem;
    const summary = identity === null ? `${kind}: ${message}` : message;
    const [path = ''] = request.url.split('?');
    const target = [`${request.method} ${path.slice(0, maxTarget)}`];
    const denial = { actor, action: 'access', target, summary } as const;
    await this.log.denied(request, denial, identity !== null);
  }
}

/** @throws StoreError `unauthenticated` unless the user is there and has the right role */
function requireStill(user: User | undefined, access: Access): void {
  if (user !== undefined && mayAccess(user.role, access)) return;
  const message = 'what you have logged in with has ended meanwhile';
  throw new StoreError([{ kind: 'unauthenticated', message }]);
}

function createdOf({ tokens }: User, name: string): string | undefined {
  return tokens.find((each) => each.name === name)?.created;
}

function accessOf(request: FastifyRequest): Access {
  return request.routeOptions.config.access ?? 'owner';
}

function localIdentity(request: FastifyRequest, listener: 'socket' | 'in-process'): Identity {
  const name = request.headers[actorHeader] ?? 'root';
  if (typeof name !== 'string' || !/^[\w.@-]{1,64}$/.test(name)) {
    throw new HttpProblem('bad-request', `${actorHeader}: expected the name of a user`);
  }
  return listener === 'socket'
    ? { actor: { name, via: 'socket' }, role: 'owner', via: 'socket' }
    : { actor: { name, via: 'cli' }, role: 'owner', via: 'cli' };
}

function tcpActor(request: FastifyRequest, user: User): Actor {
  return { name: user.name, via: 'api', address: request.ip };
}

/** The actor of an unauthenticated request. */
export function stranger(request: FastifyRequest, name = 'nobody'): Actor {
  return { name, via: 'api', address: request.ip };
}

function bearerOf({ headers }: FastifyRequest): string | undefined {
  const { authorization } = headers;
  if (authorization === undefined) return undefined;
  return /^Bearer +(\S+)$/i.exec(authorization)?.[1] ?? '';
}

function usesCookie(request: FastifyRequest): boolean {
  return request.headers.authorization === undefined && sessionIds(request).length > 0;
}

const noCredentials = unauthenticated('log in, or send a token');

function unauthenticated(detail: string): HttpProblem {
  return new HttpProblem('unauthenticated', detail, {}, { 'www-authenticate': 'Bearer' });
}
