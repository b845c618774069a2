/** Schemas of the answers to questions about the policy as a whole. */
import { Type } from 'typebox';
import { component } from './schemas.ts';

/** Where a rule stands: the same wherever an answer names one. */
export const rulePlace = {
  template: Type.String(),
  direction: Type.Enum(['inbound', 'outbound']),
  index: Type.Integer({ description: 'In the list of that direction, from 0.' }),
  line: Type.Optional(Type.Integer({ description: 'In the file of the template, from 1.' })),
};

const toldRule = {
  ...rulePlace,
  text: Type.String({ examples: ['TCP: 443 from 10.0.0.0/8'] }),
  comment: Type.Optional(Type.String()),
};

export const placedRule = component('PlacedRule', Type.Object(toldRule));

export const reachQuery = Type.Object(
  {
    from: Type.Optional(Type.String({ examples: ['web-1', '198.51.100.0/24'] })),
    to: Type.Optional(Type.String({ examples: ['db-1:5432'] })),
    protocol: Type.Optional(Type.Enum(['tcp', 'udp', 'icmp'])),
  },
  { additionalProperties: false },
);

export const reachEnd = Type.Object({
  servers: Type.Array(Type.String(), {
    description: 'Whose addresses these are; empty: addresses of no server.',
  }),
  addresses: Type.Array(Type.String({ description: 'An address, a block or a range.' })),
  more: Type.Optional(
    Type.Integer({ description: 'How many more addresses or ranges there are.' }),
  ),
});

export const reachRow = Type.Object({
  from: reachEnd,
  to: reachEnd,
  protocol: Type.Enum(['all', 'icmp', 'tcp', 'udp']),
  ports: Type.Optional(
    Type.Array(Type.String(), { description: 'Ports and ranges. Absent: all of them, or ICMP.' }),
  ),
  outbound: Type.Array(placedRule, { description: 'Rules of the source’s servers.' }),
  inbound: Type.Array(placedRule, { description: 'Rules of the destination’s servers.' }),
});

export const reach = component(
  'Reach',
  Type.Object({
    rows: Type.Array(reachRow, {
      description: 'Every source of a row can open every port of it on every destination of it.',
    }),
    more: Type.Optional(Type.Integer({ description: 'How many more rows there are.' })),
    epoch: Type.Integer(),
  }),
);

export const findQuery = Type.Object(
  { q: Type.String({ minLength: 1, maxLength: 200, examples: ['10.2.0.0/16', '3389', 'backup'] }) },
  { additionalProperties: false },
);

const foundRule = Type.Object({ ...toldRule, by: Type.String() });

export const found = component(
  'Found',
  Type.Object({
    kind: Type.Enum(['addresses', 'ports', 'text'], { description: 'How `q` was understood.' }),
    rules: Type.Array(foundRule, { description: '`by`: what of the rule names it, as written.' }),
    wider: Type.Array(foundRule, {
      description: 'Rules for any address, or for all ports: about it, too, without naming it.',
    }),
    epoch: Type.Integer(),
  }),
);
