/** Schemas of users, sessions and the audit log. */
import { Type } from 'typebox';
import { roles } from '../../policy/users.ts';
import * as schemas from './schemas.ts';

export const roleSchema = Type.Enum([...roles]);

export const user = schemas.component(
  'User',
  Type.Object({
    name: schemas.nameSchema,
    role: roleSchema,
    hasPassword: Type.Boolean(),
    tokens: Type.Array(Type.Object({ name: Type.String(), created: Type.Optional(schemas.at) })),
    revision: schemas.revision,
  }),
);
export const userList = schemas.component(
  'UserList',
  Type.Object({
    users: Type.Array(user),
    problems: Type.Array(Type.String(), {
      description: 'Why no user can log in; empty if users can.',
    }),
  }),
);
export const newToken = schemas.component(
  'NewToken',
  Type.Object({ name: Type.String(), token: Type.String({ description: 'Shown once.' }) }),
);

export const session = schemas.component(
  'Session',
  Type.Object({
    name: Type.String(),
    role: roleSchema,
    via: Type.String({ description: 'session, token, socket or cli' }),
    may: Type.Object({
      view: Type.Boolean({ description: 'See templates, servers, flows, drops.' }),
      change: Type.Boolean({ description: 'Everything.' }),
    }),
    expires: Type.Optional(Type.String({ description: 'When the session ends at the latest.' })),
  }),
);

export const auditPage = schemas.component(
  'AuditPage',
  Type.Object({
    records: Type.Array(
      Type.Object({
        id: Type.String(),
        at: schemas.at,
        actor: Type.Object({
          name: Type.String(),
          via: Type.String(),
          address: Type.Optional(Type.String()),
          token: Type.Optional(Type.String()),
        }),
        action: Type.String(),
        result: Type.String(),
        target: Type.Optional(Type.Array(Type.String())),
        changed: Type.Optional(
          Type.Array(
            Type.Object({
              kind: Type.String(),
              name: Type.String(),
              before: Type.Optional(Type.String()),
              after: Type.Optional(Type.String()),
            }),
          ),
        ),
        summary: Type.Optional(Type.String()),
        why: Type.Optional(Type.String({ description: "In the author's words." })),
        count: Type.Optional(
          Type.Integer({ description: 'Of denials: how many of this kind there were.' }),
        ),
      }),
      { description: 'Newest first.' },
    ),
    next: Type.Optional(Type.String({ description: 'There is more: `before` of the next page.' })),
  }),
);
