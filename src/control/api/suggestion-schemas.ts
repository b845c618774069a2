/** Schemas of the rules that are suggested for a server that observes. */
import { Type } from 'typebox';
import type { Static } from 'typebox';
import { limit } from './live-schemas.ts';
import { component, nameSchema, ruleBody } from './schemas.ts';

/** Peers of a rule before they are widened, unless somebody says otherwise. */
export const usualPeers = 16;

export const suggestionQuery = Type.Object(
  {
    template: Type.Optional({
      ...nameSchema,
      description: 'One of the server’s, into which the rules are to go.',
    }),
    peers: Type.Optional(limit(256)),
    atLeast: Type.Optional(limit(1_000_000)),
  },
  { additionalProperties: false },
);

const alsoAdmitted = Type.Object({
  ports: Type.Optional(
    Type.Array(Type.String(), { description: 'Ports and ranges. Absent: ICMP.' }),
  ),
  addresses: Type.Array(Type.String({ description: 'An address, a block or a range.' })),
  count: Type.Integer({ description: 'How many addresses these are.' }),
  more: Type.Optional(Type.Integer({ description: 'How many more ranges there are.' })),
});

const suggestedRule = Type.Object({
  direction: Type.Enum(['inbound', 'outbound']),
  rule: ruleBody,
  text: Type.String({ examples: ['TCP: 443 from label:role=web'] }),
  flows: Type.Integer({ description: 'Flows that were seen and that it allows.' }),
  peers: Type.Integer({ description: 'How many addresses opened them, or were asked.' }),
  last: Type.String({ format: 'date-time', description: 'When the last one began.' }),
  alsoAdmits: Type.Array(alsoAdmitted, {
    description:
      'Exactly what else it admits: each port of a row for each address of it, not seen, and allowed by no rule of the server now.',
  }),
});

export const suggestion = component(
  'Suggestion',
  Type.Object({
    server: Type.String(),
    observing: Type.Boolean({ description: 'Whether it observes now.' }),
    until: Type.Optional(Type.String({ description: 'When that ends, or has ended.' })),
    since: Type.Optional(
      Type.String({
        format: 'date-time',
        description: 'Since when this gateway records. Absent: the server has not observed here.',
      }),
    ),
    rules: Type.Array(suggestedRule, { description: 'Those for most flows first.' }),
    allowed: Type.Integer({ description: 'Recorded flows that a rule of the server allows now.' }),
    leftOut: Type.Integer({
      description: 'Recorded flows of kinds that came less than `atLeast` times, or to port 0.',
    }),
    forgotten: Type.Integer({
      description: 'Flows that are not in the record any more: there were too many kinds.',
    }),
    lost: Type.Integer({
      description: 'Records of drops that were lost under load; some may have been of this server.',
    }),
    template: Type.Object({
      name: Type.String({ description: 'Where the rules are to go.' }),
      exists: Type.Boolean({ description: 'Otherwise it is to be made, for this server alone.' }),
      otherServers: Type.Array(Type.String(), {
        description: 'They have this template, too: the rules would count for them as well.',
      }),
    }),
    epoch: Type.Integer(),
  }),
);

export type SuggestionView = Static<typeof suggestion>;
