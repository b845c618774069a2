/**
 * The live side of the data plane, as the API sees it: flows, hits of rules, totals, drops, captures.
 *
 * Everything is read from memory that the packet threads share, or taken from rings that they fill; they never wait for
 * it (worker/flow-inspector.ts describes access to the flow table). The service reports every policy that comes into
 * force, and passes on the drop records that it takes.
 */
import type { Readable } from 'node:stream';
import type {
  CaptureOptions,
  FlowPage,
  FlowQuery,
  FlowsCut,
  LiveVerdict,
  Observer,
  RuleHits,
  RuleName,
  ServerTotals,
  Totals,
  Traffic,
  WouldDropRecord,
} from '../api/context.ts';
import { Counter, trafficCounterCount } from '../../dataplane/engine/counters.ts';
import type { EngineOptions } from '../../dataplane/engine/engine.ts';
import { policyAllows } from '../../dataplane/engine/flow-review.ts';
import { TrafficHistory } from '../metrics/traffic-history.ts';
import type { Moment, ServerReading } from '../metrics/traffic-history.ts';
import { DropHub } from './drop-hub.ts';
import { parseAddress } from '../../policy/addresses.ts';
import type { CompiledPolicy } from '../../policy/compile.ts';
import type { ServerSlots } from '../../policy/server-slots.ts';
import type { PolicySource } from '../../policy/types.ts';
import { Matcher } from '../../dataplane/match/matcher.ts';
import { DropReason, dropReasonNames } from '../../dataplane/wire/drop-reason.ts';
import { wallClockOf } from '../../dataplane/worker/clock.ts';
import type { DataPlane } from '../../dataplane/worker/data-plane.ts';
import type { FlowCopy, ServerTraffic } from '../../dataplane/worker/flow-inspector.ts';
import { captureFile } from './capture-file.ts';
import { describeFlow, flowPage, flowsCut, parseFlowId } from './flow-page.ts';
import type { LivePolicy } from './live-policy.ts';
import { liveVerdict } from './live-verdict.ts';
import { RuleHitLedger } from './rule-hits.ts';
import { WouldDropsFile } from './would-drops-file.ts';
import { WouldDrops } from './would-drops.ts';

/** The part of the data plane that is observed. */
type Observed = Pick<
  DataPlane,
  'flows' | 'capture' | 'counter' | 'ruleHits' | 'policyInForce' | 'flowCount' | 'charts'
>;

export interface LiveObserverOptions {
  readonly dataPlane: Observed;
  readonly device: string;
  readonly engine: EngineOptions;
  readonly flowCapacity: number;
  readonly slots: ServerSlots;
  /** The policy in force at the start. */
  readonly policy: CompiledPolicy;
  readonly judgeTrial: LivePolicy['judgeTrial'];
  /** Where it is kept what observed servers would drop. Default: nowhere. */
  readonly stateDirectory?: string;
  readonly onWarning?: (message: string) => void;
}

