/**
 * Responses that last: event streams and captures. A client may read one only while it could still open it. This is
 * checked twice a second, so that a stream ends within a second after session, token or role have ended. The number of
 * streams is limited per user, per address and in all.
 */
import type { Readable } from 'node:stream';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { User } from '../store/store.ts';
import { identityOf } from './access.ts';
import { HttpProblem } from './http-problem.ts';

const lookPeriodMs = 500;

export interface StreamLimits {
  /** Their name in messages. */
  readonly what: string;
  /** For clients on TCP. */
  readonly perUser: number;
  readonly perAddress: number;
  readonly inAll: number;
}

export class OpenStreams<S extends Readable = Readable> {
  readonly #open: Map<S, FastifyRequest> = new Map();
  readonly #users: () => Promise<readonly User[]>;
  readonly #limits: StreamLimits;
  #timer: NodeJS.Timeout | undefined;
  #looking = false;

  /** @param users reads the current users */
  constructor(
    server: FastifyInstance,
    users: () => Promise<readonly User[]>,
    limits: StreamLimits,
  ) {
    this.#users = users;
    this.#limits = limits;
    server.addHook('onClose', (_server, done) => {
      clearInterval(this.#timer);
      done();
    });
  }

  [Symbol.iterator](): IterableIterator<S> {
    return this.#open.keys();
  }

  /** @throws HttpProblem `busy` when the client has reached a limit */
  requireRoom(request: FastifyRequest): void {
    const { what, perUser, perAddress, inAll } = this.#limits;
    const { actor, via } = identityOf(request);
    const open = [...this.#open.values()];
    let reason: string | undefined;
    if (open.length >= inAll) reason = `${inAll} ${what} are open already`;
    else if (via === 'session' || via === 'token') {
      const own = open.filter((each) => identityOf(each).actor.name === actor.name);
      const near = open.filter(({ ip }) => ip === request.ip);
      if (own.length >= perUser) reason = `${actor.name} has ${perUser} ${what} open already`;
      else if (near.length >= perAddress) {
        reason = `${perAddress} ${what} to ${request.ip} are open already`;
      }
    }
    if (reason === undefined) return;
    throw new HttpProblem('busy', reason, {}, { 'retry-after': '10' });
  }

  /** Counts the stream until it closes, and destroys it when the client's access ends. */
  add(request: FastifyRequest, stream: S): void {
    this.#open.set(stream, request);
    this.#timer ??= setInterval(() => void this.#look(), lookPeriodMs);
    stream.once('close', () => {
      this.#open.delete(stream);
      if (this.#open.size > 0) return;
      clearInterval(this.#timer);
      this.#timer = undefined;
    });
  }

  async #look(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    // Fail closed: when the users cannot be read, nobody has access.
    const users = await this.#users().catch(() => []);
    this.#looking = false;
    for (const [stream, request] of [...this.#open]) {
      try {
        identityOf(request).guard?.(users);
      } catch {
        stream.destroy();
      }
    }
  }
}
