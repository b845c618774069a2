/** Schemas of changes that are undone unless somebody confirms them. */
import { Type } from 'typebox';
import { component, unconfirmed } from './schemas.ts';

export const confirmed = component('Confirmed', Type.Object({ confirmed: unconfirmed }));

/** The change that is meant. */
export const meant = Type.Object(
  {
    revision: Type.Optional(
      Type.Integer({ minimum: 1, description: 'Only this change; absent: the one that waits.' }),
    ),
  },
  { additionalProperties: false },
);
