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
 * Every refusal is in the audit log. Those of unauthenticated clients are logged once a minute per address: otherwise
 * any client could fill the disk.
 */
import type { FastifyRequest } from 'fastify';
import { LRUCache } from 'lru-cache';
import type { Role } from '../../policy/users.ts';
import type { Actor, User } from '../store/store.ts';
import type { Listener } from './api.ts';
import { requireOwnHost, requireOwnOrigin } from './browser-guards.ts';
import type { ApiContext } from './context.ts';
import { HttpProblem } from './http-problem.ts';
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

export const sessionCookie = 'tunwall_session';
const actorHeader = 'tunwall-actor';

/** Addresses of unauthenticated clients that were logged lately. */
const maxStrangers = 4096;
const strangerPeriodMs = 60_000;

export interface Identity {
  readonly actor: Actor;
  readonly role: Role;
  readonly via: 'session' | 'token' | 'socket' | 'cli';
  /** With a session: its id, and when it ends at the latest. */
  readonly session?: { readonly id: string; readonly endsMs: number };
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
  /** In ms. */
  readonly now: () => number;
}

export class Gate {
  readonly #options: GateOptions;
  readonly #strangers: LRUCache<string, true>;

  constructor(options: GateOptions) {
    this.#options = options;
    this.#strangers = new LRUCache({
      max: maxStrangers,
      ttl: strangerPeriodMs,
      perf: { now: options.now },
      ttlResolution: 0,
    });
  }

  /** Runs before anything else of a request is processed. @throws HttpProblem */
  async admit(request: FastifyRequest): Promise<void> {
    const { listener, context } = this.#options;
    try {
      if (listener === 'tcp') {
        requireOwnHost(request.headers, context.hosts);
        requireOwnOrigin(request.method, request.headers, usesCookie(request));
      }
      if (request.is404) return;
      const access = accessOf(request);
      if (access !== 'public') request.identity = await this.#require(request, access);
    } catch (error) {
      if (error instanceof HttpProblem) await this.#recordDenial(request, error);
      throw error;
    }
  }

  /** Whether the client that opened a stream may still read it. */
  async isStillAdmitted(request: FastifyRequest): Promise<boolean> {
    try {
      await this.#require(request, accessOf(request));
      return true;
    } catch {
      return false;
    }
  }

  /** For a route that checks more than the role. @returns the problem to throw */
  async deny(request: FastifyRequest, detail: string): Promise<HttpProblem> {
    const problem = new HttpProblem('forbidden', detail);
    await this.#recordDenial(request, problem);
    return problem;
  }

  async #require(request: FastifyRequest, access: Access): Promise<Identity> {
    const identity = await this.#identify(request);
    if (mayAccess(identity.role, access)) return identity;
    request.identity = identity;
    throw new HttpProblem(
      'forbidden',
      `the role ${identity.role} of ${identity.actor.name} does not allow this`,
    );
  }

  async #identify(request: FastifyRequest): Promise<Identity> {
    const { listener, sessions, context } = this.#options;
    if (listener !== 'tcp') return localIdentity(request, listener);
    const { users } = context.store;
    const bearer = bearerOf(request);
    if (bearer !== undefined) {
      const found = await users.verifyToken(bearer);
      if (found === undefined) throw unauthenticated('the token is not valid (any more)');
      const { user, token } = found;
      const actor = { ...tcpActor(request, user), token };
      return { actor, role: user.role, via: 'token' };
    }
    const id = request.cookies[sessionCookie];
    if (id === undefined) throw unauthenticated('log in, or send a token');
    const session = sessions.find(id, (await users.list()).users);
    if (session === undefined) throw unauthenticated('the session has ended: log in again');
    const { user, endsMs } = session;
    return {
      actor: tcpActor(request, user),
      role: user.role,
      via: 'session',
      session: { id, endsMs },
    };
  }

  async #recordDenial(request: FastifyRequest, problem: HttpProblem): Promise<void> {
    const { identity, ip } = request;
    let { message } = problem;
    if (identity === null) {
      if (this.#strangers.has(ip)) return;
      this.#strangers.set(ip, true);
      message = `${problem.kind}: ${message}`;
    }
    const [path = ''] = request.url.split('?');
    await this.#options.context.store.audit.append({
      actor: identity?.actor ?? stranger(request),
      action: 'access',
      result: 'denied',
      target: [`${request.method} ${path}`],
      summary: message,
    });
  }
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
  return request.headers.authorization === undefined && sessionCookie in request.cookies;
}

function unauthenticated(detail: string): HttpProblem {
  return new HttpProblem('unauthenticated', detail, {}, { 'www-authenticate': 'Bearer' });
}
