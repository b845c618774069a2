/**
 * Limits of connections. Anybody can open one without a password.
 *
 * A request must be complete in 30 seconds, head and body. The number of open connections is limited, well below the
 * limit of descriptors: files must be opened too, and the control socket has connections of its own, so that the operator
 * still has access while strangers hold all others. One address has a share of them, which is large enough for a proxy with
 * the event streams of many users. A connection beyond a limit is closed at once, and counted.
 */
import type { Socket } from 'node:net';
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
  readonly maxPerAddress: number;
}

/** @param descriptors the limit of open descriptors of the process */
export function connectionLimits(listener: Listener, descriptors: number): ConnectionLimits {
  const [share, most] = listener === 'tcp' ? [1 / 4, 1024] : [1 / 16, 128];
  const maxConnections = Math.max(4, Math.min(most, Math.floor(descriptors * share)));
  return {
    requestTimeoutMs: 30_000,
    lookPeriodMs: 5000,
    idleTimeoutMs: 15_000,
    maxConnections,
    // Clients of the control socket have no address.
    maxPerAddress: listener === 'tcp' ? Math.max(128, maxConnections / 4) : Infinity,
  };
}

export function limitConnections(
  { server }: Api,
  { maxConnections, maxPerAddress }: ConnectionLimits,
  counts: ConnectionCounts,
): void {
  server.maxConnections = maxConnections;
  server.on('drop', () => counts.refused++);
  const open = new Map<string, number>();
  server.on('connection', (socket: Socket) => {
    // Asked for here, it is known when the connection is reset, too. After a reset nobody knows it.
    const { remoteAddress: address = '' } = socket;
    const others = open.get(address) ?? 0;
    if (others >= maxPerAddress) {
      counts.refused++;
      socket.destroy();
      return;
    }
    open.set(address, others + 1);
    socket.once('close', () => {
      const left = open.get(address)! - 1;
      if (left === 0) open.delete(address);
      else open.set(address, left);
    });
  });
}

/** Whether the connection was closed. */
export function isGone({ raw }: FastifyRequest): boolean {
  return raw.socket.destroyed;
}
