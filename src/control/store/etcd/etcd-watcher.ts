/**
 * Tells when the policy in etcd may have changed.
 *
 * A watch is a hint, and nothing more: on any event, and whenever it has begun anew, the state is asked for. So nothing is lost when a
 * watch ends, or when what it would have told was compacted meanwhile. Every few seconds the state is asked for in any
 * case: the member of the watch may have been stopped, or cut off from the others, without its connection ending.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { EtcdClient, EtcdStream } from './etcd-client.ts';
import type { Keys } from './layout.ts';

const pollMs = 3000;
const firstLookMs = 1500;
/** Before a watch is begun anew: not all gateways in the same moment. */
const againMs = 200;
const againJitterMs = 800;

interface WatchAnswer {
  readonly result?: {
    readonly created?: boolean;
    readonly canceled?: boolean;
    readonly events?: unknown;
  };
  readonly error?: unknown;
}

export class EtcdWatcher {
  readonly #client: EtcdClient;
  readonly #keys: Keys;
  readonly #look: () => Promise<boolean>;
  #stream: EtcdStream | undefined;
  /** Of the endpoint that the stream is at. */
  #endpoint = '';
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;
  #again = false;
  #closed = false;

  /** @param look asks for the state; resolves to whether etcd has answered. Never called twice at once */
  constructor(client: EtcdClient, keys: Keys, look: () => Promise<boolean>) {
    this.#client = client;
    this.#keys = keys;
    this.#look = look;
  }

  /** Resolves after the first look, or when that takes long. */
  async start(): Promise<void> {
    await Promise.race([this.#lookNow(), sleep(firstLookMs, undefined, { ref: false })]);
    void this.#watchForEver();
    this.#pollLater();
  }

  /** Looks now. */
  poke(): void {
    void this.#lookNow();
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#stream?.close();
    await this.#looking;
  }

  #pollLater(): void {
    if (this.#closed) return;
    this.#timer = setTimeout(() => void this.#lookNow().then(() => this.#pollLater()), pollMs);
  }

  /** Looks until nothing has happened meanwhile. */
  #lookNow(): Promise<void> {
    this.#again = true;
    this.#looking ??= this.#lookAll().finally(() => (this.#looking = undefined));
    return this.#looking;
  }

  async #lookAll(): Promise<void> {
    while (this.#again && !this.#closed) {
      this.#again = false;
      await this.#look();
      // The endpoint of the watch did not answer: its watch may be silent, too.
      if (this.#endpoint !== this.#client.endpoint) this.#stream?.close();
    }
  }

  async #watchForEver(): Promise<void> {
    while (!this.#closed) {
      this.#endpoint = this.#client.endpoint;
      const stream = this.#client.stream(
        '/v3/watch',
        { create_request: { key: this.#keys.head, range_end: this.#keys.afterUsers } },
        (answer) => {
          const { result, error } = answer as WatchAnswer;
          if (result === undefined || error !== undefined || result.canceled === true) {
            stream.close();
          } else {
            void this.#lookNow();
          }
        },
      );
      this.#stream = stream;
      await stream.ended;
      await sleep(againMs + Math.random() * againJitterMs, undefined, { ref: false });
    }
  }
}
