/**
 * The store that many gateways share: the same texts as in a configuration directory, in an etcd cluster.
 *
 * gateway.yaml stays a file of each machine; it says where the cluster is. Everything else of the policy, its history and the users are in
 * the cluster (`layout.ts`). A change is built upon the newest state and made by one transaction (`committer.ts`), so
 * changes at any number of gateways come one after the other and none is lost.
 *
 * Packets never wait for etcd, and never depend on it: what is in force stays in force, for ever. What was in force last is on
 * this machine's disk, for a start without etcd. Reading answers with what is known; changes are `store-unavailable`.
 */
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { EtcdConfig, Problem } from '../../../policy/types.ts';
import { exposedFolders } from '../../../system/folders-above.ts';
import { cutEvent, madeEvent } from '../audit-events.ts';
import { previewOf } from '../change-plan.ts';
import { ChangeQueue } from '../change-queue.ts';
import type { Commits as CommitWays, PlannedChange } from '../change-queue.ts';
import { ConfigJudge } from '../config-judge.ts';
import { filesOf, textDigestOf } from '../config-texts.ts';
import {
  confirmedEvent,
  requireNothingWaits,
  requireWaiting,
  waitingAfter,
} from '../confirmation.ts';
import { StoreError } from '../failures.ts';
import { AuditFile } from '../files/audit-log.ts';
import { KeptState } from '../files/last-good.ts';
import type { PlanParts } from '../change-plan.ts';
import { failedTests } from '../files/policy-tests.ts';
import { actingOwners, statePlaceOf } from '../files/state-directory.ts';
import type { StatePlace } from '../files/state-directory.ts';
import type {
  Actor,
  AuditEvent,
  ChangeOptions,
  ChangeResult,
  ConfirmOptions,
  Edit,
  FleetGateway,
  FleetReading,
  PolicyStore,
  Preview,
  Snapshot,
  StoreLink,
  Unconfirmed,
  Users,
  VersionHistory,
  WatchOptions,
  Watching,
} from '../store.ts';
import { ChangeHistory } from '../policy-history.ts';
import { UserDocument } from '../user-document.ts';
import type { VersionedKind } from '../versions.ts';
import { Administration } from './administration.ts';
import { Collector, usualLimits } from './collector.ts';
import type { Limits } from './collector.ts';
import { Committer, commitFailure } from './committer.ts';
import type { Addition } from './committer.ts';
import { endMark, eventBytes, eventOnly } from './fileless-commits.ts';
import { EtcdClient } from './etcd-client.ts';
import { Commits, EtcdHistory, unlessUnavailable } from './etcd-history.ts';
import { EtcdWatcher } from './etcd-watcher.ts';
import { FleetAudit } from './fleet-audit.ts';
import { Keys } from './layout.ts';
import type { Head } from './layout.ts';
import { GatewayRecords } from './gateway-records.ts';
import { LocalState } from './local-state.ts';
import { Replica, unavailable } from './replica.ts';
import type { SharedReading } from './replica.ts';
import { SharedUsers } from './shared-users.ts';
import { UnconfirmedAside } from './unconfirmed-aside.ts';
import { WithoutStore } from './without-store.ts';
import { planPush } from './push.ts';
import type { Push } from './push.ts';
import { digestsOf, storedVersion, textsOf } from './stored-policy.ts';

/** How long a start waits for etcd that has the policy on this machine, too. */
const startPatienceMs = 1500;

export interface EtcdStoreOptions {
  readonly onWarning: (message: string) => void;
  /** What is kept of the past. */
  readonly limits?: Limits;
}

