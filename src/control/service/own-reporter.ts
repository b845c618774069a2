/** What this gateway says of itself to the others: its state in one word, why, and how much passes. */
import { hostname } from 'node:os';
import type { GatewayConfig } from '../../policy/types.ts';
import type { Health } from '../api/context.ts';
import type { OwnReport } from '../store/store.ts';
import { namesOf } from './gateway-health.ts';

export interface ReporterParts {
  readonly version: string;
  readonly startedMs: number;
  readonly gateway: () => GatewayConfig;
  readonly health: () => Health;
  readonly flows: () => number;
  /** All that were judged since the start. */
  readonly packets: () => number;
}

/** Samples that the rate is over; one a second. */
const samples = 11;

export class OwnReporter {
  readonly #parts: ReporterParts;
  readonly #samples: { readonly packets: number; readonly atMs: number }[] = [];

  constructor(parts: ReporterParts) {
    this.#parts = parts;
  }

  /** To be called about once a second. */
  sample(atMs: number): void {
    this.#samples.push({ packets: this.#parts.packets(), atMs });
    if (this.#samples.length > samples) this.#samples.shift();
  }

  report(): OwnReport {
    const { version, startedMs, gateway, health, flows } = this.#parts;
    const { name = hostname(), region } = namesOf(gateway());
    return {
      name,
      ...(region !== undefined && { region }),
      version,
      ...stateOf(health()),
      flows: flows(),
      packetsPerSecond: this.#rate(),
      startedAt: new Date(startedMs).toISOString(),
    };
  }

  #rate(): number {
    const [first, last] = [this.#samples[0], this.#samples.at(-1)];
    if (first === undefined || last === undefined || last.atMs <= first.atMs) return 0;
    return Math.round((1000 * (last.packets - first.packets)) / (last.atMs - first.atMs));
  }
}

function stateOf(health: Health): Pick<OwnReport, 'state' | 'problem'> {
  const { healthy, reloadError, listenError, gateway } = health;
  if (!healthy) return { state: 'failed', problem: 'a packet thread has failed' };
  if (reloadError !== null) return { state: 'refuses', problem: reloadError };
  if (gateway?.state === 'down') {
    return { state: 'degraded', problem: 'the gateway is down: nothing leads packets to it' };
  }
  if (gateway?.state === 'degraded') {
    const [first] = gateway.problems;
    const what = first && `${first.what} is ${first.found}, not ${first.wanted}`;
    return { state: 'degraded', problem: what ?? 'the gateway is degraded' };
  }
  return listenError === undefined ? { state: 'ok' } : { state: 'degraded', problem: listenError };
}
