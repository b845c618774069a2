/**
 * Assembles the HTTP server. `buildApi` returns an instance that tests and the command line can `inject()` into without
 * a socket; the firewall makes two of them on one context, one for the control socket and one for TCP.
 *
 * A request's way: rate limit (TCP) -> Host, Origin, authentication, authorisation (`access.ts`) -> body (`body.ts`) ->
 * schema (`validation.ts`) -> route -> answer, or problem (`http-problem.ts`). Nothing is answered before the first
 * two.
 */
import cookie from '@fastify/cookie';
import rateLimit from '@fastify/rate-limit';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import Fastify from 'fastify';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { StoreError } from '../store/store.ts';
import { Gate } from './access.ts';
import type { Api, Listener } from './api.ts';
import { acceptJson, maxBodyBytes } from './body.ts';
import { securityHeaders } from './browser-guards.ts';
import type { ApiContext } from './context.ts';
import { EventStreams } from './event-stream.ts';
import { HttpProblem, problemOf, sendProblem } from './http-problem.ts';
import { LoginThrottle } from './login-throttle.ts';
import { openApiRoute, registerOpenApi } from './openapi.ts';
import { Panel, builtPanel } from './panel.ts';
import { assignmentRoutes } from './routes/assignments.ts';
import { auditRoutes } from './routes/audit.ts';
import { explainRoutes } from './routes/explain.ts';
import { liveRoutes } from './routes/live.ts';
import { monitoringRoutes, statusRoutes } from './routes/operations.ts';
import { presetRoutes } from './routes/presets.ts';
import { reviewRoutes } from './routes/review.ts';
import { serverRoutes } from './routes/servers.ts';
import { sessionRoutes } from './routes/session.ts';
import { templateHistoryRoutes } from './routes/template-history.ts';
import { templateRuleRoutes } from './routes/template-rules.ts';
import { templateRoutes } from './routes/templates.ts';
import { userRoutes } from './routes/users.ts';
import { Sessions } from './sessions.ts';
import { validatorCompiler } from './validation.ts';

/** Requests per minute and address, on TCP: more than a script needs, less than an overload. */
const requestsPerMinute = 3000;

export interface ApiOptions {
  /** With `socket` and `in-process` every client is an owner. */
  readonly listener: Listener;
  /** The clock, in ms since 1970. */
  readonly now?: () => number;
  readonly requestsPerMinute?: number;
  /** Where the panel's files are, for TCP. */
  readonly panelDirectory?: string;
}

export async function buildApi(context: ApiContext, options: ApiOptions): Promise<Api> {
  const { listener, now = Date.now } = options;
  const server = Fastify({
    bodyLimit: maxBodyBytes,
    forceCloseConnections: true,
    frameworkErrors: (_error, _request, reply) => {
      void sendProblem(reply, new HttpProblem('bad-request', 'the URL cannot be read'));
    },
  }).withTypeProvider<TypeBoxTypeProvider>();
  const sessions = new Sessions(now);
  const throttle = new LoginThrottle(now);
  const gate = new Gate({ context, listener, sessions, now });

  server.setValidatorCompiler(validatorCompiler);
  server.setSerializerCompiler(() => (value) => JSON.stringify(value));
  server.setErrorHandler((error: FastifyError, _request, reply) =>
    sendProblem(reply, problemFor(error, context)),
  );
  acceptJson(server);
  server.decorateRequest('identity', null);
  await server.register(cookie);
  server.addHook('onRequest', (_request, reply, done) => {
    reply.headers(securityHeaders);
    done();
  });
  if (listener === 'tcp') {
    await limitRate(server, options.requestsPerMinute ?? requestsPerMinute);
  }
  server.addHook('onRequest', (request) => gate.admit(request));
  const streams = new EventStreams(server, (request) => gate.isStillAdmitted(request));
  await registerOpenApi(server);
  const panel =
    listener === 'tcp'
      ? await Panel.register(server, options.panelDirectory ?? builtPanel)
      : undefined;
  server.setNotFoundHandler((request, reply) =>
    panel?.isFor(request) === true ? panel.send(reply) : sendProblem(reply, noSuchRoute(request)),
  );

  monitoringRoutes(server, context);
  openApiRoute(server);
  await server.register(
    (app: Api, _options, done) => {
      templateRoutes(app, context);
      templateRuleRoutes(app, context);
      templateHistoryRoutes(app, context);
      serverRoutes(app, context);
      assignmentRoutes(app, context);
      reviewRoutes(app, context);
      presetRoutes(app);
      explainRoutes(app, context);
      liveRoutes(app, context, streams);
      statusRoutes(app, context);
      auditRoutes(app, context);
      userRoutes(app, context, { gate, sessions, throttle });
      sessionRoutes(app, context, { gate, sessions, throttle });
      done();
    },
    { prefix: '/v1' },
  );
  await server.ready();
  return server;
}

/** For every request, also to unknown paths, and before authentication. */
async function limitRate(server: Api, max: number): Promise<void> {
  await server.register(rateLimit, {
    global: false,
    max,
    timeWindow: 60_000,
    cache: 10_000,
    errorResponseBuilder: (_request, { after }) =>
      new HttpProblem('too-many-requests', `too many requests: try again in ${after}`),
  });
  const limit = server.rateLimit() as (
    request: FastifyRequest,
    reply: FastifyReply,
  ) => Promise<void>;
  server.addHook('onRequest', (request, reply) => limit.call(server, request, reply));
}

function noSuchRoute({ method, url }: FastifyRequest): HttpProblem {
  const [path = ''] = url.split('?');
  return new HttpProblem('not-found', `there is nothing at ${method} ${path.slice(0, 200)}`);
}

/** The response to an error. */
function problemFor(
  error: FastifyError | HttpProblem | StoreError,
  context: ApiContext,
): HttpProblem {
  if (error instanceof HttpProblem) return error;
  if (error instanceof StoreError) return problemOf(error);
  switch (error.code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new HttpProblem('body-too-large', `a body has at most ${maxBodyBytes} bytes`);
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new HttpProblem('unsupported-media-type', 'expected content-type: application/json');
  }
  const { statusCode = 500, message } = error;
  if (statusCode >= 400 && statusCode < 500) return new HttpProblem('bad-request', message);
  context.onWarning(`a request to the API failed: ${error.stack ?? message}`);
  return new HttpProblem('failed', 'something went wrong: the log of the firewall says what');
}
