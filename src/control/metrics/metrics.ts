/**
 * The Prometheus metrics, read from the packet threads' shared counters on each scrape.
 *
 * Label sets are closed and all present from the start, so that a rate over a drop reason works before its first drop.
 */
import { Counter as PromCounter, Gauge, Registry, collectDefaultMetrics } from 'prom-client';
import {
  Counter,
  answerIndex,
  answerNames,
  answerOutcomeNames,
  directionNames,
  evictionNames,
  protocolNames,
  verdictNames,
} from '../../dataplane/engine/counters.ts';
import { flowStateNames, flowStateProtocols } from '../../dataplane/flow/flow-record.ts';
import { DropReason, dropReasonNames } from '../../dataplane/wire/drop-reason.ts';
import { formatProtocol } from '../../dataplane/wire/format.ts';

/** Source of the metrics. */
export interface MetricsSource {
  /** Sum over the packet threads of counter `index` (engine/counters.ts). */
  counter(index: number): number;
  /** Packets judged, by queue of the device. */
  packetsByQueue(): readonly number[];
  flowsInState(state: number): number;
  flowCount(): number;
  /** Flows that the kernel carries past the device. */
  carriedFlows(): number;
  readonly flowCapacity: number;
  /** Factor on the timeouts that pressure shortens; 1 = as configured. */
  flowTimeoutFactor(): number;
  fragmentDatagrams(): number;
  fragmentBytes(): number;
  readonly fragmentBytesLimit: number;
  /** Flow records that the policy in force has not visited yet. */
  sweepRemaining(): number;
  /** What became of the flows of the process before. */
  readonly survival: {
    readonly adopted: number;
    readonly cut: number;
    readonly expired: number;
    readonly refused: number;
  };
  /** Of the line of processes that this one is of. */
  readonly lineage: {
    readonly restarts: number;
    readonly upgrades: number;
    readonly gapMs: number | undefined;
  };
  /** Undefined: no flow is logged. */
  flowLog(): { readonly lines: number; readonly lost: number } | undefined;
  policyEpoch(): number;
  policyRules(): number;
  policyServers(): number;
  policyTemplates(): number;
  /** Those that let pass what no rule allows. */
  serversObserving(): number;
  reloads(): number;
  reloadFailures(): number;
  /** Whether a change waits for confirmation. */
  changeWaits(): boolean;
  changesUndone(): number;
  /** The stored configuration is not in force, because it has errors. */
  configDegraded(): boolean;
  /** Connections to the API that were closed at once because too many were open. */
  apiConnectionsRefused(): number;
  apiListenFailures(): number;
  /** Requests to the API whose client was gone before they were answered. */
  apiRequestsAborted(): number;
  /** Undefined when the policy lies in the configuration directory. */
  store():
    | {
        readonly connected: boolean;
        readonly confirmedAgeSeconds?: number;
        readonly revision: number;
        readonly conflicts: number;
      }
    | undefined;
  /** Undefined before the first look; counts that only `gateway watch` knows, while none runs. */
  gateway():
    | {
        readonly state: (typeof gatewayStates)[number];
        readonly bypassPackets: number | undefined;
        readonly repairs: number | undefined;
      }
    | undefined;
  /** Packets that the kernel dropped because the TUN's ring was full; undefined when it cannot be read. */
  tunTxDropped(): number | undefined;
}

const gatewayStates = ['ok', 'degraded', 'down'] as const;

type Collect<T extends string> = (
  add: (labels: Partial<Record<T, string>>, value: number) => void,
) => void;

