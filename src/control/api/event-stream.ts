/**
 * Server-sent events: a response that lasts until the client disconnects, its access ends, or the server closes.
 *
 * Bounded in both directions: the number of streams is limited, and a client that does not read fast enough loses
 * events, which is reported to it (`event: missed`). A comment every 15 seconds keeps connections open through proxies
 * and detects clients that are gone. At the same time the client's access is checked again.
 */
import { PassThrough } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { HttpProblem } from './http-problem.ts';

const heartbeatMs = 15_000;
const maxStreams = 64;
/** Bytes that may wait for a slow reader. */
const maxWaiting = 1 << 20;

export interface EventStream {
  /** @param id a client that reconnects sends the last one that it received */
  send(event: string, data: unknown, id?: number): void;
}

export class EventStreams {
  readonly #open: Set<PassThrough> = new Set<PassThrough>();
  readonly #isAdmitted: (request: FastifyRequest) => Promise<boolean>;

  constructor(server: FastifyInstance, isAdmitted: (request: FastifyRequest) => Promise<boolean>) {
    this.#isAdmitted = isAdmitted;
    // An open stream would keep its connection, and the server, from closing.
    server.addHook('preClose', (done) => {
      for (const stream of this.#open) stream.end();
      done();
    });
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
    if (this.#open.size >= maxStreams) {
      throw new HttpProblem(
        'busy',
        `${maxStreams} streams are open already`,
        {},
        { 'retry-after': '10' },
      );
    }
    const stream = new PassThrough();
    // The first byte flushes the response head: the client knows that the stream is open.
    stream.write(': \n\n');
    let missed = 0;
    const stop = start({
      send: (event, data, id) => {
        if (stream.writableEnded) return;
        if (stream.writableLength > maxWaiting) {
          missed++;
          return;
        }
        if (missed > 0) stream.write(`event: missed\ndata: ${JSON.stringify({ missed })}\n\n`);
        missed = 0;
        const named = id === undefined ? '' : `id: ${id}\n`;
        stream.write(`${named}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
      },
    });
    // After `start`, which may throw: then there is no stream.
    this.#open.add(stream);
    const heartbeat = setInterval(() => {
      void this.#isAdmitted(request).then((admitted) => {
        if (admitted && !stream.writableEnded) stream.write(': \n\n');
        else stream.end();
      });
    }, heartbeatMs);
    stream.once('close', () => {
      clearInterval(heartbeat);
      this.#open.delete(stream);
      stop();
    });
    return reply
      .type('text/event-stream; charset=utf-8')
      .header('cache-control', 'no-store')
      .header('x-accel-buffering', 'no')
      .send(stream);
  }
}

/** Whether the client prefers an event stream to a single answer. */
export function wantsEvents({ headers }: FastifyRequest, otherwise: boolean): boolean {
  const { accept = '*/*' } = headers;
  if (accept.includes('text/event-stream')) return true;
  return accept.includes('application/json') ? false : otherwise;
}
