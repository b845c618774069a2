/**
 * The engine's clock in a replay: it goes by the packets' times, and housekeeping is done as often as the time that passes
 * asks for, so that flows and fragments expire as they would have.
 *
 * The clock never goes back: a packet that is older than the one before it is judged at the time of that one. What happens
 * in a long silence is not walked through tick by tick, but in steps that double from one tick on; and a silence longer
 * than any timeout ends every flow, so the rest of it is left out (the engine's clock wraps after 49 days).
 */
import { maxTimeoutSeconds } from '../../dataplane/flow/timeouts.ts';
import type { CapturedPacket } from './capture-window.ts';

/** How often the packet loop does its housekeeping (src/dataplane/worker/packet-loop.ts). */
const tickMs = 100;
const longestStepMs = 86_400_000;
const longestSilenceMs: number = maxTimeoutSeconds * 1000 + longestStepMs;

export class ReplayClock {
  readonly #tick: (nowMs: number) => void;
  #packetMs = NaN;
  #sinceTickMs = 0;

  /** The engine's time: 32-bit milliseconds that wrap. */
  nowMs = 0;
  /** Packets that were older than one before them. */
  outOfOrder = 0;

  /** @param tick housekeeping at a time, until nothing is left to be done */
  constructor(tick: (nowMs: number) => void) {
    this.#tick = tick;
  }

  /** Goes on to the time of a packet. */
  advance(packet: Readonly<CapturedPacket>): void {
    if (!packet.hasTime) return;
    const packetMs = packet.seconds * 1000 + Math.floor(packet.nanoseconds / 1e6);
    if (packetMs < this.#packetMs) {
      this.outOfOrder++;
      return;
    }
    // The first packet's time is where the clock starts.
    const silenceMs = Number.isNaN(this.#packetMs) ? 0 : packetMs - this.#packetMs;
    this.#packetMs = packetMs;
    let remainingMs = Math.min(silenceMs, longestSilenceMs);
    for (let limitMs = tickMs; remainingMs > 0; limitMs = Math.min(2 * limitMs, longestStepMs)) {
      const stepMs = Math.min(limitMs, remainingMs);
      remainingMs -= stepMs;
      this.nowMs = (this.nowMs + stepMs) | 0;
      this.#sinceTickMs += stepMs;
      if (this.#sinceTickMs < tickMs) continue;
      this.#sinceTickMs = 0;
      this.#tick(this.nowMs);
    }
  }
}
