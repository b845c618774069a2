/**
 * Assembles the HTTP server. `buildApi` returns an instance that tests and the command line can `inject()` into without
 * a socket; the firewall makes two of them on one context, one for the control socket and one for TCP.
 *
 * A request's way: connection still open (`connections.ts`) -> rate limit (TCP) -> Host, Origin, authentication,
 * authorisation (`access.ts`) -> body (`body.ts`) -> schema (`validation.ts`) -> route -> answer, or problem
 * (`http-problem.ts`). Nothing is answered before the first three.
 */
import type { Server } from 'node:https';
import cookie from '@fastify/cookie';
import rateLimit from '@fastify/rate-limit';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import Fastify from 'fastify';
import type {
  FastifyError,
  FastifyHttpsOptions,
  FastifyInstance,
  FastifyReply,
  FastifyRequest,
} from 'fastify';
import { descriptorLimit } from '../../system/descriptors.ts';
import { StoreError } from '../store/store.ts';
import type { User } from '../store/store.ts';
import { Gate } from './access.ts';
import { isOpen } from './api.ts';
import type { Api, Listener } from './api.ts';
import { acceptJson, maxBodyBytes } from './body.ts';
import { securityHeaders } from './browser-guards.ts';
import { ConnectionCounts, connectionLimits, isGone, limitConnections } from './connections.ts';
import type { ConnectionLimits } from './connections.ts';
import type { ApiContext } from './context.ts';
import { EventStreams } from './event-stream.ts';
import { HttpProblem, problemOf, sendProblem } from './http-problem.ts';
import { LoginThrottle } from './login-throttle.ts';
import { openApiRoute, registerOpenApi } from './openapi.ts';
import { OwnChanges } from './own-changes.ts';
import { OpenStreams } from './open-streams.ts';
import { Panel, builtPanel } from './panel.ts';
import { assignmentRoutes } from './routes/assignments.ts';
import { auditRoutes } from './routes/audit.ts';
import { explainRoutes } from './routes/explain.ts';
import { liveRoutes } from './routes/live.ts';
import type { Streams } from './routes/live.ts';
import { trafficRoutes } from './routes/traffic.ts';
import { monitoringRoutes, statusRoutes } from './routes/operations.ts';
import { questionRoutes } from './routes/questions.ts';
import { suggestionRoutes } from './routes/suggestion.ts';
import { confirmRoutes } from './routes/confirm.ts';
import { policyHistoryRoutes } from './routes/policy-history.ts';
import { presetRoutes } from './routes/presets.ts';
import { pruneRoute } from './routes/prune.ts';
import { resolveRoute } from './routes/resolve.ts';
import { reviewRoutes } from './routes/review.ts';
import { serverRoutes } from './routes/servers.ts';
import { sessionRoutes } from './routes/session.ts';
import { setRoutes } from './routes/sets.ts';
import { historyRoutes } from './routes/history.ts';
import { templateRuleRoutes } from './routes/template-rules.ts';
import { templateResource, templateRoutes } from './routes/templates.ts';
import { userRoutes } from './routes/users.ts';
import { Sessions } from './sessions.ts';
import { Thinning } from './thinning.ts';
import { validatorCompiler } from './validation.ts';

/** Requests per minute and address, on TCP: more than a script needs, less than an overload. */
const requestsPerMinute = 3000;

/** A capture is a copy of everything that passes. */
const captureLimits = { what: 'captures', perUser: 4, perAddress: 16, inAll: 16 };

/** How often the counts of what was thinned are reported. */
const sweepPeriodMs = 60_000;

export interface ApiOptions {
  /** With `socket` and `in-process` every client is an owner. */
  readonly listener: Listener;
  /** The clock, in ms since 1970. */
  readonly now?: () => number;
  readonly requestsPerMinute?: number;
  /** Where the panel's files are, for TCP. */
  readonly panelDirectory?: string;
  readonly connections?: Partial<ConnectionLimits>;
  /** Serves TLS; the certificate is set on the server before it listens. */
  readonly tls?: boolean;
  /** Proxies whose X-Forwarded-For and X-Forwarded-Proto count, by address. Default: none. */
  readonly trustsProxy?: (address: string) => boolean;
  /** Clients that may ask for metrics by any name. Default: none. */
  readonly mayMonitor?: (address: string) => boolean;
}

