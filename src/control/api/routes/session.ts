/** Log in, show the session, log out. */
import { Type } from 'typebox';
import { namePattern } from '../../../policy/validate.ts';
import { identityOf, mayAccess, stranger } from '../access.ts';
import type { Identity } from '../access.ts';
import type { Api } from '../api.ts';
import type { ApiContext } from '../context.ts';
import { HttpProblem } from '../http-problem.ts';
import * as schemas from '../schemas.ts';
import * as userSchemas from '../user-schemas.ts';
import { clearSessionCookies, setSessionCookie } from '../session-cookie.ts';
import { throttled } from './users.ts';
import type { UserRouteOptions } from './users.ts';

const tags = ['session'];

export function sessionRoutes(app: Api, context: ApiContext, options: UserRouteOptions): void {
  const { sessions, gate } = options;
  loginRoute(app, context, options);

  app.get(
    '/session',
    {
      config: { access: 'anyone' },
      schema: {
        tags,
        summary: 'The current user and its role',
        response: { 200: userSchemas.session, ...schemas.problems },
      },
    },
    (request) => sessionView(identityOf(request)),
  );

  app.delete(
    '/session',
    {
      config: { access: 'anyone' },
      schema: {
        tags,
        summary: 'Log out',
        response: { 204: Type.Null(), ...schemas.problems },
      },
    },
    async (request, reply) => {
      const { session, actor } = identityOf(request);
      if (session !== undefined) {
        sessions.end(session.id);
        await gate.log.login({ actor, action: 'logout', result: 'ok', target: [actor.name] });
      }
      clearSessionCookies(reply);
      return reply.code(204).send(null);
    },
  );
}

function loginRoute(app: Api, { store }: ApiContext, options: UserRouteOptions): void {
  const { sessions, gate } = options;
  app.post(
    '/session',
    {
      config: { access: 'public' },
      schema: {
        tags,
        summary: 'Log in: the answer has a cookie',
        body: Type.Object(
          {
            name: Type.String({ title: 'a name', maxLength: 63 }),
            password: Type.String({ title: 'a password', maxLength: 4096 }),
          },
          { additionalProperties: false },
        ),
        response: { 200: userSchemas.session, ...schemas.problems },
      },
    },
    async (request, reply) => {
      const { name, password } = request.body;
      // Anybody may send any text: a record of it names only what can be a user.
      const known = namePattern.test(name);
      const audited = {
        actor: stranger(request, known ? name : undefined),
        action: 'login',
        ...(known ? { target: [name] } : { summary: `no user is called ${JSON.stringify(name)}` }),
      } as const;
      // Nobody's: whoever has to wait makes one record a minute, however many names are tried meanwhile.
      const refusal = { ...audited, actor: stranger(request) };
      const user = await throttled(options, request, {
        ...{ name, refusal },
        verify: () => store.users.verifyPassword(name, password),
      });
      if (user === undefined) {
        await gate.log.denied(request, audited, false);
        throw new HttpProblem('unauthenticated', 'the name or the password is wrong');
      }
      await gate.log.login({ ...audited, result: 'ok' });
      const { id, endsMs } = sessions.begin(user);
      setSessionCookie(request, reply, id);
      return sessionView({
        actor: audited.actor,
        role: user.role,
        via: 'session',
        session: { id, endsMs },
      });
    },
  );
}

function sessionView({ actor, role, via, session }: Identity): {
  name: string;
  role: Identity['role'];
  via: string;
  may: { view: boolean; change: boolean };
  expires?: string;
} {
  return {
    name: actor.name,
    role,
    via,
    may: { view: mayAccess(role, 'view'), change: mayAccess(role, 'owner') },
    ...(session !== undefined && { expires: new Date(session.endsMs).toISOString() }),
  };
}
