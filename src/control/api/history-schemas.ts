/** Schemas of histories: of a template or set, and of the whole policy. */
import { Type } from 'typebox';
import { versionActions } from '../store/store.ts';
import { at, changedThings, component } from './schemas.ts';

export const version = component(
  'Version',
  Type.Object({
    version: Type.Integer({ description: 'From 1.' }),
    at,
    actor: Type.String(),
    via: Type.String(),
    action: Type.Enum([...versionActions], {
      description:
        'expire, revive: a rule has ended by the clock, or counts again. The text is the same.',
    }),
    sha256: Type.Optional(Type.String({ description: 'Of the text; absent: destroyed.' })),
    list: Type.Optional(
      Type.Object(
        { file: Type.String(), sha256: Type.String() },
        { description: 'Of a set: the list that it had.' },
      ),
    ),
    from: Type.Optional(Type.String()),
    to: Type.Optional(Type.String()),
  }),
);

export const versionList = component(
  'VersionList',
  Type.Object({ versions: Type.Array(version, { description: 'Newest first.' }) }),
);

export const policyChanges = component(
  'PolicyChanges',
  Type.Object({
    changes: Type.Array(
      Type.Object({
        number: Type.Integer({ description: 'Ascending from change to change.' }),
        at: at,
        actor: Type.String({ description: '`file` for an edit by hand.' }),
        via: Type.String(),
        action: Type.String({ description: 'As in the audit log.' }),
        summary: Type.String(),
        why: Type.Optional(Type.String({ description: "In the author's words." })),
        changed: changedThings,
      }),
      { description: 'Newest first.' },
    ),
    next: Type.Optional(Type.Integer({ description: 'There is more: `before` of the next page.' })),
  }),
);