export async function buildApi(context: ApiContext, options: ApiOptions): Promise<Api> {
  const { listener, now = Date.now } = options;
  const limits = { ...connectionLimits(listener, descriptorLimit()), ...options.connections };
  const { connectionCounts: counts = new ConnectionCounts() } = context;
  const server = createServer(limits, options);
  const sessions = new Sessions(now);
  const throttle = new LoginThrottle(now);
  const ownChanges = new OwnChanges(now);
  const { mayMonitor = () => false } = options;
  const gate = new Gate({ context, listener, sessions, mayMonitor, now });

  server.setValidatorCompiler(validatorCompiler);
  server.setSerializerCompiler(() => (value) => JSON.stringify(value));
  limitConnections(server, limits, counts);
  const failures = failureLog(context, now);
  server.setErrorHandler((error: FastifyError, request, reply) => {
    const { bodyLimit } = request.routeOptions;
    return sendProblem(reply, isGone(request) ? gone : problemFor(error, failures, bodyLimit));
  });
  acceptJson(server);
  server.decorateRequest('identity', null);
  if (context.opened !== undefined) server.addHook('onRequest', () => context.opened);
  await server.register(cookie);
  server.addHook('onRequest', (request, reply, done) => {
    reply.headers(securityHeaders);
    const wasGone = isGone(request);
    if (wasGone) counts.aborted++;
    request.raw.once('aborted', () => {
      // A stream ends with its client.
      const isStream = reply.raw.headersSent && !reply.raw.writableEnded;
      if (!isStream) counts.aborted++;
    });
    done(wasGone ? gone : undefined);
  });
  if (isOpen(listener)) {
    await limitRate(server, options.requestsPerMinute ?? requestsPerMinute);
  }
  if (listener === 'tcp') noticeProxies(server, context, options);
  server.addHook('onRequest', (request) => gate.admit(request));
  const streams = streamsOf(context);
  streams.events.endWith(server);
  streams.captures.endWith(server);
  sweepRegularly(server, [gate.log, failures]);
  await registerOpenApi(server);
  const panel =
    listener === 'tcp'
      ? await Panel.register(server, options.panelDirectory ?? builtPanel)
      : undefined;
  server.setNotFoundHandler((request, reply) =>
    panel?.isFor(request) === true ? panel.send(reply) : sendProblem(reply, noSuchRoute(request)),
  );

  monitoringRoutes(server, context);
  if (listener === 'metrics') {
    await server.ready();
    return server;
  }
  openApiRoute(server);
  await server.register(
    (app: Api, _options, done) => {
      templateRoutes(app, context);
      pruneRoute(app, context);
      templateRuleRoutes(app, context);
      historyRoutes(app, context, templateResource(context));
      policyHistoryRoutes(app, context);
      confirmRoutes(app, context);
      setRoutes(app, context);
      serverRoutes(app, context);
      assignmentRoutes(app, context);
      resolveRoute(app, context);
      reviewRoutes(app, context);
      presetRoutes(app);
      explainRoutes(app, context);
      questionRoutes(app, context);
      suggestionRoutes(app, context);
      liveRoutes(app, context, streams);
      trafficRoutes(app, context);
      statusRoutes(app, context);
      auditRoutes(app, context);
      userRoutes(app, context, { gate, sessions, throttle, ownChanges });
      sessionRoutes(app, context, { gate, sessions, throttle, ownChanges });
      done();
    },
    { prefix: '/v1' },
  );
  await server.ready();
  return server;
}

const streamsByContext = new WeakMap<ApiContext, Streams>();

/** One for all listeners on a context: what is limited in all is limited once. */
function streamsOf(context: ApiContext): Streams {
  let streams = streamsByContext.get(context);
  if (streams === undefined) {
    const users = async (): Promise<readonly User[]> => (await context.store.users.list()).users;
    streams = {
      events: new EventStreams(users),
      captures: new OpenStreams(users, captureLimits),
    };
    streamsByContext.set(context, streams);
  }
  return streams;
}

