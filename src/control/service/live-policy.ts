/**
 * The policy in force, and how the next one comes to be: a change in the store, by hand or through the API, becomes a new policy or,
 * when it is broken, a log line and a count; the running policy stays whole. All changes go through one queue.
 *
 * It holds two states: the snapshot, which is the newest state of the store without errors and is shown by the API; and
 * the configuration in force, which follows it. Until it has a data plane, a change replaces the first policy.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Applied } from '../api/context.ts';
import { ReloadMode } from '../../dataplane/engine/engine.ts';
import { monotonicMs } from '../../dataplane/worker/clock.ts';
import type { DataPlane } from '../../dataplane/worker/data-plane.ts';
import type { Logger } from '../log/logger.ts';
import type { MetricsSource } from '../metrics/metrics.ts';
import { PolicyCompiler, changedByTime, isChangedByTime } from '../../policy/compile.ts';
import type { CompiledPolicy } from '../../policy/compile.ts';
import { fixedSettings } from '../../policy/engine-options.ts';
import { policyDigest } from '../../policy/policy-digest.ts';
import { formatProblem } from '../../policy/problem.ts';
import { ServerSlots } from '../../policy/server-slots.ts';
import type { GatewayConfig, PolicySource, Problem } from '../../policy/types.ts';
import { loadAddon } from '../../system/addon.ts';
import type { PolicyStore, Snapshot } from '../store/store.ts';
import { Confirmations } from './confirmations.ts';
import { ReloadQueue } from './reload-queue.ts';
import { reportMissedObservations, reportObservations } from './observations.ts';
import { reportEnds, reportMissedEnds } from './rule-ends.ts';
import type { ReportEnds } from './rule-ends.ts';
import { errorsOf } from './start-state.ts';

/** After how long a change is tried again that is sound, and could not be put in force. */
const againMs = 5000;

export interface LivePolicyOptions {
  readonly store: PolicyStore;
  /** To start with. */
  readonly snapshot: Snapshot;
  readonly log: Logger;
  /** Traffic of this server will be counted under this slot. */
  readonly onServer: (slot: number, name: string) => void;
  /** It is about to come into force. */
  readonly onCompiled: (policy: CompiledPolicy) => void;
  /** All threads judge by it. */
  readonly onPolicy: (policy: CompiledPolicy) => void;
}

