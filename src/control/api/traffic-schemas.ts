/** Schemas of what charts are drawn of, and of drops by group. */
import { Type } from 'typebox';
import type { Static } from 'typebox';
import type { Steps } from '../metrics/traffic-history.ts';
import { limit } from './live-schemas.ts';
import { dropReasons } from './live-words.ts';
import { component, nameSchema } from './schemas.ts';

const steps = Type.Unsafe<Steps>(
  Type.Array(Type.Union([Type.Number(), Type.Null()]), {
    description: 'One value a step, oldest first; null: not measured.',
  }),
);
const frame = {
  stepSeconds: Type.Integer(),
  end: Type.String({ description: 'End of the newest step.', format: 'date-time' }),
};

export const historyQuery = Type.Object(
  {
    step: Type.Optional(
      Type.Enum(['second', 'minute'], {
        description: 'The last hour by the second (default), or the last day by the minute.',
      }),
    ),
    limit: Type.Optional(limit(3600)),
  },
  { additionalProperties: false },
);

export const trafficHistory = component(
  'TrafficHistory',
  Type.Object(
    {
      ...frame,
      passed: Type.Object({ packets: steps, bytes: steps }),
      dropped: Type.Object({ packets: steps, bytes: steps }),
      flows: steps,
      changes: Type.Array(
        Type.Object({ at: Type.String({ format: 'date-time' }), epoch: Type.Integer() }),
        { description: 'When a policy came into force within this time.' },
      ),
    },
    { description: 'Rates a second, and live flows.' },
  ),
);

export const serverHistoryQuery = Type.Object({
  names: Type.String({
    title: 'at most 100 names of servers, separated by commas',
    pattern: '^[^,]{1,63}(,[^,]{1,63}){0,99}$',
    examples: ['web-1,web-2'],
  }),
});

export const serverHistories = component(
  'ServerHistories',
  Type.Object({
    servers: Type.Record(
      Type.String(),
      Type.Object({
        ...frame,
        passed: Type.Object({ packets: steps, bytes: steps }),
        dropped: Type.Object({ packets: steps }),
      }),
      { description: 'By name, both directions together. Those without traffic are missing.' },
    ),
  }),
);

export const dropGroupQuery = Type.Object(
  {
    by: Type.Optional(
      Type.String({
        title: 'some of source, destination, port, reason, separated by commas',
        pattern: '^(source|destination|port|reason)(,(source|destination|port|reason)){0,3}$',
        description: 'Default: all of them.',
      }),
    ),
    server: Type.Optional(nameSchema),
    reason: Type.Optional(Type.Enum([...dropReasons])),
    sort: Type.Optional(
      Type.Enum(['count', 'last'], {
        description: 'The most frequent first (default), or those that came last.',
      }),
    ),
    limit: Type.Optional(limit(1000)),
  },
  { additionalProperties: false },
);

export const dropGroups = component(
  'DropGroups',
  Type.Object({
    groups: Type.Array(
      Type.Object({
        source: Type.Optional(Type.String()),
        sourceServer: Type.Optional(Type.String()),
        destination: Type.Optional(Type.String()),
        destinationServer: Type.Optional(Type.String()),
        protocol: Type.Optional(Type.String({ description: 'With `port`.' })),
        destinationPort: Type.Optional(Type.Integer()),
        reason: Type.Optional(Type.String()),
        count: Type.Integer(),
        bytes: Type.Integer(),
        first: Type.String({ format: 'date-time' }),
        last: Type.String({ format: 'date-time' }),
      }),
      { description: 'Each has the fields that it is grouped by.' },
    ),
    total: Type.Integer({ description: 'How many groups there are.' }),
    drops: Type.Integer({ description: 'In all of them.' }),
    forgotten: Type.Integer({
      description: 'Drops that are in no group any more: there were too many kinds.',
    }),
  }),
);

export type DropGroupsView = Static<typeof dropGroups>;
export type TrafficHistoryView = Static<typeof trafficHistory>;
export type ServerHistoriesView = Static<typeof serverHistories>;
