/** Types for routes. */
import type {
  FastifyBaseLogger,
  FastifyInstance,
  FastifyReply,
  FastifyRequest,
  RawServerDefault,
} from 'fastify';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { IncomingMessage, ServerResponse } from 'node:http';

/** A Fastify instance whose routes take their types from their schemas. */
export type Api = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>;

export type Request = FastifyRequest;
export type Reply = FastifyReply;

/** The listener that a request arrived on. `metrics` is a TCP listener that serves nothing but metrics and health. */
export type Listener = 'socket' | 'tcp' | 'metrics' | 'in-process';

/** Whether anybody on a network can connect to it. */
export function isOpen(listener: Listener): listener is 'tcp' | 'metrics' {
  return listener === 'tcp' || listener === 'metrics';
}
