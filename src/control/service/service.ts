/**
 * `tunwall run`: the firewall as a process.
 *
 * `prepare`: read the configuration, open the device, load the packet threads, compile the policy. An earlier process may forward
 * packets meanwhile. `begin`: forward them, then the watcher and the HTTP servers. Any error on the way ends the process before
 * a packet has passed. When a packet thread dies the process ends at once: the device without a reader drops everything, and the
 * parent starts the next process.
 */
import type { ApiContext, ControlPlane, Health, Status } from '../api/context.ts';
import { fleetOf } from '../api/fleet.ts';
import { ConnectionCounts } from '../api/connections.ts';
import { DropLog } from '../log/drop-log.ts';
import type { Logger } from '../log/logger.ts';
import type { MetricsSource, createMetrics as CreateMetrics } from '../metrics/metrics.ts';
import { engineOptions } from '../../policy/engine-options.ts';
import { observingNow } from '../../policy/observe.ts';
import { formatProblem } from '../../policy/problem.ts';
import { openStore } from '../store/open-store.ts';
import type { PolicyStore, Snapshot, Watching } from '../store/store.ts';
import { becomeOwnerOf } from '../../system/privileges.ts';
import { txDropped } from '../../dataplane/tun/linux-tun.ts';
import type { PutAside } from '../../system/privileges.ts';
import type { DataPlane } from '../../dataplane/worker/data-plane.ts';
import { ApiListeners, urlOf } from './api-listeners.ts';
import { createFirstOwner } from './first-owner.ts';
import { FlowLogging } from './flow-logging.ts';
import { beginForwarding, prepareForwarding } from './forwarding.ts';
import { fastPathOf, healthOf, logGateway, namesOf, storeOf } from './gateway-health.ts';
import type { GatewayObservation, ObserveGateway } from './gateway-health.ts';
import { loadLater } from './later-modules.ts';
import type { LaterModules } from './later-modules.ts';
import type { Lineage } from './lineage.ts';
import type { LiveObserver } from './observer.ts';
import { LivePolicy } from './live-policy.ts';
import { OwnReporter } from './own-reporter.ts';
import { readConfirmed, startable } from './start-state.ts';
import { SweepLog } from './sweep-log.ts';

/** How often drop records are taken from the packet threads. */
const eventPeriodMs = 200;

/** How often the clock is compared with the ends of rules. */
const clockPeriodMs = 1000;

export interface ServiceOptions {
  readonly configDirectory: string;
  readonly version: string;
  readonly createLogger: (level: string) => Logger;
  readonly loadGatewayObserver: () => Promise<ObserveGateway>;
  /** Open /dev/net/tun, from the parent. */
  readonly descriptors: readonly number[];
  readonly lineage: Lineage;
  /** The firewall has stopped forwarding and cannot go on, nor be stopped in order: the process is to end now. */
  readonly onFailure: (error: Error) => void;
}

export class Service {
  readonly #options: ServiceOptions;
  readonly #store: PolicyStore;
  readonly #rights: PutAside;
  readonly #log: Logger;
  readonly #dropLog: DropLog;
  readonly #sweepLog: SweepLog;
  readonly #connectionCounts: ConnectionCounts = new ConnectionCounts();
  #apis: ApiListeners;
  readonly #startedMs: number = Date.now();
  readonly #policy: LivePolicy;
  #dataPlane: DataPlane | undefined;
  #observer: LiveObserver | undefined;
  #flowLog: FlowLogging | undefined;
  #gateway: GatewayObservation | undefined;
  readonly #reporter: OwnReporter;
  #watching: Watching | undefined;
  #firstOwner: Promise<void> | undefined;
  /** Until root's rights are given up, nobody is answered. */
  readonly #opened: { promise: Promise<void>; resolve: () => void } = deferred();
  #eventTimer: NodeJS.Timeout | undefined;
  #clockTimer: NodeJS.Timeout | undefined;
  #failed = false;
  #isForwarding = false;
  /** Until packets were judged: time and CPU time of this process, in ms. */
  #start: { readonly startMs: number; readonly cpuMs: number } | undefined;
  #watchError: string | null = null;

