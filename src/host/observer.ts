/**
 * How the gateway is, as the running firewall sees it, which has no privilege. It looks at rules, routes, links and
 * sysctls itself, and learns from the watch's file (watch-status.ts) what only root may see: nftables, what the guard
 * has dropped, and the repairs. That nobody watches, or somebody did and has stopped, is said as well.
 */
import type { FastPathState } from './fast-path.ts';
import { gatewayStatus } from './gateway.ts';
import { Lookout } from './lookout.ts';
import type { GatewayProblem } from './problems.ts';
import { defaultStateDirectory } from './record.ts';
import { hasEnded, readWatchStatus, type WatchStatus } from './watch-status.ts';

/** `absent`: nobody watches. `stale`: a watch hangs, or was killed. */
export type WatchState = 'running' | 'report-only' | 'stale' | 'absent';

export interface ObservedGateway {
  /** `down`: `gateway up` was not run in this network namespace. */
  readonly state: 'ok' | 'degraded' | 'down';
  readonly problems: readonly Pick<GatewayProblem, 'what' | 'wanted' | 'found' | 'hint'>[];
  readonly watch: WatchState;
  /** What the guard has dropped; undefined: not known here. */
  readonly bypassPackets: number | undefined;
  /** Repairs of the watch since it started; undefined: nobody watches. */
  readonly repairs: number | undefined;
  readonly fastPath: FastPathState;
}

/** What a look without privilege finds. */
export type Seen = Pick<ObservedGateway, 'state' | 'problems' | 'bypassPackets' | 'fastPath'> & {
  readonly device: string;
};

/** How often the watch's file is read. */
const filePeriodMs = 1000;

/** Pure: puts together what was seen and what the watch says. `watched`: its file's content, or why that cannot be used. */
export function observed(
  device: string,
  seen: Seen,
  watched: WatchStatus | string | undefined,
  nowMs: number,
): ObservedGateway {
  const watch = watchState(watched, nowMs);
  const fresh = typeof watched === 'object' && watch !== 'stale' ? watched : undefined;
  const bypassPackets = seen.bypassPackets ?? fresh?.bypass?.packets;
  const common = { watch, bypassPackets, repairs: fresh?.repairs, fastPath: seen.fastPath };
  if (seen.state === 'down') return { ...common, state: 'down', problems: [] };
  const problems = [...seen.problems];
  for (const problem of fresh?.problems ?? []) {
    if (!problems.some(({ what }) => what === problem.what)) problems.push(problem);
  }
  if (seen.device !== device) {
    problems.push({
      what: 'device of the gateway',
      wanted: device,
      found: seen.device,
      hint: `the firewall judges what is routed into ${device}: correct "device" in gateway.yaml`,
    });
  }
  if (watch === 'stale') {
    problems.push({
      what: 'gateway watch',
      wanted: 'running',
      found: typeof watched === 'string' ? watched : `silent since ${watched?.aliveAt ?? '?'}`,
      hint: 'restart it: systemctl restart tunwall-gateway',
    });
  }
  return { ...common, state: problems.length === 0 ? 'ok' : 'degraded', problems };
}

function watchState(watched: WatchStatus | string | undefined, nowMs: number): WatchState {
  if (watched === undefined) return 'absent';
  if (typeof watched === 'string') return 'stale';
  // Also a clock that was set back.
  const ageMs = nowMs - Date.parse(watched.aliveAt);
  if (Math.abs(ageMs) > watched.validMs) return 'stale';
  return watched.reportOnly ? 'report-only' : 'running';
}

export class GatewayObserver {
  readonly #device: string;
  readonly #onChange: (gateway: ObservedGateway) => void;
  readonly #lookout: Lookout;
  readonly #fileTimer: NodeJS.Timeout;
  #seen: Seen | undefined;
  #current: ObservedGateway | undefined;
  #told = '';
  #isReady: () => void = () => undefined;
  /** The first look is done. */
  readonly ready: Promise<void> = new Promise((resolve) => (this.#isReady = resolve));

  /**
   * Begins at once.
   *
   * @param device the firewall's
   * @param onChange called when the state, the problems or the watch have changed
   */
  constructor(device: string, onChange: (gateway: ObservedGateway) => void) {
    this.#device = device;
    this.#onChange = onChange;
    this.#lookout = new Lookout(
      () => this.#look(),
      () => undefined,
    );
    this.#fileTimer = setInterval(() => this.#update(), filePeriodMs);
  }

  /** Undefined before the first look. */
  get current(): ObservedGateway | undefined {
    return this.#current;
  }

  async close(): Promise<void> {
    clearInterval(this.#fileTimer);
    await this.#lookout.close();
  }

  async #look(): Promise<void> {
    try {
      const { state, problems, device, bypass, fastPath } = await gatewayStatus({});
      this.#seen = { state, problems, device, bypassPackets: bypass?.packets, fastPath };
    } catch (error) {
      const found = (error as Error).message;
      const problem = { what: 'look at the gateway', wanted: 'possible', found };
      this.#seen = {
        state: 'degraded',
        problems: [problem],
        device: this.#device,
        bypassPackets: undefined,
        fastPath: { mode: 'off', interfaces: [], why: [found] },
      };
    }
    this.#update();
  }

  #update(): void {
    if (this.#seen === undefined) return;
    const gateway = observed(this.#device, this.#seen, this.#watched(), Date.now());
    this.#current = gateway;
    const { state, watch, problems } = gateway;
    const told = [state, watch, ...problems.map(({ what }) => what)].join();
    if (told !== this.#told) this.#onChange(gateway);
    this.#told = told;
    this.#isReady();
  }

  #watched(): WatchStatus | string | undefined {
    try {
      const status = readWatchStatus(defaultStateDirectory, this.#device);
      if (status === undefined || !hasEnded(status)) return status;
      return `process ${status.pid} is gone; it looked last at ${status.lookedAt}`;
    } catch (error) {
      return `its status cannot be used: ${(error as Error).message}`;
    }
  }
}
