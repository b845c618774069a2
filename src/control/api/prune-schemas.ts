/** Schemas of rules that have expired, and their removal. */
import { Type } from 'typebox';
import { applied, changedThings, component, nameSchema, rule } from './schemas.ts';

const expiredRule = component(
  'ExpiredRule',
  Type.Object({
    template: nameSchema,
    revision: Type.String({ description: 'Of the template, before the change.' }),
    direction: Type.Enum(['inbound', 'outbound']),
    index: Type.Integer({ description: 'Before the change.' }),
    rule,
  }),
);

export const pruned = component(
  'Pruned',
  Type.Object({
    rules: Type.Array(expiredRule),
    changed: changedThings,
    applied: Type.Optional(applied),
  }),
);
