/**
 * Users, their roles, passwords and tokens. Owners may change all of them. Every user may change their own tokens, and
 * their own password by giving the current one.
 */
import { Type } from 'typebox';
import { formatProblem } from '../../../policy/problem.ts';
import { StoreError } from '../../store/store.ts';
import type { Guard, User } from '../../store/store.ts';
import { identityOf } from '../access.ts';
import type { Gate } from '../access.ts';
import type { Denial } from '../access-log.ts';
import type { Api, Request } from '../api.ts';
import { changeOptions } from '../changes.ts';
import type { ApiContext } from '../context.ts';
import { asProblem, HttpProblem, invalid, problemOf } from '../http-problem.ts';
import type { LoginThrottle } from '../login-throttle.ts';
import type { OwnChanges } from '../own-changes.ts';
import * as schemas from '../schemas.ts';
import * as userSchemas from '../user-schemas.ts';
import type { Sessions } from '../sessions.ts';
import { notFound } from '../views.ts';

const tags = ['users'];
const password = Type.String({ title: 'a password', maxLength: 4096 });

export interface UserRouteOptions {
  readonly gate: Gate;
  readonly sessions: Sessions;
  readonly throttle: LoginThrottle;
  readonly ownChanges: OwnChanges;
}

export function userRoutes(app: Api, context: ApiContext, options: UserRouteOptions): void {
  listRoutes(app, context);
  changeRoutes(app, context);
  ownRoutes(app, context, options);
  tokenRoutes(app, context, options);
}

function listRoutes(app: Api, { store }: ApiContext): void {
  app.get(
    '/users',
    {
      schema: {
        tags,
        summary: 'List users',
        response: { 200: userSchemas.userList, ...schemas.problems },
      },
    },
    async () => {
      const { users, problems } = await store.users.list();
      return { users: users.map(userView), problems: problems.map(formatProblem) };
    },
  );
}

function changeRoutes(app: Api, { store }: ApiContext): void {
  const { users } = store;
  app.post(
    '/users',
    {
      schema: {
        tags,
        summary: 'Create a user; without a password the user has tokens only',
        body: Type.Object(
          {
            name: schemas.nameSchema,
            role: userSchemas.roleSchema,
            password: Type.Optional(password),
          },
          { additionalProperties: false },
        ),
        response: { 201: userSchemas.user, ...schemas.problems },
      },
    },
    async (request, reply) => {
      const { actor } = identityOf(request);
      const guard = makingGuard(request, request.body.role);
      const options = changeOptions(request, guard);
      const user = await asProblem(users.create(actor, request.body, options));
      const location = `/v1/users/${encodeURIComponent(user.name)}`;
      return reply.code(201).header('location', location).send(userView(user));
    },
  );

  app.put(
    '/users/:name/role',
    {
      schema: {
        tags,
        summary: 'Give a user another role',
        params: schemas.nameParams,
        body: Type.Object({ role: userSchemas.roleSchema }, { additionalProperties: false }),
        response: { 200: userSchemas.user, ...schemas.problems },
      },
    },
    async (request) => {
      const { params, body } = request;
      const { actor } = identityOf(request);
      const mayChange = credentialGuard(request, params.name, 'role');
      const mayMake = makingGuard(request, body.role);
      const guard: Guard = (now) => {
        mayChange(now);
        mayMake(now);
      };
      const options = changeOptions(request, guard);
      return userView(await asProblem(users.setRole(actor, params.name, body.role, options)));
    },
  );

  app.delete(
    '/users/:name',
    {
      schema: {
        tags,
        summary: 'Destroy a user: sessions and tokens end',
        params: schemas.nameParams,
        response: { 204: Type.Null(), ...schemas.problems },
      },
    },
    async (request, reply) => {
      const { name } = request.params;
      const options = changeOptions(request, credentialGuard(request, name, 'account'));
      await asProblem(users.destroy(identityOf(request).actor, name, options));
      return reply.code(204).send(null);
    },
  );
}

