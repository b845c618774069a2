/** For operators and their monitoring: health, metrics, status. */
import { Type } from 'typebox';
import { identityOf } from '../access.ts';
import type { Api } from '../api.ts';
import type { ApiContext } from '../context.ts';
import { HttpProblem, noFirewall } from '../http-problem.ts';
import * as live from '../live-schemas.ts';
import * as schemas from '../schemas.ts';
import { unconfirmedIn } from '../unconfirmed.ts';

const tags = ['operation'];

/** Outside `/v1` and public: monitoring has no password. */
export function monitoringRoutes(app: Api, { controlPlane, metrics }: ApiContext): void {
  app.get(
    '/healthz',
    {
      config: { access: 'public' },
      schema: {
        tags,
        summary: 'Whether packets are judged: 200, else 503',
        response: { 200: live.health, '4xx': schemas.problem, 503: live.health },
      },
    },
    (_request, reply) => {
      const { healthy, ...rest } = controlPlane.health();
      if (!healthy) reply.code(503);
      // What is in the directory is not in force, or may not be: nobody sees it change. A store says how it is itself.
      const isUnseen = rest.watchError !== undefined && rest.store === undefined;
      const isBehind = rest.reloadError !== null || isUnseen;
      const running = isBehind ? ('degraded' as const) : ('ok' as const);
      return { status: healthy ? running : ('failed' as const), ...rest };
    },
  );

  app.get(
    '/metrics',
    {
      config: { access: 'public' },
      schema: {
        tags,
        summary: 'Metrics, for Prometheus',
        produces: ['text/plain'],
        response: { 200: Type.String(), ...schemas.problems },
      },
    },
    async (_request, reply) => {
      if (metrics === undefined) throw noFirewall('metrics');
      const text = await metrics.metrics();
      return reply.type(metrics.contentType).serializer(String).send(text);
    },
  );
}

export function statusRoutes(app: Api, { controlPlane, store }: ApiContext): void {
  app.get(
    '/status',
    {
      config: { access: 'view' },
      schema: {
        tags,
        summary: 'What is running, and what is wrong',
        response: { 200: live.status, ...schemas.problems },
      },
    },
    async () => ({ ...(await controlPlane.status()), ...(await unconfirmedIn(store)) }),
  );
  app.get(
    '/gateways',
    {
      config: { access: 'view' },
      schema: {
        tags,
        summary: 'The gateways that share the policy, and what each has in force',
        response: { 200: live.fleet, ...schemas.problems },
      },
    },
    () => controlPlane.gateways(),
  );
  app.post(
    '/upgrade',
    {
      config: { access: 'owner' },
      schema: {
        tags,
        summary:
          'Begins an upgrade: another process, of the program as it is on disk now, takes over',
        description:
          'It is in force when `process.pid` of the status is another one; it has failed when there is `process.upgradeError`.',
        response: { 202: Type.Object({ pid: Type.Integer() }), ...schemas.problems },
      },
    },
    async (request, reply) => {
      const { process: own } = await controlPlane.status();
      if (controlPlane.upgrade === undefined || own === undefined) throw noFirewall('processes');
      if (own.upgrading) throw new HttpProblem('busy', 'an upgrade is under way');
      const event = { actor: identityOf(request).actor, action: 'upgrade', target: [] };
      await store.audit.record({ ...event, result: 'ok' });
      if (!controlPlane.upgrade()) throw new HttpProblem('busy', 'an upgrade is under way');
      return reply.code(202).send({ pid: own.pid });
    },
  );
}
