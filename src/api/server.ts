/** The HTTP server: health and metrics. `build` gives an instance that tests can `inject()` into without a socket. */
import Fastify from 'fastify';
import type { FastifyInstance } from 'fastify';
import type { Registry } from 'prom-client';

/** What `/healthz` tells. */
export interface Health {
  /** Packets are being judged. */
  readonly healthy: boolean;
  readonly epoch: number;
  /** Why the last change of the configuration was refused; null when it was not. */
  readonly reloadError: string | null;
}

export interface ApiOptions {
  readonly metrics: Registry;
  readonly health: () => Health;
}

export function buildApi(options: ApiOptions): FastifyInstance {
  const server = Fastify({ forceCloseConnections: true });

  server.get('/healthz', (_request, reply) => {
    const health = options.health();
    return reply.code(health.healthy ? 200 : 503).send({
      status: health.healthy ? 'ok' : 'failed',
      epoch: health.epoch,
      reloadError: health.reloadError,
    });
  });

  server.get('/metrics', async (_request, reply) => {
    const text = await options.metrics.metrics();
    return reply.type(options.metrics.contentType).send(text);
  });

  return server;
}