export class LiveObserver implements Observer {
  readonly #options: LiveObserverOptions;
  readonly #hits: RuleHitLedger;
  #isWalking = false;
  /** In force. */
  #policy: CompiledPolicy;
  readonly #serverName = (slot: number): string | undefined => this.#options.slots.nameOf(slot);
  readonly drops: DropHub = new DropHub({ wallClockOf, serverName: this.#serverName });
  readonly #wouldDrops: WouldDrops = new WouldDrops({ wallClockOf, serverName: this.#serverName });
  readonly #wouldDropsFile: WouldDropsFile | undefined = undefined;
  readonly history: TrafficHistory;

  constructor(options: LiveObserverOptions) {
    this.#options = options;
    this.#policy = options.policy;
    this.history = new TrafficHistory(options.dataPlane.charts);
    const clocks = { nowMs: () => Date.now(), wallClockOf };
    const { policy, dataPlane, onWarning = () => undefined } = options;
    this.#hits = new RuleHitLedger(policy, dataPlane.ruleHits, clocks, onWarning);
    const { stateDirectory } = options;
    if (stateDirectory !== undefined) {
      this.#wouldDropsFile = new WouldDropsFile(stateDirectory, this.#wouldDrops, onWarning);
    }
  }

  /** To be called once, before all that follows: goes on with what the process before has seen. */
  async begin(): Promise<void> {
    await this.#wouldDropsFile?.read();
    this.#noteObserved();
  }

  /** Keeps what the next process should know. */
  async keep(): Promise<void> {
    await this.#wouldDropsFile?.write();
  }

  /** A policy has come into force in every packet thread. */
  onPolicy(policy: CompiledPolicy): void {
    this.#policy = policy;
    this.#hits.onPolicy(policy, this.#options.dataPlane.ruleHits);
    this.history.mark({ atMs: Date.now(), epoch: policy.epoch });
    this.#noteObserved();
  }

  #noteObserved(): void {
    const { servers, observations } = this.#policy;
    const live = observations.filter((each) => each.live).map(({ server }) => server);
    this.#wouldDrops.onPolicy(new Set(servers), new Set(live), Date.now());
  }

  /** Takes one record of the event ring (engine/event-ring.ts). */
  addDrop(words: Int32Array): void {
    this.drops.add(words);
    this.#wouldDrops.add(words);
  }

  /** So many were overwritten before they could be read. */
  addMissed(count: number): void {
    this.#wouldDrops.addMissed(count);
  }

  wouldDrops(server: string): WouldDropRecord | undefined {
    return this.#wouldDrops.of(server);
  }

  async flows(query: FlowQuery): Promise<FlowPage> {
    const { dataPlane, slots } = this.#options;
    const slot = query.server === undefined ? 0 : slots.slotOf(query.server);
    const address = query.address === undefined ? undefined : addressOf(query.address);
    const admits = query.rule && this.#admittedBy(query.rule);
    return flowPage(dataPlane.flows, query, { slot, address, admits }, this.#serverName);
  }

  /** Whether the policy in force allows a flow by one of these rules. */
  #admittedBy(named: RuleName): (copy: FlowCopy) => boolean {
    const { flows } = this.#options.dataPlane;
    let policy = this.#policy;
    let rules = indicesOf(policy, named);
    let matcher = new Matcher(policy.words, undefined, policy.root);
    return ({ hot, record }) => {
      // While one walks another may come into force, and the memory of this one is used again.
      if (policy !== this.#policy) {
        policy = this.#policy;
        rules = indicesOf(policy, named);
        matcher = new Matcher(policy.words, undefined, policy.root);
      }
      return (
        policyAllows(matcher, hot, record, flows.nowMs) &&
        (rules.has(matcher.inboundRule) || rules.has(matcher.outboundRule))
      );
    };
  }

  killFlow(id: string): Promise<boolean> {
    const named = parseFlowId(id);
    const killed = named !== undefined && this.#options.dataPlane.flows.kill(named.flow, named.tag);
    return Promise.resolve(killed);
  }

  cutBy(source: PolicySource, client?: string): Promise<FlowsCut> {
    const { flows } = this.#options.dataPlane;
    const own = client === undefined ? undefined : addressIn(client);
    return this.#options.judgeTrial(source, ({ words, root }) => {
      const policy = new Matcher(words, undefined, root);
      const isCut = ({ hot, record }: FlowCopy): boolean =>
        !policyAllows(policy, hot, record, flows.nowMs);
      return flowsCut(flows, isCut, own, this.#serverName);
    });
  }

