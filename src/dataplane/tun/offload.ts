/**
 * Which super-packets the kernel is asked for. Some kernels refuse to take a kind of them back: then the offload of that kind is
 * turned off, so that plain packets come, and is tried again after a minute. Refused once more, twice as long after, up to an
 * hour, because each try loses a few packets.
 *
 * Offloads are the device's, not a queue's: one object for all packet threads.
 */
import { Offload } from './linux-tun.ts';

/** A kind of super-packet. */
export type SuperPacket = 'tcp' | 'udp';

const bitsOf: Readonly<Record<SuperPacket, number>> = {
  tcp: Offload.tso4 | Offload.tsoEcn,
  udp: Offload.uso4 | Offload.uso6,
};

export const firstRetryMs = 60_000;
export const longestRetryMs = 3_600_000;

interface Kind {
  /** Waits until the offload is tried again; undefined: it is on. */
  timer: NodeJS.Timeout | undefined;
  retryMs: number;
  /** Ms of the clock since which the offload is on again. */
  triedAtMs: number;
}

export interface OffloadControlOptions {
  /** Bits that the kernel has accepted. */
  readonly accepted: number;
  readonly set: (bits: number) => void;
  /** The offload of a kind was turned off, for so long. */
  readonly onRefused: (kind: SuperPacket, retryMs: number) => void;
}

export class OffloadControl {
  readonly #options: OffloadControlOptions;
  readonly #kinds: Readonly<Record<SuperPacket, Kind>> = { tcp: newKind(), udp: newKind() };

  constructor(options: OffloadControlOptions) {
    this.#options = options;
  }

  /** The kernel has refused a super-packet of this kind. Some may still be under way when the offload is off already. */
  refused(kind: SuperPacket): void {
    const state = this.#kinds[kind];
    if (state.timer !== undefined) return;
    const heldMs = performance.now() - state.triedAtMs;
    state.retryMs =
      heldMs > state.retryMs ? firstRetryMs : Math.min(2 * state.retryMs, longestRetryMs);
    state.timer = setTimeout(() => {
      state.timer = undefined;
      state.triedAtMs = performance.now();
      this.#apply();
    }, state.retryMs);
    state.timer.unref();
    this.#apply();
    this.#options.onRefused(kind, state.retryMs);
  }

  /** To be called before the device is closed. */
  stop(): void {
    for (const kind of Object.values(this.#kinds)) clearTimeout(kind.timer);
  }

  #apply(): void {
    let bits = this.#options.accepted;
    if (this.#kinds.tcp.timer !== undefined) bits &= ~bitsOf.tcp;
    if (this.#kinds.udp.timer !== undefined) bits &= ~bitsOf.udp;
    this.#options.set(bits);
  }
}

function newKind(): Kind {
  return { timer: undefined, retryMs: 0, triedAtMs: -Infinity };
}
