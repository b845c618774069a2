/**
 * Limits of connections. Anybody can open one without a password.
 *
 * A request must be complete in 30 seconds, head and body. The number of open connections is limited, well below the
 * limit of descriptors: files must be opened too, and the control socket has connections of its own, so that the operator
 * still has access while strangers hold all others. A connection beyond the limit is closed at once, and counted.
 */
import type { FastifyRequest } from 'fastify';
import type { Api, Listener } from './api.ts';

/** Refused connections and aborted requests, for the metrics. */
export class ConnectionCounts {
  /** Closed at once, because too many were open. */
  refused = 0;
  /** Requests whose client had closed the connection before they were answered. */
  aborted = 0;
}

export interface ConnectionLimits {
  /** ms for head and body. */
  readonly requestTimeoutMs: number;
  /** How often timeouts are checked, in ms. */
  readonly lookPeriodMs: number;
  /** ms until an idle connection is closed. */
  readonly idleTimeoutMs: number;
  readonly maxConnections: number;
}

/** @param descriptors the limit of open descriptors of the process */
export function connectionLimits(listener: Listener, descriptors: number): ConnectionLimits {
  const [share, most] = listener === 'tcp' ? [1 / 4, 1024] : [1 / 16, 128];
  return {
    requestTimeoutMs: 30_000,
    lookPeriodMs: 5000,
    idleTimeoutMs: 15_000,
    maxConnections: Math.max(4, Math.min(most, Math.floor(descriptors * share))),
  };
}

export function limitConnections(
  { server }: Api,
  { maxConnections }: ConnectionLimits,
  counts: ConnectionCounts,
): void {
  server.maxConnections = maxConnections;
  server.on('drop', () => counts.refused++);
}

/** Whether the client has closed the connection. After a reset it has no address, even before the close is noticed. */
export function isGone({ raw, ip }: FastifyRequest, listener: Listener): boolean {
  return raw.socket.destroyed || (listener === 'tcp' && (ip as string | undefined) === undefined);
}
