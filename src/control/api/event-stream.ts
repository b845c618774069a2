/**
 * Server-sent events: a response that lasts until the client disconnects, its access ends, or the server closes.
 *
 * Bounded in both directions: the number of streams is limited (`open-streams.ts`), and a client that does not read fast
 * enough loses events, which is reported to it (`event: missed`). A comment every 15 seconds keeps connections open
 * through proxies and detects clients that are gone.
 */
import { PassThrough } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { User } from '../store/store.ts';
import { OpenStreams } from './open-streams.ts';

const heartbeatMs = 15_000;
/** A page of the panel has two, and a user has many tabs. */
const limits = { what: 'event streams', perUser: 16, perAddress: 64, inAll: 128 };
/** Bytes that may wait for a slow reader. */
const maxWaiting = 1 << 20;

export interface EventStream {
  /** @param id a client that reconnects sends the last one that it received */
  send(event: string, data: unknown, id?: number): void;
  /** @param json in one line */
  sendJson(event: string, json: string, id?: number): void;
}

export class EventStreams {
  readonly #open: OpenStreams<PassThrough>;

  constructor(users: () => Promise<readonly User[]>) {
    this.#open = new OpenStreams(users, limits);
  }

  /** Ends the streams of a server with it. */
  endWith(server: FastifyInstance): void {
    // An open stream would keep its connection, and the server, from closing.
    server.addHook('preClose', (done) => {
      for (const stream of this.#open.of(server)) stream.end();
      done();
    });
    this.#open.endWith(server);
  }

  /**
   * Answers with a stream.
   *
   * @param start begins to send; returns a function that stops it
   * @throws HttpProblem `busy`
   */
  open(
    request: FastifyRequest,
    reply: FastifyReply,
    start: (stream: EventStream) => () => void,
  ): FastifyReply {
    this.#open.requireRoom(request);
    const stream = new PassThrough();
    // The first byte flushes the response head: the client knows that the stream is open.
    stream.write(': \n\n');
    const stop = start(writerOf(stream));
    // From here on, since `start` may throw: then there is no stream.
    const heartbeat = setInterval(() => {
      if (!stream.writableEnded) stream.write(': \n\n');
    }, heartbeatMs);
    this.#open.add(request, stream);
    stream.once('close', () => {
      clearInterval(heartbeat);
      stop();
    });
    return reply
      .type('text/event-stream; charset=utf-8')
      .header('cache-control', 'no-store')
      .header('x-accel-buffering', 'no')
      .send(stream);
  }
}

function writerOf(stream: PassThrough): EventStream {
  let missed = 0;
  const sendJson = (event: string, json: string, id?: number): void => {
    if (stream.writableEnded || stream.destroyed) return;
    if (stream.writableLength > maxWaiting) {
      missed++;
      return;
    }
    if (missed > 0) stream.write(`event: missed\ndata: ${JSON.stringify({ missed })}\n\n`);
    missed = 0;
    const named = id === undefined ? '' : `id: ${id}\n`;
    stream.write(`${named}event: ${event}\ndata: ${json}\n\n`);
  };
  return {
    sendJson,
    send: (event, data, id) => sendJson(event, JSON.stringify(data), id),
  };
}

/** Whether the client prefers an event stream to a single answer. */
export function wantsEvents({ headers }: FastifyRequest, otherwise: boolean): boolean {
  const { accept = '*/*' } = headers;
  if (accept.includes('text/event-stream')) return true;
  return accept.includes('application/json') ? false : otherwise;
}