  /** Makes a firewall ready to begin. Throws a {@link StartError} or a `TunError` whose message is meant for the user. */
  static async prepare(options: ServiceOptions): Promise<Service> {
    let onWarning: (message: string) => void = () => undefined;
    const store = await openStore(options.configDirectory, {
      onWarning: (message) => onWarning(message),
    });
    // Root works in a directory of somebody else as that user, but for what only root can do.
    const rights = becomeOwnerOf(store.actingOwners);
    const read = await readConfirmed(store);
    const snapshot = await startable(store, read, options.lineage.birth.waits);
    const service = new Service(options, store, snapshot, rights);
    onWarning = (message) => service.#log.warn(message);
    if (snapshot !== read) {
      service.#log.error(
        'the configuration has errors: started with the last good one, until they are corrected',
      );
    }
    try {
      await service.#prepare();
    } catch (error) {
      await service.stop();
      throw error;
    }
    return service;
  }

  private constructor(
    options: ServiceOptions,
    store: PolicyStore,
    snapshot: Snapshot,
    rights: PutAside,
  ) {
    this.#rights = rights;
    this.#options = options;
    this.#store = store;
    this.#log = options.createLogger(snapshot.gateway.log.level);
    this.#apis = this.#newListeners();
    this.#policy = new LivePolicy({
      store,
      snapshot,
      log: this.#log,
      onServer: (slot, name) => this.#dataPlane?.nameServer(slot, name),
      onCompiled: (policy) => this.#flowLog?.onCompiled(policy),
      onPolicy: (policy) => {
        this.#observer?.onPolicy(policy);
        this.#sweepLog.onPolicy(policy.epoch);
      },
    });
    this.#reporter = new OwnReporter({
      version: options.version,
      startedMs: this.#startedMs,
      gateway: () => this.#policy.config.gateway,
      health: () => this.#health(),
      flows: () => this.#running().flowCount,
      packets: () => {
        const totals = this.#observer?.totals();
        return totals === undefined ? 0 : totals.passed.packets + totals.dropped.packets;
      },
    });
    this.#sweepLog = new SweepLog((swept) => this.#log.info(swept, 'flows judged again'));
    this.#dropLog = new DropLog({
      linesPerSecond: snapshot.gateway.log.dropsPerSecond,
      now: () => performance.now(),
      onDrop: (record, repeats) =>
        this.#log.info(repeats === 0 ? record : { ...record, repeats }, 'dropped'),
      onSuppressed: (count) =>
        this.#log.warn({ count }, 'more drops than are logged; see tunwall_drops_total'),
    });
  }

  /** Reads the configuration again now, changed or not: SIGHUP. */
  reload(): void {
    this.#watching?.poke();
  }

  /** Before it begins: what was changed since it was prepared belongs into the first policy. */
  async refresh(): Promise<void> {
    await this.#loadRest();
    await this.#policy.reload();
  }

  /**
   * Forwards packets, and does all else that a firewall does. No other process may forward any more.
   *
   * @param stoppedMs since when none does, by sharedClockMs; undefined: there was none
   * @param onForwarding packets are judged; clients are not answered yet
   */
  async begin(stoppedMs: number | undefined, onForwarding: () => void): Promise<void> {
    try {
      await this.#forward(stoppedMs);
      onForwarding();
      await this.#attend();
      this.#rights.forget();
      this.#opened.resolve();
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** Answers no requests any more. What was accepted is stored, and in force if it can be. */
  async closeApi(): Promise<void> {
    await this.#apis.close();
    await this.#firstOwner;
    // One that waits has to be seen through.
    await this.#policy.reload();
    await this.#policy.settled();
    await this.#observer?.keep();
  }

  /** The next process has failed to take over: answers requests again. */
  async reopenApi(reason: string): Promise<void> {
    this.#options.lineage.upgradeFailed(reason);
    this.#log.error({ reason }, 'the upgrade has failed: this process goes on');
    if (!this.#apis.isClosed) return;
    this.#apis = this.#newListeners();
    await this.#openApi();
  }

  /** Lets the next process forward, when it resolves. */
  async stopForwarding(): Promise<void> {
    const dataPlane = this.#dataPlane;
    this.#isForwarding = false;
    // What charts are drawn of is the next process's, too.
    clearInterval(this.#clockTimer);
    await dataPlane?.stop();
  }

  /** Stops forwarding and releases everything. */
  async stop(): Promise<void> {
    clearInterval(this.#eventTimer);
    clearInterval(this.#clockTimer);
    await this.#watching?.close();
    await this.#gateway?.close();
    await this.#apis.close();
    await this.#firstOwner;
    await this.#policy.settled();
    const isLast = this.#isForwarding;
    if (isLast) await this.stopForwarding();
    this.#takeEvents();
    if (isLast) await this.#observer?.keep();
    this.#dropLog.close();
    await this.#flowLog?.close();
    this.#log.info('firewall has stopped');
  }

  /** All that an earlier process need not have stopped for. */
  async #prepare(): Promise<void> {
    for (const problem of this.#policy.problems) this.#log.warn(formatProblem(problem));
    const { died } = this.#options.lineage.birth;
    if (died !== undefined) this.#log.error({ died }, 'the process before has failed');
    this.#dataPlane = await this.#rights.asRoot(() =>
      prepareForwarding(
        this.#policy.config.gateway,
        this.#options.descriptors,
        this.#log,
        (error) => {
          this.#failed = true;
          this.#log.fatal({ err: error }, 'a packet thread has failed: nothing is forwarded');
          this.#options.onFailure(error);
        },
      ),
    );
    this.#isForwarding = true;
    this.#policy.prepare();
  }

  async #forward(stoppedMs: number | undefined): Promise<void> {
    const { gateway } = this.#policy.config;
    const dataPlane = this.#running();
    const { compiled, digest } = this.#policy;
    await this.#rights.asRoot(() =>
      beginForwarding(dataPlane, gateway, compiled, digest, this.#log),
    );
    this.#policy.begin(dataPlane);
    const { slots } = this.#policy;
    this.#flowLog = FlowLogging.of(gateway.log.flows, dataPlane, compiled, slots, this.#log);
    this.#options.lineage.began(stoppedMs);
    const { user, system } = process.cpuUsage();
    this.#start = {
      startMs: Math.round(performance.now()),
      cpuMs: Math.round((user + system) / 1000),
    };
  }

  /** All that is not packets: changes, clients, the gateway, the clock. */
  async #attend(): Promise<void> {
    const { gateway } = this.#policy.config;
    const dataPlane = this.#running();
    const { LiveObserver, observeGateway } = await this.#loadRest();
    this.#observer = new LiveObserver({
      dataPlane,
      device: gateway.device,
      engine: engineOptions(gateway),
      flowCapacity: gateway.flows.capacity,
      slots: this.#policy.slots,
      policy: this.#policy.compiled,
      judgeTrial: (source, judge) => this.#policy.judgeTrial(source, judge),
      stateDirectory: this.#store.stateDirectory,
      onWarning: (message) => this.#log.warn(message),
    });
    await this.#observer.begin();
    this.#watching = await this.#store.watch({
      // Not this snapshot: a newer one may exist when the reload starts.
      onChange: async () => {
        await this.#policy.reload();
      },
      onWarning: (message) => this.#log.warn(message),
      onWatching: (problem) => {
        this.#watchError = problem;
      },
      report: () => this.#reporter.report(),
    });
    this.#gateway = observeGateway(gateway.device, (observed) => logGateway(this.#log, observed));
    // Catches changes made after the configuration was read and before it was watched.
    await this.#policy.reload();
    await this.#gateway.ready;
    await this.#policy.reportMissedEnds();
    // Last: a client that gets an answer can rely on a complete firewall.
    await this.#openApi();
    this.#eventTimer = setInterval(() => this.#takeEvents(), eventPeriodMs);
    // Looks at the clock, instead of waiting for a moment: the clock may be set.
    this.#clockTimer = setInterval(() => {
      this.#observer?.look();
      this.#reporter.sample(performance.now());
      this.#policy.lookAtTime();
    }, clockPeriodMs);
    this.#log.info(
      {
        device: gateway.device,
        queues: gateway.queues,
        ioUring: dataPlane.usesRing,
        ...this.#start,
        ...this.#policy.summary,
        api: urlOf(gateway.api),
      },
      'firewall is running',
    );
    const url = `${urlOf(gateway.api)}/`;
    this.#firstOwner = createFirstOwner(this.#store, url, this.#log);
  }

  /** It may lie where only root can read. */
  #loadRest(): Promise<LaterModules> {
    return this.#rights.asRoot(() => loadLater(this.#options.loadGatewayObserver));
  }

  #newListeners(): ApiListeners {
    return new ApiListeners({
      warn: (message) => this.#log.warn(message),
      info: (message) => this.#log.info(message),
    });
  }

  async #openApi(): Promise<void> {
    const { buildApi, createMetrics } = await this.#loadRest();
    const context = this.#apiContext(createMetrics(this.#metricsSource()));
    const { gateway } = this.#policy.config;
    await this.#apis.open((options) => buildApi(context, options), gateway, this.#rights);
  }

  #apiContext(metrics: ReturnType<typeof CreateMetrics>): ApiContext {
    return {
      store: this.#store,
      controlPlane: this.#controlPlane(),
      metrics,
      ...(this.#observer !== undefined && { observer: this.#observer }),
      connectionCounts: this.#connectionCounts,
      opened: this.#opened.promise,
      hosts: this.#policy.config.gateway.api.hosts,
      onWarning: (message) => this.#log.warn(message),
    };
  }

  #controlPlane(): ControlPlane {
    return {
      health: () => this.#health(),
      gateways: () => fleetOf(this.#store, this.#reporter.report()),
      status: () => Promise.resolve(this.#status()),
      snapshot: () => Promise.resolve(this.#policy.snapshot),
      policy: () => {
        const { templates, servers, sets, gateway } = this.#policy.config;
        const { compiled } = this.#policy;
        return Promise.resolve({ templates, servers, sets, compiled, loose: gateway.tcp.loose });
      },
      apply: () => this.#policy.reload(),
      upgrade: () => this.#options.lineage.upgrade(),
    };
  }

  /** What does not reach the firewall at present. */
  #inputErrors(): Pick<Status, 'watchError' | 'listenError'> {
    const { error } = this.#apis;
    return {
      ...(this.#watchError !== null && { watchError: this.#watchError }),
      ...(error !== undefined && { listenError: error }),
    };
  }

  #health(): Health {
    return {
      healthy: !this.#failed,
      epoch: this.#policy.compiled.epoch,
      reloadError: this.#policy.reloadError,
      ...this.#inputErrors(),
      ...storeOf(this.#store),
      ...healthOf(this.#gateway),
    };
  }

  #status(): Status {
    const dataPlane = this.#running();
    const { gateway, templates, servers, sets } = this.#policy.config;
    return {
      version: this.#options.version,
      running: true,
      configDirectory: this.#store.directory,
      epoch: this.#policy.compiled.epoch,
      revision: this.#policy.config.revision,
      policy: {
        templates: templates.length,
        sets: sets.length,
        servers: servers.length,
        rules: this.#policy.compiled.stats.rules,
      },
      reject: gateway.reject,
      ...observingNow(servers, Date.now()),
      device: gateway.device,
      queues: gateway.queues,
      startedAt: new Date(this.#startedMs).toISOString(),
      uptimeSeconds: Math.floor((Date.now() - this.#startedMs) / 1000),
      flows: { count: dataPlane.flowCount, capacity: gateway.flows.capacity },
      survival: dataPlane.survival,
      process: this.#options.lineage.status,
      reloads: this.#policy.reloads,
      reloadFailures: this.#policy.reloadFailures,
      reloadError: this.#policy.reloadError,
      ...this.#inputErrors(),
      ...{ ...namesOf(gateway), ...storeOf(this.#store) },
      ...(this.#observer && { history: { bytes: this.#observer.history.bytes } }),
      problems: this.#policy.problems,
      ...{ ...fastPathOf(gateway, dataPlane, this.#gateway), ...healthOf(this.#gateway) },
    };
  }

  /** The data plane, once it was started. */
  #running(): DataPlane {
    if (this.#dataPlane === undefined) throw new Error('the data plane is not running');
    return this.#dataPlane;
  }

  #takeEvents(): void {
    if (this.#dataPlane === undefined) return;
    const missed = this.#dataPlane.drainEvents((words) => {
      this.#dropLog.add(words);
      this.#observer?.addDrop(words);
    });
    this.#dropLog.addMissed(missed);
    this.#observer?.addMissed(missed);
    this.#dropLog.tick();
    this.#sweepLog.look(this.#dataPlane);
    this.#flowLog?.take();
  }

  #metricsSource(): MetricsSource {
    const dataPlane = this.#running();
    const { device } = this.#policy.config.gateway;
    return {
      counter: (index) => dataPlane.counter(index),
      packetsByQueue: () => dataPlane.packetsByQueue(),
      flowsInState: (state) => dataPlane.flowsInState(state),
      flowCount: () => dataPlane.flowCount,
      carriedFlows: () => dataPlane.carriedFlows ?? 0,
      flowTimeoutFactor: () => dataPlane.flowTimeoutFactor,
      fragmentDatagrams: () => dataPlane.fragmentDatagramsHeld,
      fragmentBytes: () => dataPlane.fragmentBytesHeld,
      fragmentBytesLimit: dataPlane.fragmentBytesLimit,
      flowLog: () => this.#flowLog,
      sweepRemaining: () => dataPlane.sweepRemaining,
      survival: dataPlane.survival,
      lineage: this.#options.lineage,
      flowCapacity: this.#policy.config.gateway.flows.capacity,
      policyEpoch: () => this.#policy.compiled.epoch,
      policyRules: () => this.#policy.compiled.stats.rules,
      policyServers: () => this.#policy.config.servers.length,
      policyTemplates: () => this.#policy.config.templates.length,
      ...this.#policy.counts,
      apiConnectionsRefused: () => this.#connectionCounts.refused,
      apiListenFailures: () => this.#apis.failures,
      apiRequestsAborted: () => this.#connectionCounts.aborted,
      gateway: () => this.#gateway?.current,
      store: () => this.#store.link,
      tunTxDropped: () => txDropped(device),
    };
  }
}

function deferred(): { promise: Promise<void>; resolve: () => void } {
  let resolve: () => void = () => undefined;
  const promise = new Promise<void>((done) => (resolve = done));
  return { promise, resolve };
}