function ownRoutes(app: Api, context: ApiContext, options: UserRouteOptions): void {
  const { users } = context.store;
  const { gate } = options;
  app.get(
    '/users/:name',
    {
      config: { access: 'anyone' },
      schema: {
        tags,
        summary: 'Show a user: owners any, everybody himself',
        params: schemas.nameParams,
        response: { 200: userSchemas.user, ...schemas.problems },
      },
    },
    async (request) => {
      const { name } = request.params;
      await requireOwn(gate, request, name);
      const found = (await context.store.users.list()).users.find((each) => each.name === name);
      if (found === undefined) throw notFound('user', name);
      return userView(found);
    },
  );

  app.put(
    '/users/:name/password',
    {
      config: { access: 'anyone' },
      schema: {
        tags,
        summary: 'Set a password',
        description:
          'Of others: owners. One’s own: with the one before. Of an owner: with a session or over the socket, not with a token. ' +
          'Other sessions end. `tokens` of the answer are those made before, which go on, unless `revokeTokens`.',
        params: schemas.nameParams,
        body: Type.Object(
          {
            password,
            current: Type.Optional(password),
            revokeTokens: Type.Optional(Type.Boolean({ title: 'true or false' })),
          },
          { additionalProperties: false },
        ),
        response: { 200: userSchemas.user, ...schemas.problems },
      },
    },
    async (request) => {
      const { name } = request.params;
      await requireOwn(gate, request, name);
      takeOwnChange(request, options);
      const mayChange = credentialGuard(request, name, 'password');
      await requireNow(context, gate, request, mayChange);
      const isStillCurrent = isOwn(request, name)
        ? await requireCurrent(context, options, request, name)
        : undefined;
      const { password: next, revokeTokens = false } = request.body;
      const guard: Guard = (now) => {
        mayChange(now);
        isStillCurrent?.(now);
      };
      const { actor, session } = identityOf(request);
      const how = { revokeTokens, ...changeOptions(request, guard) };
      const user = await asProblem(users.setPassword(actor, name, next, how));
      if (session !== undefined && actor.name === name) options.sessions.renew(session.id, user);
      return userView(user);
    },
  );
}

function tokenRoutes(app: Api, context: ApiContext, options: UserRouteOptions): void {
  const { users } = context.store;
  const { gate } = options;
  app.post(
    '/users/:name/tokens',
    {
      config: { access: 'anyone' },
      schema: {
        tags,
        summary: 'Make an API token; it is in the answer, and nowhere else',
        params: schemas.nameParams,
        body: Type.Object({ name: schemas.nameSchema }, { additionalProperties: false }),
        response: { 201: userSchemas.newToken, ...schemas.problems },
      },
    },
    async (request, reply) => {
      const { params, body } = request;
      await requireOwn(gate, request, params.name);
      takeOwnChange(request, options);
      const { actor } = identityOf(request);
      const guard = credentialGuard(request, params.name, 'new token');
      const how = changeOptions(request, guard);
      const { token } = await asProblem(users.createToken(actor, params.name, body.name, how));
      return reply.code(201).send({ name: body.name, token });
    },
  );

  app.delete(
    '/users/:name/tokens/:token',
    {
      config: { access: 'anyone' },
      schema: {
        tags,
        summary: 'Revoke an API token: it ends at once',
        params: Type.Object({ name: Type.String(), token: Type.String() }),
        response: { 204: Type.Null(), ...schemas.problems },
      },
    },
    async (request, reply) => {
      const { name, token } = request.params;
      await requireOwn(gate, request, name);
      takeOwnChange(request, options);
      const how = changeOptions(request, credentialGuard(request, name, 'tokens'));
      await asProblem(users.revokeToken(identityOf(request).actor, name, token, how));
      return reply.code(204).send(null);
    },
  );
}

/** @throws HttpProblem `forbidden` unless the caller is an owner or that user */
async function requireOwn(gate: Gate, request: Request, name: string): Promise<void> {
  const { actor, role } = identityOf(request);
  if (role === 'owner' || isOwn(request, name)) return;
  throw await gate.deny(request, `${actor.name} may neither see nor change ${name}`);
}

/** A client of the socket is not a user, whatever name it sends. */
function isOwn(request: Request, name: string): boolean {
  const { actor, via } = identityOf(request);
  return (via === 'session' || via === 'token') && actor.name === name;
}

/**
 * Each change of a user is a record in the audit log, and those of owners are there, too: a user who is no owner may make
 * a limited number of them. @throws HttpProblem `too-many-requests`
 */
function takeOwnChange(request: Request, { ownChanges }: UserRouteOptions): void {
  const { actor, role } = identityOf(request);
  if (role === 'owner' || ownChanges.take(actor.name)) return;
  const message = 'too many changes of your account: try again in a minute';
  throw new HttpProblem('too-many-requests', message, {}, { 'retry-after': '60' });
}