  /** To be called about once a second: what is counted goes into the history. */
  look(now: Moment = momentNow()): void {
    this.#hits.collect();
    this.#wouldDropsFile?.look(now.monotonicMs);
    const { passed, dropped, flows } = this.totals();
    this.history.sample(now, { passed, dropped, flows: flows.count });
    if (!this.#isWalking && this.history.servers.isDue(now.wallMs)) void this.#sampleServers(now);
  }

  ruleHits(): RuleHits {
    return this.#hits;
  }

  totals(): Totals {
    const { dataPlane, flowCapacity } = this.#options;
    const drops = dropReasonNames.map((reason, code): [string, number] => [
      reason,
      dataPlane.counter(counterOf(code)),
    ]);
    return {
      passed: this.#traffic(1),
      dropped: this.#traffic(0),
      // The first one is no drop.
      drops: Object.fromEntries(drops.slice(1)),
      flows: {
        count: dataPlane.flowCount,
        capacity: flowCapacity,
        opened: dataPlane.counter(Counter.flowsOpened),
        cut: dataPlane.counter(Counter.flowsCut),
      },
    };
  }

  async serverTotals(): Promise<ReadonlyMap<string, ServerTotals>> {
    const { dataPlane, slots } = this.#options;
    const totals = new Map<string, ServerTotals>();
    for (const [slot, traffic] of await dataPlane.flows.serverTraffic(slots.end)) {
      const name = slots.nameOf(slot);
      if (name !== undefined) totals.set(name, serverTotals(traffic));
    }
    return totals;
  }

  capture({ verdict, server, snapLength, limit }: CaptureOptions): Readable {
    const { dataPlane, device, slots } = this.#options;
    const filter = {
      passed: verdict !== 'dropped',
      dropped: verdict !== 'passed',
      // No packet has slot -1: an unknown server has none.
      server: server === undefined ? undefined : slots.slotOf(server) || -1,
      snapLength,
    };
    return captureFile(dataPlane.capture, { device, filter, limit });
  }

  explainLive(packet: Uint8Array): Promise<LiveVerdict | undefined> {
    const { dataPlane, engine } = this.#options;
    const found = liveVerdict(dataPlane.flows, dataPlane.policyInForce, engine, packet);
    if (found === undefined) return Promise.resolve(undefined);
    const { flow, reason } = found;
    return Promise.resolve({
      flow: describeFlow(flow, dataPlane.flows, this.#serverName),
      verdict: reason === 'none' ? 'pass' : 'drop',
      reason,
    });
  }

  /** It walks over all flows. One that fails leaves a gap. */
  async #sampleServers(now: Moment): Promise<void> {
    this.#isWalking = true;
    try {
      const readings = new Map<string, ServerReading>();
      for (const [name, { inbound, outbound }] of await this.serverTotals()) {
        readings.set(name, [
          inbound.passed.packets + outbound.passed.packets,
          inbound.passed.bytes + outbound.passed.bytes,
          inbound.dropped.packets + outbound.dropped.packets,
        ]);
      }
      this.history.servers.sample(now, readings);
    } finally {
      this.#isWalking = false;
    }
  }

  /** All packets of a verdict: 1 passed, 0 dropped. */
  #traffic(verdict: number): Traffic {
    let packets = 0;
    let bytes = 0;
    for (let index = verdict; index < trafficCounterCount; index += 2) {
      packets += this.#options.dataPlane.counter(Counter.packets + index);
      bytes += this.#options.dataPlane.counter(Counter.bytes + index);
    }
    return { packets, bytes };
  }
}

/** Of a drop reason. */
function counterOf(code: number): number {
  if (code === DropReason.writeFailed) return Counter.writeFailures;
  return code === DropReason.wouldDrop ? Counter.wouldDrop : Counter.drops + code;
}

function indicesOf(
  { rulesOf }: CompiledPolicy,
  { template, direction, index }: RuleName,
): ReadonlySet<number> {
  const places = (rulesOf.get(template) ?? []).filter(
    (place) =>
      (direction === undefined || place.direction === direction) &&
      (index === undefined || place.position === index),
  );
  return new Set(places.map((place) => place.index));
}

function momentNow(): Moment {
  return { wallMs: Date.now(), monotonicMs: performance.now() };
}

/** The address in a query; an invalid one matches no flow. */
function addressOf(text: string): number {
  return addressIn(text) ?? 0;
}

/** As a flow has it; `undefined`: it is no IPv4 address, as of a client by IPv6. */
function addressIn(text: string): number | undefined {
  const parsed = parseAddress(text);
  return 'value' in parsed ? parsed.value | 0 : undefined;
}

function serverTotals(traffic: ServerTraffic): ServerTotals {
  return {
    inbound: {
      passed: { packets: traffic.packetsIn, bytes: traffic.bytesIn },
      dropped: { packets: traffic.droppedPacketsIn, bytes: traffic.droppedBytesIn },
    },
    outbound: {
      passed: { packets: traffic.packetsOut, bytes: traffic.bytesOut },
      dropped: { packets: traffic.droppedPacketsOut, bytes: traffic.droppedBytesOut },
    },
  };
}
