/**
 * Who asks, and what he may.
 *
 * Each route says who may use it (`config.access`); one that says nothing is the owners' (fail closed):
 *
 *     public    everybody, also who is not logged in
 *     anyone    every user, whatever the role
 *     view      owner, member, billing-member
 *     owner     owner
 *
 * Who comes over the control socket is an owner: the file's mode lets in root and its group. The kernel knows which user it
 * is, Node cannot ask it; so the client tells a name for the audit log (`tunwall-actor`), which nothing else relies on. On
 * TCP there is a token (`Authorization: Bearer`) or the cookie of a session. The user is looked up for each request, so that
 * a role that was taken away or a token that was revoked counts at once.
 *
 * Every refusal is in the audit log. Those of strangers are told once a minute for each address: else
 * anybody could fill the disk.
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

/** Addresses of strangers that were told of lately. */
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
    /** `null` where nobody had to say who he is. */
    identity: Identity | null;
  }
}

/** Who made a request that only users may make. */
export function identityOf(request: FastifyRequest): Identity {
  const { identity } = request;
  if (identity === null) throw new Error('a public route asked who it is');
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

  /** Before anything else of a request is looked at. @throws HttpProblem */
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

  /** Whether who opened a stream may still read it. */
  async isStillAdmitted(request: FastifyRequest): Promise<boolean> {
    try {
      await this.#require(request, accessOf(request));
      return true;
    } catch {
      return false;
    }
  }

  /** For a route that looks closer than at the role. @returns what is to be thrown */
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
  const told = request.headers[actorHeader] ?? 'root';
  if (typeof told !== 'string' || !/^[\w.@-]{1,64}$/.test(told)) {
    throw new HttpProblem('bad-request', `${actorHeader}: expected the name of a user`);
  }
  return listener === 'socket'
    ? { actor: { name: told, via: 'socket' }, role: 'owner', via: 'socket' }
    : { actor: { name: told, via: 'cli' }, role: 'owner', via: 'cli' };
}

function tcpActor(request: FastifyRequest, user: User): Actor {
  return { name: user.name, via: 'api', address: request.ip };
}

/** Whoever it is that has not said who he is. */
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
