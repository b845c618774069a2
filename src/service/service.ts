/**
 * `tunwall run`: the firewall as a process.
 *
 * Start: read the configuration, compile the policy, open the device, start the packet threads, then the HTTP server and
 * the watcher. Any error on the way ends the process before a packet has passed. Afterwards a change on disk becomes a new
 * policy or, when it is broken, a log line and a count; the running policy stays whole. When a packet thread dies the
 * process ends: the device without a reader drops everything, and the supervisor starts us again.
 */
import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import type { FastifyInstance } from 'fastify';
import { buildApi } from '../api/server.ts';
import { ReloadMode } from '../engine/engine.ts';
import { DropLog } from '../log/drop-log.ts';
import type { Logger } from '../log/logger.ts';
import { createMetrics } from '../metrics/metrics.ts';
import { compilePolicy } from '../policy/compile.ts';
import type { CompiledPolicy } from '../policy/compile.ts';
import { engineOptions } from '../policy/engine-options.ts';
import { formatProblem } from '../policy/problem.ts';
import type { GatewayConfig } from '../policy/types.ts';
import { readConfigDirectory } from '../store/config-directory.ts';
import type { ConfigDirectory } from '../store/config-directory.ts';
import { ConfigWatcher } from '../store/config-watcher.ts';
import { DataPlane } from '../worker/data-plane.ts';
import { SweepLog } from './sweep-log.ts';

/** How often drop records are taken from the packet threads. */
const eventPeriodMs = 200;

/** A reason not to start that the user can do something about. */
export class StartError extends Error {
  override name = 'StartError';
  readonly hint: string;

  constructor(message: string, hint: string) {
    super(message);
    this.hint = hint;
  }
}

export interface ServiceOptions {
  readonly configDirectory: string;
  readonly createLogger: (level: string) => Logger;
  /** The firewall has stopped forwarding and cannot go on. */
  readonly onFailure: (error: Error) => void;
}

export class Service {
  readonly #options: ServiceOptions;
  readonly #log: Logger;
  readonly #dropLog: DropLog;
  readonly #sweepLog: SweepLog;
  #config: ConfigDirectory;
  #policy: CompiledPolicy;
  #dataPlane: DataPlane | undefined;
  #api: FastifyInstance | undefined;
  #watcher: ConfigWatcher | undefined;
  #eventTimer: NodeJS.Timeout | undefined;
  #failed = false;
  #reloads = 0;
  #reloadFailures = 0;
  #reloadError: string | null = null;

  /** Starts the firewall. Throws a {@link StartError} or a `TunError` whose message is meant for the user. */
  static async start(options: ServiceOptions): Promise<Service> {
    const config = await readConfigDirectory(options.configDirectory);
    const problems = config.problems.filter((problem) => problem.severity === 'error');
    if (problems.length > 0) {
      throw new StartError(
        [`${options.configDirectory} has errors:`, ...problems.map(formatProblem)].join('\n'),
        'mend them; tunwall check tells whether all is well',
      );
    }
    const service = new Service(options, config);
    try {
      await service.#start();
    } catch (error) {
      await service.stop();
      throw error;
    }
    return service;
  }