export class EtcdStore implements PolicyStore {
  readonly directory: string;
  readonly stateDirectory: string;
  readonly actingOwners: readonly string[];
  readonly users: Users;
  readonly history: VersionHistory;
  readonly setHistory: VersionHistory;
  readonly changes: ChangeHistory;
  readonly audit: FleetAudit;
  readonly administration: Administration;
  readonly #client: EtcdClient;
  readonly #keys: Keys;
  readonly #judge: ConfigJudge;
  readonly #local: LocalState;
  readonly #replica: Replica;
  readonly #committer: Committer;
  readonly #commits: Commits;
  readonly #collector: Collector;
  readonly #records: GatewayRecords;
  readonly #kept: KeptState;
  readonly #queue: ChangeQueue<SharedReading>;
  readonly #histories: Readonly<Record<VersionedKind, VersionHistory>>;
  readonly #onWarning: (message: string) => void;
  /** Of snapshots, so that what is kept for a restart is known by its commit. */
  readonly #heads: WeakMap<Snapshot, Head> = new WeakMap<Snapshot, Head>();
  readonly #withoutStore: WithoutStore;
  readonly #aside: UnconfirmedAside;
  #inForce: { readonly revision: string; readonly seq: number } = { revision: '', seq: 0 };
  #isWatching = false;

  static async open(
    directory: string,
    config: EtcdConfig,
    options: EtcdStoreOptions,
  ): Promise<EtcdStore> {
    const path = resolve(directory);
    return new EtcdStore(path, await statePlaceOf(path), config, options);
  }

