/** What was: the history of traffic that charts are drawn of, and drops by group. */
import type { HistoryColumns, Steps } from '../../metrics/traffic-history.ts';
import { historySteps } from '../../metrics/traffic-history.ts';
import type { Api } from '../api.ts';
import type { ApiContext } from '../context.ts';
import { dropFields } from '../live-words.ts';
import * as schemas from '../schemas.ts';
import * as traffic from '../traffic-schemas.ts';
import type {
  DropGroupsView,
  ServerHistoriesView,
  TrafficHistoryView,
} from '../traffic-schemas.ts';
import { checkServer, requireObserver } from '../views.ts';

const tags = ['live'];
const defaultLimit = 100;

export function trafficRoutes(app: Api, context: ApiContext): void {
  historyRoutes(app, context);
  dropGroupsRoute(app, context);
}

function dropGroupsRoute(app: Api, context: ApiContext): void {
  app.get(
    '/drops/groups',
    {
      config: { access: 'view' },
      schema: {
        tags,
        summary: 'Dropped packets by source, destination, port and reason',
        description:
          'Since the start of the process. The kinds that come least often are forgotten when there are too many.',
        querystring: traffic.dropGroupQuery,
        response: { 200: traffic.dropGroups, ...schemas.problems },
      },
    },
    async (request): Promise<DropGroupsView> => {
      const { drops } = requireObserver(context, 'drops');
      const { by, server, reason, sort = 'count', limit = defaultLimit } = request.query;
      await checkServer(context, server);
      const asked = new Set(by?.split(',') ?? dropFields);
      return drops.groups({
        by: dropFields.filter((field) => asked.has(field)),
        ...(server !== undefined && { server }),
        ...(reason !== undefined && { reason }),
        ...{ sort, limit },
      });
    },
  );
}

function historyRoutes(app: Api, context: ApiContext): void {
  app.get(
    '/stats/history',
    {
      config: { access: 'view' },
      schema: {
        tags,
        summary: 'What passed and was dropped in the last hour or day, and when the policy changed',
        description:
          'Kept whether or not anybody asks, and over a restart while `flows.survive` is on. Time without a firewall is `null`.',
        querystring: traffic.historyQuery,
        response: { 200: traffic.trafficHistory, ...schemas.problems },
      },
    },
    (request): TrafficHistoryView => {
      const { history } = requireObserver(context, 'the history');
      const { step = 'second', limit = historySteps[step] } = request.query;
      const read = history.read(step, Date.now(), limit);
      const [passedPackets, passedBytes, droppedPackets, droppedBytes, flows] = five(read);
      const beginMs = read.endMs - flows.length * read.stepSeconds * 1000;
      return {
        ...frameOf(read),
        passed: { packets: passedPackets, bytes: passedBytes },
        dropped: { packets: droppedPackets, bytes: droppedBytes },
        flows,
        changes: history
          .marksSince(beginMs)
          .map(({ atMs, epoch }) => ({ at: new Date(atMs).toISOString(), epoch })),
      };
    },
  );

  app.get(
    '/stats/history/servers',
    {
      config: { access: 'view' },
      schema: {
        tags,
        summary: 'The last ten minutes of servers',
        querystring: traffic.serverHistoryQuery,
        response: { 200: traffic.serverHistories, ...schemas.problems },
      },
    },
    (request): ServerHistoriesView => {
      const { history } = requireObserver(context, 'the history');
      const nowMs = Date.now();
      const found = request.query.names.split(',').flatMap((name) => {
        const read = history.servers.read(name, nowMs);
        if (read === undefined) return [];
        const [packets, bytes, dropped] = five(read);
        return [
          [name, { ...frameOf(read), passed: { packets, bytes }, dropped: { packets: dropped } }],
        ] as const;
      });
      return { servers: Object.fromEntries(found) };
    },
  );
}

function frameOf({ stepSeconds, endMs }: HistoryColumns): { stepSeconds: number; end: string } {
  return { stepSeconds, end: new Date(endMs).toISOString() };
}

type Five = readonly [Steps, Steps, Steps, Steps, Steps];

/** Columns by their place; there are no more. */
function five({ columns: [a = [], b = [], c = [], d = [], e = []] }: HistoryColumns): Five {
  return [a, b, c, d, e];
}