export function createMetrics(source: MetricsSource): Registry {
  const registry = new Registry();
  // Its default is a timer every 10 ms, which wakes the control plane a hundred times a second.
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 200 });

  function counter<T extends string>(
    name: string,
    help: string,
    labelNames: readonly T[],
    collect: Collect<T>,
  ): void {
    const metric: PromCounter<T> = new PromCounter({
      name,
      help,
      labelNames: [...labelNames],
      registers: [registry],
      collect() {
        metric.reset();
        // What is not known is absent; a reset alone leaves a zero.
        if (labelNames.length === 0) metric.remove();
        collect((labels, value) => metric.inc(labels as Record<T, string>, value));
      },
    });
  }

  function gauge<T extends string>(
    name: string,
    help: string,
    labelNames: readonly T[],
    collect: Collect<T>,
  ): void {
    const metric: Gauge<T> = new Gauge({
      name,
      help,
      labelNames: [...labelNames],
      registers: [registry],
      collect() {
        metric.reset();
        collect((labels, value) => metric.set(labels as Record<T, string>, value));
      },
    });
  }

  const trafficLabels = ['direction', 'protocol', 'verdict'] as const;
  const collectTraffic =
    (base: number): Collect<(typeof trafficLabels)[number]> =>
    (add) => {
      directionNames.forEach((direction, d) => {
        protocolNames.forEach((protocol, p) => {
          verdictNames.forEach((verdict, v) => {
            const value = source.counter(base + ((d << 3) | (p << 1) | v));
            add({ direction, protocol, verdict }, value);
          });
        });
      });
    };
  counter(
    'tunwall_packets_total',
    'Packets judged.',
    trafficLabels,
    collectTraffic(Counter.packets),
  );
  counter(
    'tunwall_bytes_total',
    'Bytes judged, from the IPv4 header on.',
    trafficLabels,
    collectTraffic(Counter.bytes),
  );
  counter(
    'tunwall_queue_packets_total',
    'Packets judged, by the queue of the device on which they came.',
    ['queue'],
    (add) => {
      source.packetsByQueue().forEach((packets, queue) => add({ queue: String(queue) }, packets));
    },
  );
  counter('tunwall_drops_total', 'Packets dropped, by reason.', ['reason'], (add) => {
    dropReasonNames.forEach((reason, code) => {
      const value =
        reason === 'write-failed'
          ? source.counter(Counter.writeFailures)
          : source.counter(Counter.drops + code);
      // What would be dropped passes, and has a metric of its own.
      if (code !== DropReason.none && code !== DropReason.wouldDrop) add({ reason }, value);
    });
  });
  counter(
    'tunwall_would_drop_total',
    'Flows that began only because a server observes; they would have been dropped.',
    [],
    (add) => add({}, source.counter(Counter.wouldDrop)),
  );
  counter(
    'tunwall_flow_evictions_total',
    'Flows given up because the table or a share of it was full, by class.',
    ['class'],
    (add) => {
      evictionNames.forEach((name, index) =>
        add({ class: name }, source.counter(Counter.evictions + index)),
      );
    },
  );
  counter(
    'tunwall_flow_refusals_total',
    'New flows that were refused because the table or the share of their server was full, by reason.',
    ['reason'],
    (add) => {
      for (const code of [DropReason.tableFull, DropReason.serverShare]) {
        add({ reason: dropReasonNames[code]! }, source.counter(Counter.drops + code));
      }
    },
  );
  counter(
    'tunwall_rejects_total',
    'Answers to packets that were dropped and to the ends of connections that were cut, by what became of them.',
    ['answer', 'outcome'],
    (add) => {
      answerNames.forEach((answer, kind) => {
        answerOutcomeNames.forEach((outcome, code) =>
          add({ answer, outcome }, source.counter(answerIndex(kind, code))),
        );
      });
    },
  );
  counter('tunwall_flows_opened_total', 'Flows opened.', [], (add) => {
    add({}, source.counter(Counter.flowsOpened));
  });
  counter('tunwall_flows_cut_total', 'Flows ended by a policy change.', [], (add) => {
    add({}, source.counter(Counter.flowsCut));
  });
  counter('tunwall_flow_log_lines_total', 'Lines written into the flow log.', [], (add) => {
    add({}, source.flowLog()?.lines ?? 0);
  });
  counter(
    'tunwall_flow_log_lost_total',
    'Flow events that have no line in the flow log: the log was too slow, or its file could not be written.',
    [],
    (add) => add({}, source.flowLog()?.lost ?? 0),
  );
  counter(
    'tunwall_flows_taken_over_total',
    'Flows of the process before, found at the start, by what became of them.',
    ['result'],
    (add) => {
      const { adopted, cut, expired, refused } = source.survival;
      for (const [result, flows] of Object.entries({ adopted, cut, expired, refused })) {
        add({ result }, flows);
      }
    },
  );
  counter(
    'tunwall_process_restarts_total',
    'Processes that were started because the one before had died.',
    [],
    (add) => add({}, source.lineage.restarts),
  );
  counter('tunwall_process_upgrades_total', 'Upgrades.', [], (add) => {
    add({}, source.lineage.upgrades);
  });
  gauge(
    'tunwall_process_gap_seconds',
    'How long nothing was judged before this process took over.',
    [],
    (add) => {
      const { gapMs } = source.lineage;
      if (gapMs !== undefined) add({}, gapMs / 1000);
    },
  );
  counter(
    'tunwall_tun_tx_dropped_total',
    'Packets that the kernel dropped because the ring of the TUN device was full.',
    [],
    (add) => {
      const dropped = source.tunTxDropped();
      if (dropped !== undefined) add({}, dropped);
    },
  );
  counter(
    'tunwall_carried_packets_total',
    'Packets that the kernel has carried past the device; tunwall_packets_total has them, too.',
    [],
    (add) => add({}, source.counter(Counter.carriedPackets)),
  );
  counter(
    'tunwall_carried_bytes_total',
    'Bytes of IPv4 that the kernel has carried past the device.',
    [],
    (add) => add({}, source.counter(Counter.carriedBytes)),
  );
  counter(
    'tunwall_tun_gso_refused_total',
    'Super-packets that the kernel refused to take.',
    [],
    (add) => add({}, source.counter(Counter.gsoRefused)),
  );

  gauge('tunwall_flows', 'Flows in the table.', ['protocol', 'state'], (add) => {
    flowStateNames.forEach((state, code) => {
      if (code === 0) return;
      add(
        { protocol: formatProtocol(flowStateProtocols[code]!), state },
        source.flowsInState(code),
      );
    });
  });
  gauge('tunwall_carried_flows', 'Flows that the kernel carries past the device.', [], (add) =>
    add({}, source.carriedFlows()),
  );
  gauge('tunwall_flow_capacity', 'Flows that the table can hold.', [], (add) =>
    add({}, source.flowCapacity),
  );
  gauge('tunwall_flow_occupancy_ratio', 'Part of the flow table in use, 0 to 1.', [], (add) =>
    add({}, source.flowCount() / source.flowCapacity),
  );
  gauge(
    'tunwall_flow_timeout_factor',
    'Part of their configured length that timeouts last of flows that are no conversations: below 1 under pressure.',
    [],
    (add) => add({}, source.flowTimeoutFactor()),
  );
  gauge(
    'tunwall_fragment_datagrams',
    'Datagrams that wait for the rest of their fragments.',
    [],
    (add) => add({}, source.fragmentDatagrams()),
  );
  gauge('tunwall_fragment_bytes', 'Memory that fragments take while they wait.', [], (add) =>
    add({}, source.fragmentBytes()),
  );
  gauge('tunwall_fragment_bytes_limit', 'Memory that fragments may take.', [], (add) =>
    add({}, source.fragmentBytesLimit),
  );
  gauge(
    'tunwall_policy_sweep_remaining',
    'Flow records that the policy in force has not visited yet.',
    [],
    (add) => add({}, source.sweepRemaining()),
  );
  gauge('tunwall_policy_epoch', 'Epoch of the policy in force.', [], (add) =>
    add({}, source.policyEpoch()),
  );
  gauge('tunwall_policy_rules', 'Rules of all templates.', [], (add) =>
    add({}, source.policyRules()),
  );
  gauge('tunwall_policy_servers', 'Protected servers.', [], (add) =>
    add({}, source.policyServers()),
  );
  gauge(
    'tunwall_policy_servers_observing',
    'Servers in mode observe: what no rule allows passes.',
    [],
    (add) => add({}, source.serversObserving()),
  );
  gauge('tunwall_policy_templates', 'Firewall templates.', [], (add) =>
    add({}, source.policyTemplates()),
  );
  counter('tunwall_policy_reloads_total', 'Policy changes applied since the start.', [], (add) =>
    add({}, source.reloads()),
  );
  counter(
    'tunwall_policy_reload_failures_total',
    'Changes of the configuration that were refused because of errors in it.',
    [],
    (add) => add({}, source.reloadFailures()),
  );
  gauge(
    'tunwall_policy_unconfirmed',
    '1 while a change waits for confirmation: it is undone if nobody confirms it.',
    [],
    (add) => add({}, source.changeWaits() ? 1 : 0),
  );
  counter(
    'tunwall_policy_undone_total',
    'Changes that were undone because nobody confirmed them in time.',
    [],
    (add) => add({}, source.changesUndone()),
  );
  gauge(
    'tunwall_config_degraded',
    '1 while the stored configuration has errors: the last good one is in force.',
    [],
    (add) => add({}, source.configDegraded() ? 1 : 0),
  );
  const store =
    (
      value: (link: NonNullable<ReturnType<MetricsSource['store']>>) => number | undefined,
    ): Collect<never> =>
    (add) => {
      const link = source.store();
      const found = link && value(link);
      if (found !== undefined) add({}, found);
    };
  gauge(
    'tunwall_store_connected',
    '1 while the store that gateways share answers; 0: changes are refused, packets go on.',
    [],
    store(({ connected }) => (connected ? 1 : 0)),
  );
  gauge(
    'tunwall_store_confirmed_age_seconds',
    'Time since a majority of the store has last confirmed the policy.',
    [],
    store(({ confirmedAgeSeconds }) => confirmedAgeSeconds),
  );
  gauge(
    'tunwall_store_revision',
    'Number of the newest change in the store that this gateway has seen.',
    [],
    store(({ revision }) => revision),
  );
  counter(
    'tunwall_store_conflicts_total',
    'Commits of this gateway that another was faster than; they are begun anew.',
    [],
    store(({ conflicts }) => conflicts),
  );
  counter(
    'tunwall_api_connections_refused_total',
    'Connections to the API that were closed at once because too many were open.',
    [],
    (add) => add({}, source.apiConnectionsRefused()),
  );
  counter(
    'tunwall_api_listen_failures_total',
    'Tries to open the API or the control socket that have failed.',
    [],
    (add) => add({}, source.apiListenFailures()),
  );
  counter(
    'tunwall_api_requests_aborted_total',
    'Requests to the API whose client was gone before they were answered.',
    [],
    (add) => add({}, source.apiRequestsAborted()),
  );
  gauge(
    'tunwall_gateway_state',
    'Whether the gateway is as it should be: 1 for the state that it is in.',
    ['state'],
    (add) => {
      const now = source.gateway()?.state;
      if (now === undefined) return;
      for (const state of gatewayStates) add({ state }, state === now ? 1 : 0);
    },
  );
  counter(
    'tunwall_gateway_bypass_packets_total',
    'Packets that went around the firewall and that the guard has dropped; absent while nobody can see them.',
    [],
    (add) => {
      const packets = source.gateway()?.bypassPackets;
      if (packets !== undefined) add({}, packets);
    },
  );
  counter(
    'tunwall_gateway_repairs_total',
    'Repairs of the gateway since `gateway watch` has started; absent while it does not run.',
    [],
    (add) => {
      const repairs = source.gateway()?.repairs;
      if (repairs !== undefined) add({}, repairs);
    },
  );
  return registry;
}