  private constructor(
    directory: string,
    state: StatePlace,
    config: EtcdConfig,
    { onWarning, limits = usualLimits }: EtcdStoreOptions,
  ) {
    this.directory = directory;
    const stateDirectory = state.path;
    this.stateDirectory = stateDirectory;
    this.actingOwners = actingOwners(directory, state);
    this.#onWarning = onWarning;
    const client = new EtcdClient(config, directory);
    const keys = new Keys(config.prefix);
    this.#client = client;
    this.#keys = keys;
    this.#judge = new ConfigJudge(`etcd:${config.prefix}`, directory);
    this.#local = new LocalState(stateDirectory);
    const [judge, local] = [this.#judge, this.#local];
    this.#replica = new Replica({ client, keys, judge, local, directory });
    this.#committer = new Committer(client, keys);
    this.#commits = new Commits(client, keys, limits.versions);
    this.#kept = new KeptState(stateDirectory, judge, onWarning);
    this.#withoutStore = new WithoutStore(this.#kept, this.#replica, judge);
    this.#aside = new UnconfirmedAside(judge.place);
    this.audit = new FleetAudit(new AuditFile(stateDirectory, { onWarning }), this.#commits, {
      directory: local.directory,
      onWarning,
      isConnected: () => this.#replica.problem === null,
    });
    const { audit } = this;
    this.administration = new Administration({ client, keys, local, audit, directory });
    const newest = async (): Promise<Head> => (await this.#fresh()).head;
    const parts = { client, keys, commits: this.#commits, newest };
    this.#records = new GatewayRecords(client, keys, onWarning);
    const refresh = (): Promise<SharedReading> => this.#replica.refresh();
    this.#collector = new Collector({ ...parts, limits, refresh, onWarning });
    this.history = new EtcdHistory('template', parts);
    this.setHistory = new EtcdHistory('set', parts);
    const [template, set] = [this.history, this.setHistory];
    this.#histories = { template, set, servers: new EtcdHistory('servers', parts) };
    this.changes = new ChangeHistory(
      () => unlessUnavailable(async () => this.#commits.newestFirst(await newest())),
      this.#histories,
    );
    this.#queue = new ChangeQueue(this.#ways(), this.#parts, this.audit);
    const users = new SharedUsers({
      path: `etcd:${config.prefix}/users.yaml`,
      replica: this.#replica,
      local,
      isTold: () => this.#isWatching && this.#replica.problem === null,
      replace: (before, text, event) => this.#replaceUsers(before, text, event),
    });
    this.users = new UserDocument(users, this.audit);
  }

  get #parts(): PlanParts {
    return {
      ...{ judge: this.#judge, histories: this.#histories, changes: this.changes },
      failedTests: (each) => this.failedTests(each),
    };
  }

  /** Where the policy lies in etcd. */
  get prefix(): string {
    return this.#keys.prefix;
  }

  get link(): StoreLink {
    const { problem, confirmedAgeSeconds, known, mark } = this.#replica;
    return {
      name: `etcd:${this.#keys.prefix}`,
      endpoint: this.#client.endpoint,
      connected: problem === null,
      ...(problem !== null && { problem }),
      ...(confirmedAgeSeconds !== undefined && { confirmedAgeSeconds }),
      revision: (known?.head ?? mark)?.seq ?? 0,
      conflicts: this.#committer.conflicts,
    };
  }

  /** While nobody tells of changes, or etcd has not been asked, it is asked. */
  async #fresh(): Promise<SharedReading> {
    const { known, problem } = this.#replica;
    if (this.#isWatching && problem !== null && known !== undefined) throw unavailable(problem);
    return await this.#replica.refresh();
  }

  /** Whoever is told of changes need not ask. @throws StoreError when etcd is away */
  async #told(): Promise<SharedReading> {
    const { known, problem } = this.#replica;
    const isKnown = this.#isWatching && problem === null && known !== undefined;
    return isKnown ? known : await this.#fresh();
  }

  async read(): Promise<Snapshot> {
    // A firewall is told of changes, and its own are known: it does not ask, and waits for no cluster that is away.
    const { known: before, problem } = this.#replica;
    const asks = !this.#isWatching || (before === undefined && problem === null);
    try {
      const fresh = asks ? await this.#freshInTime() : undefined;
      if (fresh !== undefined) return this.#remember(fresh);
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
    }
    const known = this.#replica.current();
    if (known === undefined) return await this.#withoutStore.read();
    return this.#aside.insteadOf(known.head) ?? this.#remember(known);
  }

  /** A start that has something to go on with does not wait long for a cluster that is silent. */
  async #freshInTime(): Promise<SharedReading | undefined> {
    const fresh = this.#replica.refresh();
    fresh.catch(() => undefined);
    const { known } = this.#replica;
    if (known !== undefined || (await this.#kept.files()) === undefined) return await fresh;
    return await Promise.race([fresh, sleep(startPatienceMs, undefined, { ref: false })]);
  }

  #remember({ snapshot, head }: SharedReading): Snapshot {
    this.#heads.set(snapshot, head);
    return snapshot;
  }

  listText(snapshot: Snapshot, file: string): Promise<string> {
    const raw = this.#judge.filesOf(snapshot) ?? this.#replica.known?.raw;
    const text = filesOf(raw).find(({ name }) => name === `sets/${file}`)?.text;
    if (text !== undefined) return Promise.resolve(text);
    return Promise.reject(new StoreError([{ kind: 'not-found', what: 'list', name: file }]));
  }

  async keepGood(snapshot: Snapshot): Promise<void> {
    const head = this.#heads.get(snapshot);
    this.#inForce = { revision: snapshot.revision, seq: head?.seq ?? 0 };
    this.#records.look();
    // A state that is no base for the next is not recorded, because somebody may have adopted another one. Nor is one that nobody
    // has confirmed: a start must not fall back on it.
    if (head === undefined || this.#replica.problem !== null) return;
    if (head.unconfirmed !== undefined) return;
    this.#aside.confirmed(snapshot);
    await this.#kept.keep(snapshot);
    try {
      await this.#local.keepMark(head);
    } catch (error) {
      this.#onWarning(`what was taken from etcd cannot be recorded: ${(error as Error).message}`);
    }
  }

  /** Tests lie beside gateway.yaml: each gateway has its own. */
  failedTests(snapshot: Snapshot): readonly Problem[] {
    return failedTests(this.directory, snapshot);
  }

  lastGood(): Promise<Snapshot | undefined> {
    return this.#kept.read();
  }

  async watch(options: WatchOptions): Promise<Watching> {
    exposedFolders(this.directory).forEach(options.onWarning);
    let told: string | undefined;
    let toldProblem: string | null = null;
    let isPoked = false;
    let waited = false;
    const look = async (): Promise<boolean> => {
      const problem = await this.#lookAtStore();
      if (problem !== toldProblem) {
        if (problem !== null) {
          options.onWarning(`etcd: ${problem}; the policy in force stays, and changes are refused`);
        }
        options.onWatching?.(problem);
        toldProblem = problem;
      }
      const reading = this.#replica.known;
      const snapshot = reading && this.#remember(reading);
      // What was confirmed is the same policy, and is now to be kept.
      const isSettled = waited && reading?.head.unconfirmed === undefined;
      waited = reading?.head.unconfirmed !== undefined;
      if (snapshot !== undefined && (isPoked || isSettled || snapshot.revision !== told)) {
        isPoked = false;
        told = snapshot.revision;
        try {
          await options.onChange(snapshot);
        } catch (error) {
          options.onWarning(`the change could not be applied: ${(error as Error).message}`);
        }
      }
      return problem === null;
    };
    const watcher = new EtcdWatcher(this.#client, this.#keys, look);
    told = this.#replica.known?.snapshot.revision;
    this.#isWatching = true;
    await watcher.start();
    const { report } = options;
    if (report !== undefined) this.#records.begin(() => ({ ...report(), ...this.#progress }));
    return {
      poke: () => {
        isPoked = true;
        watcher.poke();
      },
      close: async () => {
        this.#isWatching = false;
        await watcher.close();
        await this.audit.settled();
        await this.#records.close(this.#replica.problem !== null);
        await this.#collector.close();
      },
    };
  }

  get #progress(): Pick<FleetGateway, 'revision' | 'seen'> {
    const { known } = this.#replica;
    const seen = known?.head.seq ?? 0;
    // Changes of users alone need not be put in force.
    const isNewest = known?.snapshot.revision === this.#inForce.revision;
    return { revision: isNewest ? seen : this.#inForce.seq, seen };
  }

  async gateways(): Promise<FleetReading> {
    const { head } = await this.#told();
    try {
      return { newest: head.seq, gateways: await this.#records.list() };
    } catch (error) {
      throw commitFailure(error);
    }
  }

  /** @returns the problem with it, if there is one */
  async #lookAtStore(): Promise<string | null> {
    const before = this.#replica.known;
    try {
      const { head, users } = await this.#replica.refresh();
      if (head.seq !== before?.head.seq) void this.audit.copy();
      this.#collector.look(head);
      this.#records.look();
      await this.#local.keepUsers(users, this.#onWarning);
      return null;
    } catch (error) {
      return error instanceof StoreError ? this.#replica.problem : (error as Error).message;
    }
  }

  change(actor: Actor, edit: Edit, options?: ChangeOptions): Promise<ChangeResult> {
    return this.#queue.change(actor, edit, options);
  }

  async preview(edit: Edit): Promise<Preview> {
    return await previewOf(await this.#fresh(), edit, this.#parts);
  }

  async unconfirmed(): Promise<Unconfirmed | undefined> {
    // Asked each second, also while etcd is away.
    const known = this.#isWatching ? this.#replica.known : undefined;
    return (known ?? (await this.#fresh())).head.unconfirmed;
  }

  setAside(number: number): Promise<boolean> {
    return this.#aside.setAside(number, () => this.lastGood());
  }

  async confirm(actor: Actor, { guard, why, number }: ConfirmOptions = {}): Promise<Unconfirmed> {
    for (;;) {
      guard?.((await this.users.list()).users);
      const reading = await this.#fresh();
      const waiting = requireWaiting(reading.head.unconfirmed, number);
      if (await this.#settle(reading, confirmedEvent(actor, waiting, why))) return waiting;
    }
  }

  /** Nothing waits for confirmation any more. */
  #settle(reading: SharedReading, event: AuditEvent): Promise<boolean> {
    return this.#add(reading, { ...eventOnly(reading, event), unconfirmed: null });
  }

  #ways(): CommitWays<SharedReading> {
    return {
      exclusively: (work) => work(),
      newest: () => this.#fresh(),
      users: async () => (await this.users.list()).users,
      unconfirmed: ({ head }) => Promise.resolve(head.unconfirmed),
      settle: (reading, event) => this.#settle(reading, event),
      allow: () => Promise.resolve(),
      commit: (reading, changes) => this.#commit(reading, changes),
      failureOf: commitFailure,
      busy: 'the policy is being changed at other gateways again and again: try again',
    };
  }

  async #commit(reading: SharedReading, changes: readonly PlannedChange[]): Promise<boolean> {
    const { after, next } = changes.at(-1)!;
    const commits = changes.map((change) => ({
      event: cutEvent(madeEvent(change), eventBytes),
      versions: change.versions.map((each) => storedVersion(change.actor, each)),
    }));
    const texts = new Map<string, string>();
    for (const { writes } of changes) {
      for (const file of writes) texts.set(textDigestOf(file), file.text!);
    }
    const { seq } = reading.head;
    const waiting = await waitingAfter(changes, async () => {
      const back = (await this.changes.newest())?.number ?? seq;
      return { number: seq + 1, back };
    });
    const addition = { commits, files: digestsOf(after), texts, unconfirmed: waiting };
    const reread = { raw: after, snapshot: next };
    return await this.#add(reading, addition, reread);
  }

  /** @returns false when the reading is not the newest state any more */
  async #add(
    reading: SharedReading,
    addition: Addition,
    reread: Partial<Pick<SharedReading, 'raw' | 'snapshot'>> = {},
  ): Promise<boolean> {
    const written = await this.#committer.commit(reading, addition);
    if (written === undefined) return false;
    const users = addition.users ?? reading.users;
    const next = { ...reading, ...written, users, ...reread };
    this.#heads.set(next.snapshot, next.head);
    this.#replica.committed(next);
    // The record is in the commit: a firewall's answer does not wait for the copy of it here. Who does not watch may end now.
    const copied = this.audit.copy();
    if (!this.#isWatching) await copied;
    return true;
  }

  async #replaceUsers(reading: SharedReading, users: string, event: AuditEvent): Promise<boolean> {
    return await this.#add(reading, { ...eventOnly(reading, event), users });
  }

  async markEnd(name: string, actor: Actor, action: 'expire' | 'revive'): Promise<void> {
    try {
      for (;;) {
        const reading = await this.#fresh();
        const mark = await endMark(reading, this.history, name, actor, action);
        if (mark === undefined || (await this.#add(reading, mark))) return;
      }
    } catch (error) {
      this.#onWarning(
        `the end of a rule of template ${name} was not put into its history: ${(error as Error).message}`,
      );
    }
  }

  /** All files of the policy, as they lie in etcd, by name. @throws StoreError */
  async files(): Promise<ReadonlyMap<string, string>> {
    const { raw } = await this.#replica.refresh();
    return textsOf({ ...raw, gateway: undefined });
  }

  /**
   * Puts a whole policy in the place of the present one.
   *
   * @throws StoreError
   */
  async replaceFiles(push: Push): Promise<Snapshot> {
    for (;;) {
      const reading = await this.#replica.refresh();
      requireNothingWaits(reading.head.unconfirmed);
      const change = planPush(reading, push, this.#parts);
      if (change === undefined) return reading.snapshot;
      if (!(await this.#commit(reading, [change]))) continue;
      await this.collect();
      return change.next;
    }
  }

  /** Removes what is too old to be asked for, if it is time. Never throws. @returns how many keys are gone */
  collect(): Promise<number> {
    return this.#collector.collect();
  }
}
