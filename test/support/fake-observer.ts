/** The live side of a firewall that has seen little: what a test of the API needs of it, and notes of what it was asked. */
import { PassThrough } from 'node:stream';
import type { Readable } from 'node:stream';
import type {
  CaptureOptions,
  Drop,
  DropGroups,
  DropGroupsQuery,
  DropQuery,
  Drops,
  Flow,
  FlowPage,
  FlowQuery,
  FlowsCut,
  LiveVerdict,
  Observer,
  RuleHits,
  ServerTotals,
  Totals,
  WouldDropRecord,
} from '../../src/control/api/context.ts';
import type { PolicySource } from '../../src/policy/types.ts';
import { TrafficHistory } from '../../src/control/metrics/traffic-history.ts';
import { dropReasonNames } from '../../src/dataplane/wire/drop-reason.ts';

const traffic = { packets: 2, bytes: 120 };
const judged = { passed: traffic, dropped: traffic };

export const flow: Flow = {
  id: '7-1',
  protocol: 'tcp',
  state: 'established',
  source: '198.51.100.7',
  destination: '10.0.0.2',
  sourcePort: 40_000,
  destinationPort: 443,
  destinationServer: 'web-1',
  original: traffic,
  reply: traffic,
  ageSeconds: 12.5,
  idleSeconds: 0.1,
  expiresSeconds: 432_000,
  epoch: 1,
};

export function drop(id: number, reason = 'no-inbound-rule'): Drop {
  return {
    ...{ id, reason, at: '2030-01-31T12:00:00.000Z', direction: 'inbound', protocol: 'tcp' },
    ...{ source: '198.51.100.7', destination: '10.0.0.2', sourcePort: 40_000 },
    ...{ destinationPort: 23, tcpFlags: 'S', destinationServer: 'web-1', bytes: 60, epoch: 1 },
  };
}

class FakeDrops implements Drops {
  readonly listeners: Set<(drop: Drop) => void> = new Set<(drop: Drop) => void>();
  readonly queries: DropQuery[] = [];
  readonly groupQueries: DropGroupsQuery[] = [];
  past: Drop[] = [drop(1), drop(2, 'martian-source')];

  recent(query: DropQuery, limit: number): readonly Drop[] {
    this.queries.push(query);
    const found = this.past.filter(
      ({ reason }) => query.reason === undefined || reason === query.reason,
    );
    return limit === 0 ? [] : found.slice(-limit);
  }

  subscribe(_query: DropQuery, listener: (drop: Drop) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  groups(query: DropGroupsQuery): DropGroups {
    this.groupQueries.push(query);
    return { groups: [], total: 0, drops: 0, forgotten: 0 };
  }

  emit(each: Drop): void {
    for (const listener of this.listeners) listener(each);
  }
}

export class FakeObserver implements Observer {
  readonly drops: FakeDrops = new FakeDrops();
  readonly history: TrafficHistory = new TrafficHistory();
  readonly flowQueries: FlowQuery[] = [];
  readonly captures: { options: CaptureOptions; stream: PassThrough }[] = [];
  live: LiveVerdict | undefined;
  cut = 3;
  /** Whose flow is among them. */
  clientCut: string | undefined;
  captureEnds = true;
  /** Of web-1. */
  seen: WouldDropRecord | undefined;

  flows(query: FlowQuery): Promise<FlowPage> {
    this.flowQueries.push(query);
    return Promise.resolve({ flows: [flow], total: 1 });
  }

  killFlow(id: string): Promise<boolean> {
    return Promise.resolve(id === flow.id);
  }

  cutBy(_policy: PolicySource, client?: string): Promise<FlowsCut> {
    const largest = this.cut === 0 ? [] : [flow];
    const ofClient = client !== undefined && client === this.clientCut;
    return Promise.resolve({ count: this.cut, largest, ofClient });
  }

  /** The first rule of each template has been hit five times. */
  ruleHits(): RuleHits {
    return {
      of: (template, direction) =>
        template === 'web' && direction === 'inbound'
          ? { hits: 5, sinceMs: Date.UTC(2030, 0, 1), lastHitMs: Date.UTC(2030, 0, 2) }
          : { hits: 0, sinceMs: Date.UTC(2030, 0, 1) },
    };
  }

  totals(): Totals {
    return {
      ...judged,
      drops: Object.fromEntries(dropReasonNames.slice(1).map((name) => [name, 0])),
      flows: { count: 1, capacity: 1024, opened: 9, cut: 0 },
    };
  }

  serverTotals(): Promise<ReadonlyMap<string, ServerTotals>> {
    return Promise.resolve(new Map([['web-1', { inbound: judged, outbound: judged }]]));
  }

  capture(options: CaptureOptions): Readable {
    const stream = new PassThrough();
    this.captures.push({ options, stream });
    stream.write(Buffer.from([0x0a, 0x0d, 0x0d, 0x0a]));
    if (this.captureEnds) stream.end();
    return stream;
  }

  wouldDrops(server: string): WouldDropRecord | undefined {
    return server === 'web-1' ? this.seen : undefined;
  }

  explainLive(): Promise<LiveVerdict | undefined> {
    return Promise.resolve(this.live);
  }
}