function createServer(limits: ConnectionLimits, { tls = false, trustsProxy }: ApiOptions): Api {
  const http = {
    headersTimeout: limits.requestTimeoutMs,
    connectionsCheckingInterval: limits.lookPeriodMs,
  };
  const options = {
    bodyLimit: maxBodyBytes,
    forceCloseConnections: true,
    requestTimeout: limits.requestTimeoutMs,
    keepAliveTimeout: limits.idleTimeoutMs,
    // The address is missing after a reset.
    trustProxy: (address: string | undefined) =>
      address !== undefined && trustsProxy?.(address) === true,
    frameworkErrors: (_error: FastifyError, _request: FastifyRequest, reply: FastifyReply) => {
      void sendProblem(reply, new HttpProblem('bad-request', 'the URL cannot be read'));
    },
  };
  const https = { ...http, handshakeTimeout: limits.requestTimeoutMs };
  const server = tls
    ? (Fastify<Server>({
        ...options,
        https,
      } as FastifyHttpsOptions<Server>) as unknown as FastifyInstance)
    : Fastify({ ...options, http });
  return server.withTypeProvider<TypeBoxTypeProvider>();
}

/** Reports the counts of what was thinned, once a minute and at the end. */
function sweepRegularly(
  server: Api,
  thinned: readonly Pick<Thinning<unknown>, 'sweep' | 'flush'>[],
): void {
  const timer = setInterval(() => {
    for (const each of thinned) void each.sweep();
  }, sweepPeriodMs).unref();
  server.addHook('onClose', async () => {
    clearInterval(timer);
    for (const each of thinned) await each.flush();
  });
}

/** For every request, also to unknown paths, and before authentication. */
async function limitRate(server: Api, max: number): Promise<void> {
  await server.register(rateLimit, {
    global: false,
    max,
    timeWindow: 60_000,
    cache: 10_000,
    // The default throws for a connection that was just reset.
    keyGenerator: ({ ip }) => (ip as string | undefined) ?? '',
    errorResponseBuilder: (_request, { after }) =>
      new HttpProblem('too-many-requests', `too many requests: try again in ${after}`),
  });
  const limit = server.rateLimit() as (
    request: FastifyRequest,
    reply: FastifyReply,
  ) => Promise<void>;
  server.addHook('onRequest', (request, reply) => limit.call(server, request, reply));
}

/** All clients of a proxy that is not trusted share its address, and its limits: tells the operator, once. */
function noticeProxies(server: Api, { onWarning }: ApiContext, { trustsProxy }: ApiOptions): void {
  let isTold = false;
  server.addHook('onRequest', ({ headers, socket }, _reply, done) => {
    const { remoteAddress } = socket;
    const forwards = headers['x-forwarded-for'] !== undefined && remoteAddress !== undefined;
    if (forwards && !isTold && trustsProxy?.(remoteAddress) !== true) {
      isTold = true;
      onWarning(
        `${remoteAddress} asks for others (X-Forwarded-For): if it is your proxy, name it in api.trustedProxies of gateway.yaml`,
      );
    }
    done();
  });
}

function noSuchRoute({ method, url }: FastifyRequest): HttpProblem {
  const [path = ''] = url.split('?');
  return new HttpProblem('not-found', `there is nothing at ${method} ${path.slice(0, 200)}`);
}

const gone = new HttpProblem('bad-request', 'the connection was closed');

/** Unexpected errors, with their stacks: each kind once a minute. */
function failureLog({ onWarning }: ApiContext, now: () => number): Thinning<string> {
  return new Thinning({
    ...{ now, burst: 60, perSecond: 1 },
    tell: (stack, count) =>
      onWarning(`a request to the API failed${count > 1 ? `, ${count} times` : ''}: ${stack}`),
    tellLeftOut: (count) => onWarning(`${count} more requests to the API failed`),
  });
}

/** The response to an error. */
function problemFor(
  error: FastifyError | HttpProblem | StoreError,
  failures: Thinning<string>,
  maxBytes: number | undefined,
): HttpProblem {
  if (error instanceof HttpProblem) return error;
  if (error instanceof StoreError) return problemOf(error);
  switch (error.code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new HttpProblem(
        'body-too-large',
        `a body has at most ${maxBytes ?? maxBodyBytes} bytes here`,
      );
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new HttpProblem(
        'unsupported-media-type',
        'expected content-type: application/json; for an import of sets text/plain',
      );
  }
  const { statusCode = 500, message, stack = message } = error;
  if (statusCode >= 400 && statusCode < 500) return new HttpProblem('bad-request', message);
  void failures.add(stack, stack);
  return new HttpProblem('failed', 'something went wrong: the log of the firewall says what');
}
