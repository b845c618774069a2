/** Data of a running firewall: flows, drops, counts, live packets. */
import { Type } from 'typebox';
import { parseAddress } from '../../../policy/addresses.ts';
import { sentenceOf } from '../../../policy/drop-sentences.ts';
import { DropReason, dropReasonNames } from '../../../dataplane/wire/drop-reason.ts';
import { identityOf } from '../access.ts';
import type { Api } from '../api.ts';
import type { ApiContext, RuleName } from '../context.ts';
import { wantsEvents } from '../event-stream.ts';
import type { EventStreams } from '../event-stream.ts';
import { invalid } from '../http-problem.ts';
import * as live from '../live-schemas.ts';
import type { OpenStreams } from '../open-streams.ts';
import * as schemas from '../schemas.ts';
import { directions } from '../../../text/rule-text.ts';
import { StatsFeed } from '../stats-feed.ts';
import { checkServer, notFound, requireObserver } from '../views.ts';

const tags = ['live'];
const defaultLimit = 100;

const explainedReasons: readonly { reason: string; message: string }[] = dropReasonNames
  .map((reason, code) => ({ reason, message: sentenceOf(code) }))
  .filter((_, code) => code !== DropReason.none);

export interface Streams {
  readonly events: EventStreams;
  readonly captures: OpenStreams;
}

export function liveRoutes(app: Api, context: ApiContext, streams: Streams): void {
  flowRoutes(app, context);
  dropRoute(app, context, streams);
  dropReasonsRoute(app);
  statsRoute(app, context, streams);
  captureRoute(app, context, streams);
}

/** `web`, or `web/inbound/0`. @throws HttpProblem `not-found` */
async function ruleNamed({ controlPlane }: ApiContext, text: string): Promise<RuleName> {
  const [name = '', side, place = ''] = text.split('/');
  const { templates } = await controlPlane.snapshot();
  const template = templates.find((each) => each.name === name);
  if (template === undefined) throw notFound('template', name);
  const direction = directions.find((each) => each === side);
  if (direction === undefined) return { template: name };
  if (template[direction][Number(place)] === undefined) throw notFound('rule', text);
  return { template: name, direction, index: Number(place) };
}

function flowRoutes(app: Api, context: ApiContext): void {
  app.get(
    '/flows',
    {
      config: { access: 'view' },
      schema: {
        tags,
        summary: 'Live flows, the largest first',
        querystring: live.flowQuery,
        response: { 200: live.flowPage, ...schemas.problems },
      },
    },
    async (request) => {
      const observer = requireObserver(context, 'flows');
      const { sort = 'bytes', limit = defaultLimit, rule, ...rest } = request.query;
      const address = rest.address === undefined ? undefined : parseAddress(rest.address);
      if (address !== undefined && 'message' in address) {
        throw invalid([{ path: 'address', message: address.message }]);
      }
      await checkServer(context, rest.server);
      const named = rule === undefined ? undefined : await ruleNamed(context, rule);
      return await observer.flows({ ...rest, ...(named && { rule: named }), sort, limit });
    },
  );

  app.delete(
    '/flows/:id',
    {
      schema: {
        tags,
        summary: 'Kill a flow: its next packet is judged as one that opens a flow',
        params: Type.Object({ id: Type.String() }),
        response: { 200: Type.Object({ killed: Type.Literal(true) }), ...schemas.problems },
      },
    },
    async (request) => {
      const observer = requireObserver(context, 'flows');
      const { id } = request.params;
      const { audit } = context.store;
      const event = { actor: identityOf(request).actor, action: 'flow.kill', target: [id] };
      await audit.record({ ...event, result: 'ok' });
      if (!(await observer.killFlow(id))) {
        await audit.append({ ...event, result: 'refused', summary: 'there was no such flow' });
        throw notFound('flow', id);
      }
      return { killed: true as const };
    },
  );
}

function dropRoute(app: Api, context: ApiContext, streams: Streams): void {
  app.get(
    '/drops',
    {
      exposeHeadRoute: false,
      config: { access: 'view' },
      schema: {
        tags,
        summary: 'Dropped packets, as they are dropped',
        description:
          'Server-sent events `drop`: recent ones first, then live ones; `missed` is the number of events that a slow client has lost. ' +
          'With `Accept: application/json` the last ones as one answer.',
        produces: ['text/event-stream', 'application/json'],
        querystring: live.dropQuery,
        response: { 200: live.dropList, ...schemas.problems },
      },
    },
    async (request, reply) => {
      const { drops } = requireObserver(context, 'drops');
      const { limit = defaultLimit, ...query } = request.query;
      await checkServer(context, query.server);
      if (!wantsEvents(request, true)) return { drops: drops.recent(query, limit) };
      return streams.events.open(request, reply, (stream) => {
        // Both are done synchronously, so no event is lost in between.
        for (const drop of drops.recent(query, limit)) stream.send('drop', drop, drop.id);
        return drops.subscribe(query, (drop) => stream.send('drop', drop, drop.id));
      });
    },
  );
}

function dropReasonsRoute(app: Api): void {
  app.get(
    '/drop-reasons',
    {
      config: { access: 'view' },
      schema: {
        tags,
        summary: 'What the drop reasons mean',
        response: { 200: live.dropReasonList, ...schemas.problems },
      },
    },
    () => ({ reasons: [...explainedReasons] }),
  );
}

function statsRoute(app: Api, context: ApiContext, streams: Streams): void {
  const feed = new StatsFeed(context);
  app.get(
    '/stats',
    {
      exposeHeadRoute: false,
      config: { access: 'view' },
      schema: {
        tags,
        summary: 'Totals: packets and bytes, drops by reason, by server, by rule',
        description: 'With `Accept: text/event-stream` an event `stats` a second.',
        produces: ['application/json', 'text/event-stream'],
        querystring: live.statsQuery,
        response: { 200: live.stats, ...schemas.problems },
      },
    },
    async (request, reply) => {
      const observer = requireObserver(context, 'statistics');
      const wanted = { rules: false, servers: true, ...request.query };
      const first = await feed.get(observer, wanted);
      if (!wantsEvents(request, false)) return first;
      return streams.events.open(request, reply, (stream) => {
        stream.send('stats', first);
        return feed.subscribe(observer, wanted, (json) => stream.sendJson('stats', json));
      });
    },
  );
}

function captureRoute(app: Api, context: ApiContext, { captures }: Streams): void {
  app.get(
    '/capture',
    {
      exposeHeadRoute: false,
      schema: {
        tags,
        summary: 'Packets as they are judged, as a pcapng file that grows',
        description:
          'With the verdict and the drop reason as packet comments. Ends after `limit` packets, when the client disconnects, and when the user loses the right to read it.',
        produces: ['application/x-pcapng'],
        querystring: live.captureQuery,
        response: { 200: Type.Unsafe<Uint8Array>({}), ...schemas.problems },
      },
    },
    async (request, reply) => {
      const observer = requireObserver(context, 'packets');
      const { snaplen, ...query } = request.query;
      await checkServer(context, query.server);
      captures.requireRoom(request);
      const stream = observer.capture({
        ...query,
        ...(snaplen !== undefined && { snapLength: snaplen }),
      });
      captures.add(request, stream);
      await context.store.audit.append({
        actor: identityOf(request).actor,
        action: 'capture',
        result: 'ok',
        ...(query.server !== undefined && { target: [query.server] }),
      });
      return reply.type('application/x-pcapng').send(stream as never);
    },
  );
}
