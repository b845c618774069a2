/**
 * `tunwall run`: the firewall as a process.
 *
 * Start: read the configuration, compile the policy, open the device, start the packet threads, then the watcher and the
 * HTTP servers. Any error on the way ends the process before a packet has passed. Afterwards a change in the store, by hand
 * or through the API, becomes a new policy or, when it is broken, a log line and a count; the running policy stays whole.
 * All changes go through one queue. When a packet thread dies the process ends at once: the device without a reader
 * drops everything, and the supervisor restarts the process.
 *
 * It holds two states: the snapshot, which is the newest state of the store without errors and is shown by the API; and
 * the configuration in force, which follows it.
 */
import { isDeepStrictEqual } from 'node:util';
import type { ApiContext, Applied, ControlPlane, Status } from '../api/context.ts';
import { ConnectionCounts } from '../api/connections.ts';
import { ReloadMode } from '../../dataplane/engine/engine.ts';
import { DropLog } from '../log/drop-log.ts';
import type { Logger } from '../log/logger.ts';
import { createMetrics } from '../metrics/metrics.ts';
import { PolicyCompiler, changedByTime } from '../../policy/compile.ts';
import type { CompiledPolicy } from '../../policy/compile.ts';
import { engineOptions } from '../../policy/engine-options.ts';
import { policyDigest } from '../../policy/policy-digest.ts';
import { formatProblem } from '../../policy/problem.ts';
import { ServerSlots } from '../../policy/server-slots.ts';
import type { GatewayConfig, Problem } from '../../policy/types.ts';
import { openStore } from '../store/open-store.ts';
import type { PolicyStore, Snapshot, Watching } from '../store/store.ts';
import { becomeOwnerOf } from '../../system/privileges.ts';
import { txDropped } from '../../dataplane/tun/linux-tun.ts';
import type { PutAside } from '../../system/privileges.ts';
import type { DataPlane } from '../../dataplane/worker/data-plane.ts';
import { ApiListeners, urlOf } from './api-listeners.ts';
import { startForwarding } from './forwarding.ts';
import { healthOf, logGateway, namesOf, storeOf } from './gateway-health.ts';
import type { GatewayObservation, ObserveGateway } from './gateway-health.ts';
import { LiveObserver } from './observer.ts';
import { ReloadQueue } from './reload-queue.ts';
import { reportEnds, reportMissedEnds } from './rule-ends.ts';
import type { ReportEnds } from './rule-ends.ts';
import { errorsOf, startable } from './start-state.ts';
import { SweepLog } from './sweep-log.ts';

/** How often drop records are taken from the packet threads. */
const eventPeriodMs = 200;

/** How often the clock is compared with the ends of rules. */
const clockPeriodMs = 1000;

/** Keys of gateway.yaml that need no restart. */
const keysInForceAtOnce: ReadonlySet<string> = new Set(['reload', 'reject', 'start']);

