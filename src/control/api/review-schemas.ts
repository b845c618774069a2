/** The schema of a review: what a change would do. */
import { Type } from 'typebox';
import { directions } from '../../text/rule-text.ts';
import { flow } from './live-schemas.ts';
import { changedThings, component } from './schemas.ts';

const addresses = Type.Array(Type.String(), {
  description: 'Addresses and ranges, at most 100.',
  examples: [['10.0.0.9', '10.0.0.16-10.0.0.31']],
});

export const review = component(
  'Review',
  Type.Object({
    revision: Type.String({ description: 'Of the whole policy that it was made for.' }),
    changed: changedThings,
    diff: Type.String({ description: 'Of the files, unified.' }),
    servers: Type.Array(Type.String(), { description: 'Whose rules would change.' }),
    affected: Type.Array(
      Type.Object({ server: Type.String(), reasons: Type.Array(Type.String()) }),
      { description: 'The same with the reasons: `it changes`, `label:role=web in template db`.' },
    ),
    rules: Type.Array(
      Type.Object({
        template: Type.String(),
        direction: Type.Enum([...directions]),
        index: Type.Integer({ description: 'From 0.' }),
        text: Type.String(),
        through: Type.Array(Type.String(), { description: 'Its groups that mean others.' }),
        opened: addresses,
        closed: addresses,
      }),
      { description: 'Rules that stay as they are written, and would mean other addresses.' },
    ),
    opens: Type.Array(Type.String(), {
      description: 'What becomes possible that was not. Without `flows` nothing is said.',
      examples: [['web-1, web-2: TCP, every port, from the whole Internet']],
    }),
    closes: Type.Array(Type.String(), { description: 'What is possible no more.' }),
    warnings: Type.Array(Type.String(), {
      description: 'What the change would bring that is valid, and perhaps not meant.',
    }),
    flowsCut: Type.Optional(
      Type.Integer({
        description: 'Live flows that the new rules forbid; absent when no firewall runs.',
      }),
    ),
    largestFlowsCut: Type.Optional(
      Type.Array(flow, { description: 'The largest 20 of them, by bytes.' }),
    ),
    cutsClient: Type.Optional(
      Type.Boolean({
        description:
          'One of them has an end at the address that asks for this review: the change may cut off who makes it, and is better made with the header `tunwall-confirm`.',
      }),
    ),
  }),
);
