/**
 * Users, their roles, passwords and tokens. Owners may change all of them. Every user may change their own tokens, and
 * their own password by giving the current one.
 */
import { Type } from 'typebox';
import { formatProblem } from '../../../policy/problem.ts';
import type { User } from '../../store/store.ts';
import { identityOf } from '../access.ts';
import type { Gate } from '../access.ts';
import type { Api, Request } from '../api.ts';
import type { ApiContext } from '../context.ts';
import { asProblem, HttpProblem, invalid } from '../http-problem.ts';
import type { LoginThrottle } from '../login-throttle.ts';
import * as schemas from '../schemas.ts';
import type { Sessions } from '../sessions.ts';
import { notFound } from '../views.ts';

const tags = ['users'];
const password = Type.String({ title: 'a password', maxLength: 4096 });

export interface UserRouteOptions {
  readonly gate: Gate;
  readonly sessions: Sessions;
  readonly throttle: LoginThrottle;
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
        response: { 200: schemas.userList, ...schemas.problems },
      },
    },
    async () => {
      const { users, problems } = await store.users.list();
      return { users, problems: problems.map(formatProblem) };
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
            role: schemas.roleSchema,
            password: Type.Optional(password),
          },
          { additionalProperties: false },
        ),
        response: { 201: schemas.user, ...schemas.problems },
      },
    },
    async (request, reply) => {
      const user = await asProblem(users.create(identityOf(request).actor, request.body));
      const location = `/v1/users/${encodeURIComponent(user.name)}`;
      return reply.code(201).header('location', location).send(user);
    },
  );

  app.put(
    '/users/:name/role',
    {
      schema: {
        tags,
        summary: 'Give a user another role',
        params: schemas.nameParams,
        body: Type.Object({ role: schemas.roleSchema }, { additionalProperties: false }),
        response: { 200: schemas.user, ...schemas.problems },
      },
    },
    (request) =>
      asProblem(users.setRole(identityOf(request).actor, request.params.name, request.body.role)),
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
      await asProblem(users.destroy(identityOf(request).actor, request.params.name));
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
        response: { 200: schemas.user, ...schemas.problems },
      },
    },
    async (request) => {
      const { name } = request.params;
      await requireOwn(gate, request, name);
      const found = (await context.store.users.list()).users.find((each) => each.name === name);
      if (found === undefined) throw notFound('user', name);
      return found;
    },
  );

  app.put(
    '/users/:name/password',
    {
      config: { access: 'anyone' },
      schema: {
        tags,
        summary: 'Set a password',
        description: 'Of others: owners. One’s own: with the one before. Other sessions end.',
        params: schemas.nameParams,
        body: Type.Object(
          { password, current: Type.Optional(password) },
          { additionalProperties: false },
        ),
        response: { 200: schemas.user, ...schemas.problems },
      },
    },
    async (request) => {
      const { name } = request.params;
      await requireOwn(gate, request, name);
      if (isOwn(request, name)) await requireCurrent(context, options, request, name);
      const { actor } = identityOf(request);
      const user = await asProblem(users.setPassword(actor, name, request.body.password));
      renewOwn(options, request, user);
      return user;
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
        response: { 201: schemas.newToken, ...schemas.problems },
      },
    },
    async (request, reply) => {
      const { params, body } = request;
      await requireOwn(gate, request, params.name);
      const { actor } = identityOf(request);
      const { token } = await asProblem(users.createToken(actor, params.name, body.name));
      await renewAfter(context, options, request, params.name);
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
      await asProblem(users.revokeToken(identityOf(request).actor, name, token));
      await renewAfter(context, options, request, name);
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

/** An open browser or a stolen token must not suffice to take the account over. @throws HttpProblem */
async function requireCurrent(
  { store }: ApiContext,
  { throttle }: UserRouteOptions,
  request: Request,
  name: string,
): Promise<void> {
  const { current } = request.body as { current?: string };
  if (current === undefined) {
    throw invalid([{ path: 'current', message: 'expected the password that you have now' }]);
  }
  const user = await throttled(throttle, request, name, () =>
    store.users.verifyPassword(name, current),
  );
  if (user !== undefined) return;
  throw invalid([{ path: 'current', message: 'this is not the password that you have now' }]);
}

/** Checks a password, unless the throttle forbids another attempt yet. @throws HttpProblem `too-many-requests` */
export async function throttled(
  throttle: LoginThrottle,
  request: Request,
  name: string,
  verify: () => Promise<User | undefined>,
): Promise<User | undefined> {
  const attempt = throttle.begin(request.ip, name);
  if (!attempt.allowed) {
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

function renewOwn({ sessions }: UserRouteOptions, request: Request, user: User): void {
  const { session, actor } = identityOf(request);
  if (session !== undefined && actor.name === user.name) sessions.renew(session.id, user.revision);
}

async function renewAfter(
  { store }: ApiContext,
  options: UserRouteOptions,
  request: Request,
  name: string,
): Promise<void> {
  const user = (await store.users.list()).users.find((each) => each.name === name);
  if (user !== undefined) renewOwn(options, request, user);
}