  private constructor(options: ServiceOptions, config: ConfigDirectory) {
    this.#options = options;
    this.#config = config;
    this.#log = options.createLogger(config.gateway.log.level);
    this.#policy = compilePolicy(config.templates, config.servers, 1);
    this.#sweepLog = new SweepLog((swept) => this.#log.info(swept, 'flows judged again'));
    this.#dropLog = new DropLog({
      linesPerSecond: config.gateway.log.dropsPerSecond,
      now: () => performance.now(),
      onDrop: (record, repeats) =>
        this.#log.info(repeats === 0 ? record : { ...record, repeats }, 'dropped'),
      onSuppressed: (count) =>
        this.#log.warn({ count }, 'more drops than are logged; see tunwall_drops_total'),
    });
  }

  /** Reads the configuration again now, changed or not: SIGHUP. */
  reload(): void {
    this.#watcher?.poke();
  }

  /** Stops forwarding and lets go of everything. */
  async stop(): Promise<void> {
    clearInterval(this.#eventTimer);
    await this.#watcher?.close();
    await this.#api?.close();
    this.#takeEvents();
    await this.#dataPlane?.stop();
    this.#dropLog.flush();
    this.#log.info('firewall has stopped');
  }

  async #start(): Promise<void> {
    const { gateway } = this.#config;
    for (const problem of this.#config.problems) this.#log.warn(formatProblem(problem));
    this.#dataPlane = await DataPlane.start({
      device: gateway.device,
      queues: gateway.queues,
      offload: gateway.offload,
      flowCapacity: gateway.flows.capacity,
      fragmentBytes: gateway.fragments.memory,
      engine: engineOptions(gateway),
      policyWords: this.#policy.words,
      onFailure: (error) => {
        this.#failed = true;
        this.#log.fatal({ err: error }, 'a packet thread has failed: nothing is forwarded');
        this.#options.onFailure(error);
      },
      onOffloadDisabled: () =>
        this.#log.warn('the kernel refuses super-packets: segmentation offload is off from now on'),
    });
    await this.#listen();
    this.#watcher = await ConfigWatcher.start(this.#options.configDirectory, {
      onChange: (config) => this.#onChange(config),
      onWarning: (message) => this.#log.warn(message),
    });
    this.#eventTimer = setInterval(() => this.#takeEvents(), eventPeriodMs);
    this.#log.info(
      {
        device: gateway.device,
        queues: gateway.queues,
        ...this.#policySummary(),
        api: `http://${gateway.api.host}:${gateway.api.port}`,
      },
      'firewall is running',
    );
  }

  async #listen(): Promise<void> {
    const { host, port } = this.#config.gateway.api;
    this.#api = buildApi({
      metrics: createMetrics(this.#metricsSource()),
      health: () => ({
        healthy: !this.#failed,
        epoch: this.#policy.epoch,
        reloadError: this.#reloadError,
      }),
    });
    try {
      await this.#api.listen({ host, port });
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? String(error);
      const hint =
        code === 'EADDRINUSE'
          ? 'is another tunwall running? Change api.listen in gateway.yaml otherwise'
          : 'change api.listen in gateway.yaml';
      throw new StartError(`cannot listen on ${host}:${port} (${code})`, hint);
    }
  }

  async #onChange(config: ConfigDirectory): Promise<void> {
    const problems = config.problems.filter((problem) => problem.severity === 'error');
    if (problems.length > 0) {
      this.#reloadFailures++;
      this.#reloadError = problems.map(formatProblem).join('\n');
      for (const { file, line, column, path, message } of problems) {
        this.#log.error(
          { file, line, column, field: path, problem: message },
          'configuration refused; the running policy stays in force',
        );
      }
      return;
    }
    this.#reloadError = null;
    this.#warnOfRestart(config.gateway);
    const { templates, servers } = this.#config;
    const unchanged =
      isDeepStrictEqual(templates, config.templates) && isDeepStrictEqual(servers, config.servers);
    this.#config = {
      ...config,
      gateway: { ...this.#config.gateway, reload: config.gateway.reload },
    };
    if (unchanged) {
      this.#log.debug('configuration read again: the policy is unchanged');
      return;
    }
    await this.#apply();
  }

  async #apply(): Promise<void> {
    const startedMs = performance.now();
    const dataPlane = this.#running();
    const next = compilePolicy(
      this.#config.templates,
      this.#config.servers,
      this.#policy.epoch + 1,
    );
    const { reload } = this.#config.gateway;
    const mode =
      typeof reload === 'object'
        ? ReloadMode.drain
        : reload === 'keep'
          ? ReloadMode.keep
          : ReloadMode.cut;
    const drainMs = typeof reload === 'object' ? reload.drain * 1000 : 0;
    await dataPlane.setPolicy(next.words, mode, drainMs);
    this.#policy = next;
    this.#reloads++;
    this.#log.info(
      { ...this.#policySummary(), ms: Math.round(performance.now() - startedMs) },
      'policy changed',
    );
    this.#sweepLog.onPolicy(next.epoch);
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
      (key) => key !== 'reload' && !isDeepStrictEqual(running[key], gateway[key]),
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
    const missed = this.#dataPlane.drainEvents((words) => this.#dropLog.add(words));
    this.#dropLog.addMissed(missed);
    this.#dropLog.tick();
    this.#sweepLog.look(this.#dataPlane);
  }

  #metricsSource(): Parameters<typeof createMetrics>[0] {
    const dataPlane = this.#running();
    const statistics = `/sys/class/net/${this.#config.gateway.device}/statistics/tx_dropped`;
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
      flowCapacity: this.#config.gateway.flows.capacity,
      policyEpoch: () => this.#policy.epoch,
      policyRules: () => this.#policy.stats.rules,
      policyServers: () => this.#config.servers.length,
      policyTemplates: () => this.#config.templates.length,
      reloads: () => this.#reloads,
      reloadFailures: () => this.#reloadFailures,
      tunTxDropped() {
        try {
          return Number(readFileSync(statistics, 'utf8'));
        } catch {
          return undefined;
        }
      },
    };
  }
}
