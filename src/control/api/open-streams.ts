/**
 * Responses that last: event streams and captures. A client may read one only while it could still open it. This is
 * checked twice a second, so that a stream ends within a second after session, token or role have ended. The number of
 * streams is limited per user, per address and in all, over all listeners of a firewall.
 */
import type { Readable } from 'node:stream';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { User } from '../store/store.ts';
import { identityOf } from './access.ts';
import type { Identity } from './access.ts';
import { HttpProblem } from './http-problem.ts';

const lookPeriodMs = 500;
/** For so many periods users may take to be read: 10 s. */
const maxPeriods = 20;

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
  /** For how long it looks already. */
  #periods = 0;

  /** @param users reads the current users */
  constructor(users: () => Promise<readonly User[]>, limits: StreamLimits) {
    this.#users = users;
    this.#limits = limits;
  }

  /** Ends the streams of a server with it. */
  endWith(server: FastifyInstance): void {
    server.addHook('onClose', (_server, done) => {
      for (const stream of this.of(server)) stream.destroy();
      done();
    });
  }

  /** The streams of a server. */
  of({ server }: FastifyInstance): S[] {
    // A request knows the part of the server that its route belongs to.
    return [...this.#open].flatMap(([stream, request]) =>
      request.server.server === server ? [stream] : [],
    );
  }

  /** @throws HttpProblem `busy` when the client has reached a limit */
  requireRoom(request: FastifyRequest): void {
    const { what, perUser, perAddress, inAll } = this.#limits;
    const identity = identityOf(request);
    const { name } = identity.actor;
    const open = [...this.#open.values()];
    let reason: string | undefined;
    if (open.length >= inAll) reason = `${inAll} ${what} are open already`;
    else if (isOnTcp(identity)) {
      const others = open.filter((each) => isOnTcp(identityOf(each)));
      const own = others.filter((each) => identityOf(each).actor.name === name);
      const near = others.filter(({ ip }) => ip === request.ip);
      if (own.length >= perUser) reason = `${name} has ${perUser} ${what} open already`;
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
    if (this.#looking) {
      if (++this.#periods >= maxPeriods) this.#endAllBut([]);
      return;
    }
    this.#looking = true;
    this.#periods = 0;
    // Fail closed: when the users cannot be read, nobody has access.
    const users = await this.#users().catch(() => []);
    this.#looking = false;
    this.#endAllBut(users);
  }

  /** Ends the streams of whom these users are not, or no longer with such rights. */
  #endAllBut(users: readonly User[]): void {
    for (const [stream, request] of [...this.#open]) {
      try {
        identityOf(request).guard?.(users);
      } catch {
        stream.destroy();
      }
    }
  }
}

/** Names on the control socket are those of the system's users, and not bounded. */
function isOnTcp({ via }: Identity): boolean {
  return via === 'session' || via === 'token';
}