export class LivePolicy {
  readonly #options: LivePolicyOptions;
  readonly #queue: ReloadQueue<Applied> = new ReloadQueue(() => this.#reload());
  readonly #compiler: PolicyCompiler = new PolicyCompiler((words) =>
    loadAddon().useLargePages(words),
  );
  readonly #confirmations: Confirmations;
  readonly slots: ServerSlots = new ServerSlots((slot, name) => this.#options.onServer(slot, name));
  #config: Snapshot;
  #snapshot: Snapshot;
  #problems: readonly Problem[];
  #compiled: CompiledPolicy | undefined;
  #dataPlane: DataPlane | undefined;
  #kept: Promise<void> | undefined;
  #again: NodeJS.Timeout | undefined;
  #reloads = 0;
  #reloadFailures = 0;
  #reloadError: string | null = null;

  constructor(options: LivePolicyOptions) {
    this.#options = options;
    const { snapshot, store, log } = options;
    this.#confirmations = new Confirmations({ store, log, onUndone: () => this.reload() });
    this.#config = snapshot;
    this.#snapshot = snapshot;
    this.#problems = snapshot.problems;
  }

  /** Makes the first policy. To be called once, before all that follows. */
  prepare(): void {
    this.#compiled = this.#compile(this.#config, 1);
  }

  /** In force. */
  get config(): Snapshot {
    return this.#config;
  }

  /** The newest without errors. */
  get snapshot(): Snapshot {
    return this.#snapshot;
  }

  /** Of the newest state, with or without errors. */
  get problems(): readonly Problem[] {
    return this.#problems;
  }

  /** In force. */
  get compiled(): CompiledPolicy {
    if (this.#compiled === undefined) throw new Error('there is no policy yet');
    return this.#compiled;
  }

  /** Of the policy in force, for the flow file; where there is none, nobody asks. */
  get digest(): string {
    return this.#digestOf(this.compiled, this.#config);
  }

  get reloads(): number {
    return this.#reloads;
  }

  get reloadFailures(): number {
    return this.#reloadFailures;
  }

  /** For metrics. */
  get counts(): Pick<
    MetricsSource,
    | 'reloads'
    | 'reloadFailures'
    | 'configDegraded'
    | 'changeWaits'
    | 'changesUndone'
    | 'serversObserving'
  > {
    return {
      reloads: () => this.#reloads,
      reloadFailures: () => this.#reloadFailures,
      configDegraded: () => this.#reloadError !== null,
      changeWaits: () => this.#confirmations.waits,
      changesUndone: () => this.#confirmations.undone,
      serversObserving: () => this.compiled.observations.filter(({ live }) => live).length,
    };
  }

  /** Why the last change was refused. */
  get reloadError(): string | null {
    return this.#reloadError;
  }

  get summary(): Record<string, number> {
    return {
      epoch: this.compiled.epoch,
      templates: this.#config.templates.length,
      servers: this.#config.servers.length,
      sets: this.#config.sets.length,
      rules: this.compiled.stats.rules,
    };
  }

  /** The first policy is in force there; later ones are put in force there. */
  begin(dataPlane: DataPlane): void {
    this.#dataPlane = dataPlane;
  }

  /** Puts the state of the store in force. Never fails. */
  reload(): Promise<Applied> {
    return this.#queue.run();
  }

  /** Looks at the clock: rules may have begun or ended, and changes may not have been confirmed in time. */
  lookAtTime(): void {
    void this.#confirmations.look();
    if (isChangedByTime(this.compiled, Date.now())) void this.#queue.run();
  }

  /** What a state would mean if it came into force, without that. */
  async judgeTrial<Judgment>(
    source: PolicySource,
    judge: (policy: CompiledPolicy) => Promise<Judgment>,
  ): Promise<Judgment> {
    const trial = this.#compiler.compileTrial(source, { clockMs: monotonicMs() });
    try {
      return await judge(trial);
    } finally {
      this.#compiler.discard(trial);
    }
  }

  /** Rules and observations that ended while no firewall ran, and what is observed now. */
  async reportMissedEnds(): Promise<void> {
    await reportMissedEnds(this.compiled, Date.now(), this.#reportEnds());
    await reportMissedObservations(this.compiled, this.#reportEnds());
    await reportObservations(undefined, this.compiled, this.#reportEnds());
  }

  /** What is written down of it is written. */
  async settled(): Promise<void> {
    clearTimeout(this.#again);
    await this.#kept;
  }

  async #reload(): Promise<Applied> {
    const snapshot = await this.#options.store.read();
    this.#problems = snapshot.problems;
    const errors = this.#refusalsOf(snapshot);
    if (errors.length > 0) {
      for (const { file, line, column, path, message } of errors) {
        this.#options.log.error(
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
        this.#options.log.debug('configuration read again: the policy is unchanged');
      }
    } catch (error) {
      this.#options.log.error({ err: error }, 'the change could not be applied');
      this.#tryAgain();
      return this.#refused((error as Error).message);
    }
    this.#config = config;
    this.#reloadError = null;
    // No answer waits for it.
    this.#kept = this.#options.store.keepGood(snapshot);
    return { applied: true, epoch: this.compiled.epoch };
  }

  #tryAgain(): void {
    clearTimeout(this.#again);
    this.#again = setTimeout(() => {
      this.reload().catch((error: unknown) => {
        this.#options.log.error({ err: error }, 'the configuration could not be read');
        this.#tryAgain();
      });
    }, againMs).unref();
  }

  /** Ends the rules in force that have expired, whatever the files say now. Returns whether there were any. */
  async #applyTime(): Promise<boolean> {
    if (!isChangedByTime(this.compiled, Date.now())) return false;
    await this.#apply(this.#config);
    return true;
  }

  #reportEnds(): ReportEnds {
    return {
      log: this.#options.log,
      audit: this.#options.store.audit,
      mark: (template, actor, action) => this.#options.store.markEnd(template, actor, action),
    };
  }

  #refused(reason: string): Applied {
    this.#reloadFailures++;
    this.#reloadError = reason;
    return { applied: false, epoch: this.compiled.epoch, pending: reason };
  }

  async #apply(config: Snapshot): Promise<void> {
    const startedMs = performance.now();
    const { reload } = config.gateway;
    const next = this.#compile(config, this.compiled.epoch + 1);
    if (this.#dataPlane === undefined) {
      this.#compiler.release(this.compiled);
      this.#compiled = next;
      return;
    }
    const mode =
      typeof reload === 'object'
        ? ReloadMode.drain
        : reload === 'keep'
          ? ReloadMode.keep
          : ReloadMode.cut;
    const drainMs = typeof reload === 'object' ? reload.drain * 1000 : 0;
    const digest = this.#digestOf(next, config);
    this.#options.onCompiled(next);
    await this.#dataPlane.setPolicy(next, mode, drainMs, digest);
    const before = this.compiled;
    const changed = changedByTime(before, Date.now());
    this.#compiled = next;
    this.#options.onPolicy(next);
    this.#compiler.release(before);
    this.#config = config;
    this.#reloads++;
    await reportEnds(changed, this.#reportEnds());
    await reportObservations(before, next, this.#reportEnds());
    const ms = Math.round(performance.now() - startedMs);
    this.#options.log.info({ ...this.summary, ms }, 'policy changed');
  }

  #compile(snapshot: Snapshot, epoch: number): CompiledPolicy {
    const slots = this.slots.assign(snapshot.servers.map(({ name }) => name));
    return this.#compiler.compile(snapshot, epoch, { slots, clockMs: monotonicMs() });
  }

  /** For the flow file; where there is none, nobody asks. */
  #digestOf(policy: CompiledPolicy, config: Snapshot): string {
    return config.gateway.flows.survive ? policyDigest(config, policy) : '';
  }

  /** What keeps a state from being put in force. */
  #refusalsOf(snapshot: Snapshot): readonly Problem[] {
    const errors = errorsOf(snapshot);
    if (errors.length > 0 || !snapshot.gateway.tests.onReload) return errors;
    return this.#options.store.failedTests(snapshot);
  }

  #warnOfRestart(gateway: GatewayConfig): void {
    const changed = fixedSettings(this.#config.gateway, gateway);
    if (changed.length > 0) {
      this.#options.log.warn(
        { changed },
        'gateway.yaml has changed: this takes effect with a restart',
      );
    }
  }
}