/**
 * Tokens are kept in files and scripts, and are found there. An owner's token must not suffice to take an owner's account
 * over, nor to make one, nor to outlive itself: it may not set the password of an owner, nor make a token for one, nor
 * change tokens and role of another owner, nor destroy one, nor make anybody an owner. Who revokes it is rid of it.
 *
 * @returns a guard that checks this, and whether the client still has its access
 */
function credentialGuard(
  request: Request,
  name: string,
  what: 'password' | 'new token' | 'tokens' | 'role' | 'account',
): Guard {
  const { via, guard } = identityOf(request);
  return (users) => {
    guard?.(users);
    if (via !== 'token' || users.find((each) => each.name === name)?.role !== 'owner') return;
    if (what === 'new token') throw notWithToken('make a token of an owner');
    if (what === 'password' || !isOwn(request, name)) {
      throw notWithToken(`change the ${what} of an owner`);
    }
  };
}

/** A guard that checks whether the client may make users of this role, and still has its access. */
function makingGuard(request: Request, role: string): Guard {
  const { via, guard } = identityOf(request);
  return (users) => {
    guard?.(users);
    if (via === 'token' && role === 'owner') throw notWithToken('make somebody an owner');
  };
}

function notWithToken(what: string): StoreError {
  const message = `a token may not ${what}: log in, or use the control socket`;
  return new StoreError([{ kind: 'forbidden', message }]);
}

/** Checks a guard before any work is done; the store checks it again. @throws HttpProblem */
async function requireNow(
  { store }: ApiContext,
  gate: Gate,
  request: Request,
  guard: Guard,
): Promise<void> {
  try {
    guard((await store.users.list()).users);
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    if (error.failures[0]!.kind === 'forbidden') throw await gate.deny(request, error.message);
    throw problemOf(error);
  }
}

/**
 * An open browser or a stolen token must not suffice to take the account over.
 *
 * @returns a guard that checks that the verified password is still the current one
 * @throws HttpProblem
 */
async function requireCurrent(
  { store }: ApiContext,
  options: UserRouteOptions,
  request: Request,
  name: string,
): Promise<Guard> {
  const { current } = request.body as { current?: string };
  if (current === undefined) {
    throw invalid([{ path: 'current', message: 'expected the password that you have now' }]);
  }
  const { actor } = identityOf(request);
  const denial = { actor, action: 'user.set-password', target: [name] } as const;
  const user = await throttled(options, request, {
    ...{ name, refusal: denial },
    verify: () => store.users.verifyPassword(name, current),
  });
  if (user === undefined) {
    const summary = 'the current password was wrong';
    await options.gate.log.denied(request, { ...denial, summary }, true);
    throw invalid([{ path: 'current', message: 'this is not the password that you have now' }]);
  }
  return (users) => {
    const now = users.find((each) => each.name === name);
    if (now?.generation === user.generation) return;
    const message = 'role or password were changed meanwhile';
    throw new StoreError([{ kind: 'unauthenticated', message }]);
  };
}

interface PasswordAttempt {
  /** Of the user. */
  readonly name: string;
  /** For the audit log, without a summary, if the throttle forbids the attempt. */
  readonly refusal: Denial;
  readonly verify: () => Promise<User | undefined>;
}

/** Checks a password, unless the throttle forbids another attempt yet. @throws HttpProblem `too-many-requests` */
export async function throttled(
  { throttle, gate }: UserRouteOptions,
  request: Request,
  { name, refusal, verify }: PasswordAttempt,
): Promise<User | undefined> {
  const attempt = throttle.begin(request.ip, name);
  if (!attempt.allowed) {
    const summary = 'too many wrong passwords: this one was not checked';
    await gate.log.denied(request, { ...refusal, summary }, request.identity !== null);
    const seconds = Math.ceil(attempt.waitMs / 1000);
    throw new HttpProblem(
      'too-many-requests',
      `too many wrong passwords: try again in ${seconds} s`,
      {},
      { 'retry-after': String(seconds) },
    );
  }
  let user: User | undefined;
  try {
    user = await verify();
    return user;
  } finally {
    attempt.finish(user !== undefined);
  }
}

function userView({ name, role, hasPassword, tokens, revision }: User): Omit<User, 'generation'> {
  return { name, role, hasPassword, tokens, revision };
}
