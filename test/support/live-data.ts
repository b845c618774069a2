/** The live side of a firewall for tests: what it knows is what the test says, and it remembers what it was asked. */
import { PassThrough } from 'node:stream';
import type { Readable } from 'node:stream';
import type {
  CaptureOptions,
  Drop,
  DropGroups,
  DropGroupsQuery,
  DropQuery,
  Flow,
  FlowPage,
  FlowQuery,
  FlowsCut,
  Judged,
  LiveVerdict,
  Observer,
  RuleHits,
  ServerTotals,
  Totals,
  WouldDropRecord,
} from '../../src/control/api/context.ts';
import { TrafficHistory } from '../../src/control/metrics/traffic-history.ts';

const judged = (passed: number, dropped: number): Judged => ({
  passed: { packets: passed, bytes: passed * 100 },
  dropped: { packets: dropped, bytes: dropped * 100 },
});

export function flow(id: string, more: Partial<Flow> = {}): Flow {
  return {
    id,
    protocol: 'tcp',
    state: 'established',
    source: '198.51.100.7',
    destination: '10.0.0.2',
    sourcePort: 4000,
    destinationPort: 443,
    destinationServer: 'web-1',
    original: { packets: 12, bytes: 3456 },
    reply: { packets: 34, bytes: 5_678_900 },
    ageSeconds: 243,
    idleSeconds: 1,
    expiresSeconds: 432_000,
    epoch: 1,
    ...more,
  };
}

export function drop(id: number, more: Partial<Drop> = {}): Drop {
  return {
    id,
    at: `2030-01-31T12:00:0${id % 10}.000Z`,
    reason: 'no-inbound-rule',
    direction: 'inbound',
    protocol: 'tcp',
    source: '198.51.100.7',
    destination: '10.0.0.2',
    sourcePort: 4000,
    destinationPort: 22,
    tcpFlags: 'S',
    destinationServer: 'web-1',
    bytes: 60,
    epoch: 1,
    ...more,
  };
}

export class LiveData implements Observer {
  readonly history: TrafficHistory = new TrafficHistory();
  flowsHeld: Flow[] = [];
  dropsSeen: Drop[] = [];
  dropGroups: DropGroups = { groups: [], total: 0, drops: 0, forgotten: 0 };
  readonly groupQueries: DropGroupsQuery[] = [];
  readonly queries: FlowQuery[] = [];
  readonly captures: CaptureOptions[] = [];
  /** What a capture begins with; it goes on until it is destroyed, unless `captureEnds`. */
  captureBytes: Uint8Array = new Uint8Array();
  captureEnds = true;
  /** Captures that have been ended, by either side. */
  capturesOver = 0;
  live: LiveVerdict | undefined;
  readonly seen: Map<string, WouldDropRecord> = new Map<string, WouldDropRecord>();
  /** Seconds that have passed, so to speak: every look at the totals counts one. */
  looks = 0;
  readonly #listeners = new Set<(drop: Drop) => void>();

  flows(query: FlowQuery): Promise<FlowPage> {
    this.queries.push(query);
    const { port, limit, after } = query;
    const found = this.flowsHeld.filter(
      (each) => port === undefined || each.sourcePort === port || each.destinationPort === port,
    );
    const from = after === undefined ? 0 : Number(after);
    const flows = found.slice(from, from + limit);
    const next = from + limit;
    return Promise.resolve({
      flows,
      total: found.length,
      ...(next < found.length && { next: String(next) }),
    });
  }

  killFlow(id: string): Promise<boolean> {
    const before = this.flowsHeld.length;
    this.flowsHeld = this.flowsHeld.filter((each) => each.id !== id);
    return Promise.resolve(this.flowsHeld.length < before);
  }

  cutBy(): Promise<FlowsCut> {
    return Promise.resolve({ count: 0, largest: [], ofClient: false });
  }

  wouldDrops(server: string): WouldDropRecord | undefined {
    return this.seen.get(server);
  }

  ruleHits(): RuleHits {
    const { looks } = this;
    return {
      of: (template, direction, { ports }) =>
        template === 'web' && direction === 'inbound' && ports?.[0]?.from === 80
          ? { hits: 5 * looks, sinceMs: 1, lastHitMs: 2 }
          : { hits: 0, sinceMs: 1 },
    };
  }

  totals(): Totals {
    this.looks++;
    const { looks } = this;
    return {
      ...judged(1000 * looks, 20 * looks),
      drops: { 'no-inbound-rule': 20 * looks, martian: 0 },
      flows: { count: this.flowsHeld.length, capacity: 1000, opened: 5 * looks, cut: 0 },
    };
  }

  serverTotals(): Promise<ReadonlyMap<string, ServerTotals>> {
    const { looks } = this;
    return Promise.resolve(
      new Map([
        ['web-1', { inbound: judged(600 * looks, 20 * looks), outbound: judged(400 * looks, 0) }],
        ['db-1', { inbound: judged(0, 0), outbound: judged(0, 0) }],
      ]),
    );
  }

  readonly drops = {
    recent: ({ reason }: DropQuery, limit: number): readonly Drop[] =>
      limit === 0
        ? []
        : this.dropsSeen
            .filter((each) => reason === undefined || each.reason === reason)
            .slice(-limit),
    subscribe: (_query: DropQuery, listener: (drop: Drop) => void): (() => void) => {
      this.#listeners.add(listener);
      return () => this.#listeners.delete(listener);
    },
    groups: (query: DropGroupsQuery): DropGroups => {
      this.groupQueries.push(query);
      return this.dropGroups;
    },
  };

  /** A packet is dropped. */
  tell(dropped: Drop): void {
    for (const listener of this.#listeners) listener(dropped);
  }

  capture(options: CaptureOptions): Readable {
    this.captures.push(options);
    const stream = new PassThrough();
    stream.once('close', () => this.capturesOver++);
    stream.write(this.captureBytes);
    if (this.captureEnds) stream.end();
    return stream;
  }

  explainLive(): Promise<LiveVerdict | undefined> {
    return Promise.resolve(this.live);
  }
}