export interface ServiceOptions {
  readonly configDirectory: string;
  readonly version: string;
  readonly createLogger: (level: string) => Logger;
  readonly observeGateway: ObserveGateway;
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
  readonly #reloadQueue: ReloadQueue<Applied>;
  readonly #connectionCounts: ConnectionCounts = new ConnectionCounts();
  readonly #apis: ApiListeners = new ApiListeners({
    warn: (message) => this.#log.warn(message),
    info: (message) => this.#log.info(message),
  });
  readonly #startedMs: number = Date.now();
  /** In force. */
  #config: Snapshot;
  /** The newest without errors. */
  #snapshot: Snapshot;
  /** Of the newest state, with or without errors. */
  #problems: readonly Problem[];
  readonly #compiler: PolicyCompiler = new PolicyCompiler();
  #policy: CompiledPolicy;
  readonly #slots: ServerSlots = new ServerSlots((slot) => this.#dataPlane?.flows.clearSlot(slot));
  #dataPlane: DataPlane | undefined;
  #observer: LiveObserver | undefined;
  #gateway: GatewayObservation | undefined;
  #watching: Watching | undefined;
  #firstOwner: Promise<void> | undefined;
  #kept: Promise<void> | undefined;
  /** Until root's rights are given up, nobody is answered. */
  readonly #opened: { promise: Promise<void>; resolve: () => void } = deferred();
  #eventTimer: NodeJS.Timeout | undefined;
  #clockTimer: NodeJS.Timeout | undefined;
  #failed = false;
  #reloads = 0;
  #reloadFailures = 0;
  #reloadError: string | null = null;
  #watchError: string | null = null;

  /** Starts the firewall. Throws a {@link StartError} or a `TunError` whose message is meant for the user. */
  static async start(options: ServiceOptions): Promise<Service> {
    let onWarning: (message: string) => void = () => undefined;
    const store = await openStore(options.configDirectory, {
      onWarning: (message) => onWarning(message),
    });
    // Root works in a directory of somebody else as that user, but for what only root can do.
    const rights = becomeOwnerOf([options.configDirectory, store.stateDirectory]);
    const read = await store.read();
    const snapshot = await startable(store, read);
    const service = new Service(options, store, snapshot, rights);
    onWarning = (message) => service.#log.warn(message);
    if (snapshot !== read) {
      service.#log.error(
        'the configuration has errors: started with the last good one, until they are corrected',
      );
    }
    try {
      await service.#start();
      rights.forget();
      service.#opened.resolve();
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
    this.#config = snapshot;
    this.#snapshot = snapshot;
    this.#problems = snapshot.problems;
    this.#log = options.createLogger(snapshot.gateway.log.level);
    this.#policy = this.#compile(snapshot, 1);
    this.#reloadQueue = new ReloadQueue(() => this.#reload());
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

  /** Stops forwarding and releases everything. */
  async stop(): Promise<void> {
    clearInterval(this.#eventTimer);
    clearInterval(this.#clockTimer);
    await this.#watching?.close();
    await this.#gateway?.close();
    await this.#apis.close();
    await this.#firstOwner;
    await this.#kept;
    await this.#dataPlane?.stop();
    this.#takeEvents();
    this.#dropLog.close();
    this.#log.info('firewall has stopped');
  }

  async #start(): Promise<void> {
    const { gateway } = this.#config;
    for (const problem of this.#config.problems) this.#log.warn(formatProblem(problem));
    this.#dataPlane = await this.#rights.asRoot(() =>
      startForwarding(
        gateway,
        this.#policy,
        this.#digestOf(this.#policy, this.#config),
        this.#log,
        (error) => {
          this.#failed = true;
          this.#log.fatal({ err: error }, 'a packet thread has failed: nothing is forwarded');
          this.#options.onFailure(error);
        },
      ),
    );
    this.#observer = new LiveObserver({
      dataPlane: this.#dataPlane,
      device: gateway.device,
      engine: engineOptions(gateway),
      flowCapacity: gateway.flows.capacity,
      slots: this.#slots,
      policy: this.#policy,
    });
    this.#watching = await this.#store.watch({
      // Not this snapshot: a newer one may exist when the reload starts.
      onChange: async () => {
        await this.#reloadQueue.run();
      },
      onWarning: (message) => this.#log.warn(message),
      onWatching: (problem) => {
        this.#watchError = problem;
      },
    });
    this.#gateway = this.#options.observeGateway(gateway.device, (observed) =>
      logGateway(this.#log, observed),
    );
    // Catches changes made after the configuration was read and before it was watched.
    await this.#reloadQueue.run();
    await this.#gateway.ready;
    await reportMissedEnds(this.#policy, Date.now(), this.#reportEnds());
    // Last: a client that gets an answer can rely on a complete firewall.
    await this.#apis.open(this.#apiContext(), gateway, this.#rights);
    this.#eventTimer = setInterval(() => this.#takeEvents(), eventPeriodMs);
    // Looks at the clock, instead of waiting for a moment: the clock may be set.
    this.#clockTimer = setInterval(() => {
      this.#observer?.collectHits();
      if (changedByTime(this.#policy, Date.now()).length > 0) void this.#reloadQueue.run();
    }, clockPeriodMs);
    this.#log.info(
      {
        device: gateway.device,
        queues: gateway.queues,
        ioUring: this.#dataPlane.usesRing,
        ...this.#policySummary(),
        api: urlOf(gateway.api),
      },
      'firewall is running',
    );
    this.#firstOwner = this.#createFirstOwner();
  }

  #apiContext(): ApiContext {
    return {
      store: this.#store,
      controlPlane: this.#controlPlane(),
      metrics: createMetrics(this.#metricsSource()),
      ...(this.#observer !== undefined && { observer: this.#observer }),
      connectionCounts: this.#connectionCounts,
      opened: this.#opened.promise,
      hosts: this.#config.gateway.api.hosts,
      onWarning: (message) => this.#log.warn(message),
    };
  }

  #controlPlane(): ControlPlane {
    return {
      health: () => ({
        healthy: !this.#failed,
        epoch: this.#policy.epoch,
        reloadError: this.#reloadError,
        ...this.#inputErrors(),
        ...storeOf(this.#store),
        ...healthOf(this.#gateway),
      }),
      status: () => Promise.resolve(this.#status()),
      snapshot: () => Promise.resolve(this.#snapshot),
      policy: () => {
        const { templates, servers, sets, gateway } = this.#config;
        const compiled = this.#policy;
        return Promise.resolve({ templates, servers, sets, compiled, loose: gateway.tcp.loose });
      },
      apply: () => this.#reloadQueue.run(),
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

  #status(): Status {
    const dataPlane = this.#running();
    const { gateway, templates, servers } = this.#config;
    return {
      version: this.#options.version,
      running: true,
      configDirectory: this.#store.directory,
      epoch: this.#policy.epoch,
      revision: this.#config.revision,
      policy: {
        templates: templates.length,
        servers: servers.length,
        rules: this.#policy.stats.rules,
      },
      reject: gateway.reject,
      device: gateway.device,
      queues: gateway.queues,
      startedAt: new Date(this.#startedMs).toISOString(),
      uptimeSeconds: Math.floor((Date.now() - this.#startedMs) / 1000),
      flows: { count: dataPlane.flowCount, capacity: gateway.flows.capacity },
      survival: dataPlane.survival,
      reloads: this.#reloads,
      reloadFailures: this.#reloadFailures,
      reloadError: this.#reloadError,
      ...this.#inputErrors(),
      ...namesOf(this.#config.gateway),
      ...storeOf(this.#store),
      problems: this.#problems,
      ...healthOf(this.#gateway),
    };
  }

  /** The first start: creates the first owner, so that login is possible. Nothing waits for it. */
  async #createFirstOwner(): Promise<void> {
    try {
      const owner = await this.#store.users.createFirstOwner();
      if (owner === undefined) return;
      const url = `${urlOf(this.#config.gateway.api)}/`;
      this.#log.warn(
        { user: owner.name, password: owner.password, url },
        'there were no users: log in with this password, which is told only here, and change it',
      );
    } catch (error) {
      this.#log.warn(`nobody can log in yet: ${(error as Error).message}; see tunwall user`);
    }
  }

  /** Puts the stored policy in force. Never throws. */
  async #reload(): Promise<Applied> {
    const snapshot = await this.#store.read();
    this.#problems = snapshot.problems;
    const errors = errorsOf(snapshot);
    if (errors.length > 0) {
      for (const { file, line, column, path, message } of errors) {
        this.#log.error(
          { file, line, column, field: path, problem: message },
          'configuration refused; the running policy stays in force',
        );
      }
      await this.#applyTime();
      return this.#refused(errors.map(formatProblem).join('\n'));
    }
    this.#warnOfRestart(snapshot.gateway);
    const { templates, servers, sets } = this.#config;
    const { reload, reject } = snapshot.gateway;
    const unchanged =
      isDeepStrictEqual(templates, snapshot.templates) &&
      isDeepStrictEqual(servers, snapshot.servers) &&
      isDeepStrictEqual(sets, snapshot.sets) &&
      isDeepStrictEqual(this.#config.gateway.reject, reject);
    this.#snapshot = snapshot;
    const config = { ...snapshot, gateway: { ...this.#config.gateway, reload, reject } };
    try {
      if (!unchanged) await this.#apply(config);
      else if (!(await this.#applyTime())) {
        this.#log.debug('configuration read again: the policy is unchanged');
      }
    } catch (error) {
      this.#log.error({ err: error }, 'the change could not be applied');
      return this.#refused((error as Error).message);
    }
    this.#config = config;
    this.#reloadError = null;
    // No answer waits for it.
    this.#kept = this.#store.keepGood(snapshot);
    return { applied: true, epoch: this.#policy.epoch };
  }

  /** Ends the rules in force that have expired, whatever the files say now. Returns whether there were any. */
  async #applyTime(): Promise<boolean> {
    if (changedByTime(this.#policy, Date.now()).length === 0) return false;
    await this.#apply(this.#config);
    return true;
  }

  #reportEnds(): ReportEnds {
    return {
      log: this.#log,
      audit: this.#store.audit,
      mark: (template, actor, action) => this.#store.markEnd(template, actor, action),
    };
  }

  #refused(reason: string): Applied {
    this.#reloadFailures++;
    this.#reloadError = reason;
    return { applied: false, epoch: this.#policy.epoch, pending: reason };
  }

  async #apply(config: Snapshot): Promise<void> {
    const startedMs = performance.now();
    const { reload } = config.gateway;
    const next = this.#compile(config, this.#policy.epoch + 1);
    const mode =
      typeof reload === 'object'
        ? ReloadMode.drain
        : reload === 'keep'
          ? ReloadMode.keep
          : ReloadMode.cut;
    const drainMs = typeof reload === 'object' ? reload.drain * 1000 : 0;
    const digest = this.#digestOf(next, config);
    await this.#running().setPolicy(next, mode, drainMs, digest);
    const before = this.#policy;
    const changed = changedByTime(before, Date.now());
    this.#policy = next;
    this.#observer?.onPolicy(next);
    this.#compiler.release(before);
    this.#config = config;
    this.#reloads++;
    await reportEnds(changed, this.#reportEnds());
    const ms = Math.round(performance.now() - startedMs);
    this.#log.info({ ...this.#policySummary(), ms }, 'policy changed');
    this.#sweepLog.onPolicy(next.epoch);
  }

  #compile(snapshot: Snapshot, epoch: number): CompiledPolicy {
    const slots = this.#slots.assign(snapshot.servers.map(({ name }) => name));
    return this.#compiler.compile(snapshot, epoch, { slots });
  }

  /** For the flow file; where there is none, nobody asks. */
  #digestOf(policy: CompiledPolicy, config: Snapshot): string {
    return config.gateway.flows.survive ? policyDigest(config, policy) : '';
  }

  #policySummary(): Record<string, number> {
    return {
      epoch: this.#policy.epoch,
      templates: this.#config.templates.length,
      servers: this.#config.servers.length,
      rules: this.#policy.stats.rules,
    };
  }

  #warnOfRestart(gateway: GatewayConfig): void {
    const running = this.#config.gateway;
    const changed = (Object.keys(running) as (keyof GatewayConfig)[]).filter(
      (key) => !keysInForceAtOnce.has(key) && !isDeepStrictEqual(running[key], gateway[key]),
    );
    if (changed.length > 0) {
      this.#log.warn({ changed }, 'gateway.yaml has changed: this takes effect with a restart');
    }
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
      this.#observer?.drops.add(words);
    });
    this.#dropLog.addMissed(missed);
    this.#dropLog.tick();
    this.#sweepLog.look(this.#dataPlane);
  }

  #metricsSource(): Parameters<typeof createMetrics>[0] {
    const dataPlane = this.#running();
    const { device } = this.#config.gateway;
    return {
      counter: (index) => dataPlane.counter(index),
      packetsByQueue: () => dataPlane.packetsByQueue(),
      flowsInState: (state) => dataPlane.flowsInState(state),
      flowCount: () => dataPlane.flowCount,
      flowTimeoutFactor: () => dataPlane.flowTimeoutFactor,
      fragmentDatagrams: () => dataPlane.fragmentDatagramsHeld,
      fragmentBytes: () => dataPlane.fragmentBytesHeld,
      fragmentBytesLimit: dataPlane.fragmentBytesLimit,
      sweepRemaining: () => dataPlane.sweepRemaining,
      survival: dataPlane.survival,
      flowCapacity: this.#config.gateway.flows.capacity,
      policyEpoch: () => this.#policy.epoch,
      policyRules: () => this.#policy.stats.rules,
      policyServers: () => this.#config.servers.length,
      policyTemplates: () => this.#config.templates.length,
      reloads: () => this.#reloads,
      reloadFailures: () => this.#reloadFailures,
      configDegraded: () => this.#reloadError !== null,
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
