/**
 * The store of templates, servers, users, history and audit, for the API, the command line and the firewall.
 *
 * Life-cycle of a change: `change` locks the store, reads its state, asks `edit` for operations, applies all of them to
 * that state, validates the result as a whole, and makes it durable; then it answers with the new snapshot. Or it
 * changes nothing and throws a `StoreError` with every reason at once. A change is all or nothing.
 *
 * Invariants:
 * - A snapshot is immutable. Equal revisions mean equal content; a revision is opaque and fit for an ETag.
 * - A state with errors (a hand edit in progress, say) can be read, but not built upon: a change whose result would still
 *   have errors is refused as `broken`, since the firewall could not apply it. One that corrects the errors is
 *   accepted.
 * - No change is lost: of two changes, from any clients, the second one sees the first.
 *
 * The interface does not mention files, so that a store shared by many gateways can implement it. `FileStore` is the
 * one on the configuration directory.
 */
import type { AddressSet, GatewayConfig, Problem, Server, Template } from '../../policy/types.ts';
import type { Role } from '../../policy/users.ts';
import type { RuleDirection } from '../../text/rule-text.ts';
import type { Actor, Changed, PolicyHistory, Unconfirmed, VersionHistory } from './history.ts';

export { StoreError, describeFailure } from './failures.ts';
export { versionActions } from './history.ts';
export type * from './history.ts';
export type { BodyProblem, Failure, ThingKind } from './failures.ts';

/** Of things of one kind, by name: a hash of each one's values, so a changed comment does not change it. */
export interface Revisions {
  /** `undefined`: there is no such thing. */
  get(name: string): string | undefined;
  names(): readonly string[];
  /** Whether it is there in both with equal values, or in neither. */
  isSame(other: Revisions, name: string): boolean;
}

/** The whole policy at one moment. With errors among the problems, the rest is incomplete. */
export interface Snapshot {
  readonly gateway: GatewayConfig;
  /** By name, ascending. */
  readonly templates: readonly Template[];
  /** In the order of the file. */
  readonly servers: readonly Server[];
  /** By name, ascending, with their lists. */
  readonly sets: readonly AddressSet[];
  readonly problems: readonly Problem[];
  /** Of everything, comments included. */
  readonly revision: string;
  readonly revisions: {
    readonly templates: Revisions;
    readonly servers: Revisions;
    readonly sets: Revisions;
  };
}

/**
 * Template bodies, rules and server bodies are unvalidated input, with the same keys as in the files. One validator
 * checks files and bodies, so that paths and messages are the same (`inbound[2].ports[0]: expected …`). A body may
 * repeat its `name`; then it has to be the operation's.
 *
 * `ifRevision`: the revision that the template or server must have (`Snapshot.revisions`), else `precondition-failed`.
 * Rules are counted from 0 within their direction; operations of one change see the effect of those before.
 */
export type Operation =
  | { readonly kind: 'create-template'; readonly name: string; readonly body: unknown }
  /** With `upsert`, a missing template is created. */
  | {
      readonly kind: 'replace-template';
      readonly name: string;
      readonly body: unknown;
      readonly upsert?: boolean;
      readonly ifRevision?: string;
    }
  | { readonly kind: 'clone-template'; readonly name: string; readonly to: string }
  /** Servers keep it, under its new name; so does its history. */
  | {
      readonly kind: 'rename-template';
      readonly name: string;
      readonly to: string;
      readonly ifRevision?: string;
    }
  /** Refused as `in-use` while a server has it, unless `force`: then it is removed from those servers first. */
  | {
      readonly kind: 'destroy-template';
      readonly name: string;
      readonly force?: boolean;
      readonly ifRevision?: string;
    }
  /** Restores a version from the history, exactly as it was; also for a destroyed template. */
  | {
      readonly kind: 'restore-template';
      readonly name: string;
      readonly version: number;
      readonly ifRevision?: string;
    }
  /** At `index`, else behind the last one. */
  | {
      readonly kind: 'add-rule';
      readonly template: string;
      readonly direction: RuleDirection;
      readonly rule: unknown;
      readonly index?: number;
      readonly ifRevision?: string;
    }
  | {
      readonly kind: 'replace-rule';
      readonly template: string;
      readonly direction: RuleDirection;
      readonly index: number;
      readonly rule: unknown;
      readonly ifRevision?: string;
    }
  | {
      readonly kind: 'remove-rule';
      readonly template: string;
      readonly direction: RuleDirection;
      readonly index: number;
      readonly ifRevision?: string;
    }
  /** The order does not affect verdicts; it is for the reader. `to` is the index afterwards. */
  | {
      readonly kind: 'move-rule';
      readonly template: string;
      readonly direction: RuleDirection;
      readonly index: number;
      readonly to: number;
      readonly ifRevision?: string;
    }
  | { readonly kind: 'create-server'; readonly name: string; readonly body: unknown }
  | {
      readonly kind: 'replace-server';
      readonly name: string;
      readonly body: unknown;
      readonly upsert?: boolean;
      readonly ifRevision?: string;
    }
  /** Rules keep it, under its new name. */
  | {
      readonly kind: 'rename-server';
      readonly name: string;
      readonly to: string;
      readonly ifRevision?: string;
    }
  /** Refused as `in-use` while a rule names it, unless `force`: then it is removed from those rules first. */
  | {
      readonly kind: 'destroy-server';
      readonly name: string;
      readonly force?: boolean;
      readonly ifRevision?: string;
    }
  /** `list`: the text of the list that the body names as its `file`; by default that is `NAME.txt`. */
  | {
      readonly kind: 'create-set';
      readonly name: string;
      readonly body: unknown;
      readonly list?: string;
    }
  | {
      readonly kind: 'replace-set';
      readonly name: string;
      readonly body: unknown;
      readonly list?: string;
      readonly upsert?: boolean;
      readonly ifRevision?: string;
    }
  | { readonly kind: 'clone-set'; readonly name: string; readonly to: string }
  | {
      readonly kind: 'rename-set';
      readonly name: string;
      readonly to: string;
      readonly ifRevision?: string;
    }
  /** Refused as `in-use` while a rule or a set names it, unless `force`. Its list goes with it. */
  | {
      readonly kind: 'destroy-set';
      readonly name: string;
      readonly force?: boolean;
      readonly ifRevision?: string;
    }
  | {
      readonly kind: 'restore-set';
      readonly name: string;
      readonly version: number;
      readonly ifRevision?: string;
    }
  /** What is there already is not added again. What is removed has to be there, written as address, block or range. */
  | {
      readonly kind: 'change-addresses';
      readonly set: string;
      readonly add?: readonly string[];
      readonly remove?: readonly string[];
      readonly ifRevision?: string;
    }
  /**
   * The whole policy as it was after the change of this number: nothing else in the same change. `newest`: the newest change that
   * the client knows; refused as `precondition-failed` when there is a newer one.
   */
  | { readonly kind: 'restore-policy'; readonly number: number; readonly newest?: number }
  /**
   * All templates, sets, lists and servers.yaml, as texts by their file names; what is not among them goes. Nothing else in the
   * same change. `ifRevision`: of the whole (`Snapshot.revision`).
   */
  | {
      readonly kind: 'replace-policy';
      readonly files: Readonly<Record<string, string>>;
      readonly ifRevision?: string;
    }
  /** Every one of `templates` to (from) every one of `servers`. Templates that are already assigned (removed) stay so. */
  | {
      readonly kind: 'assign' | 'unassign';
      readonly servers: readonly string[];
      readonly templates: readonly string[];
    };

/**
 * Pure, and quick: it may be called again with a newer snapshot after a concurrent change. It may throw a `StoreError`
 * of its own; no operations mean no change.
 */
export type Edit = (snapshot: Snapshot) => readonly Operation[];

/**
 * Whether the client may still make its change. Called while the store is locked, with the users of that moment: the
 * password or the role may have changed while the client waited. Pure and quick, like an `Edit`.
 *
 * @throws StoreError `unauthenticated` or `forbidden`
 */
export type Guard = (users: readonly User[]) => void;

/** Characters of a reason, at most. */
export const maxWhy = 500;

export interface ChangeOptions {
  readonly guard?: Guard;
  /** Why, in the author's words: for history and audit. */
  readonly why?: string;
  /** It is undone after so many seconds, unless it is confirmed. */
  readonly confirmWithinS?: number;
  /** It undoes the unconfirmed change of this number, and ends the waiting. If that does not wait any more, nothing is done. */
  readonly undoes?: number;
}

export interface ConfirmOptions extends Pick<ChangeOptions, 'guard' | 'why'> {
  /** Only the change of this number. */
  readonly number?: number;
}

export interface ChangeResult {
  readonly snapshot: Snapshot;
  /** Empty when nothing changed. */
  readonly changed: readonly Changed[];
}

/** What a change would do. */
export interface Preview {
  readonly before: Snapshot;
  readonly after: Snapshot;
  readonly changed: readonly Changed[];
  /** Unified diff of the files to be written; empty when there are none. */
  readonly diff: string;
}

export interface WatchOptions {
  /** The state has changed, or `poke` was called. Its promise is awaited before the next call. */
  readonly onChange: (snapshot: Snapshot) => Promise<void> | void;
  readonly onWarning: (message: string) => void;
  /** Why changes are not seen at present; `null` when they are again. */
  readonly onWatching?: (problem: string | null) => void;
  /** What the other gateways are told of this one; absent: nothing. Asked for again and again. */
  readonly report?: () => OwnReport;
}

/** What a gateway says of itself to the others on its store. */
export interface OwnReport {
  readonly name: string;
  readonly region?: string;
  readonly version: string;
  /** `refuses`: the newest policy is not in force, because of errors in it; the one before is. */
  readonly state: 'ok' | 'refuses' | 'degraded' | 'failed';
  /** Why it is not `ok`. */
  readonly problem?: string;
  readonly flows: number;
  readonly packetsPerSecond: number;
  /** ISO 8601. */
  readonly startedAt: string;
}

/** A gateway on a store that is shared. */
export interface FleetGateway extends OwnReport {
  /** Number of the change in force, and of the newest one that it has seen. */
  readonly revision: number;
  readonly seen: number;
  /** ISO 8601. */
  readonly reportedAt: string;
  /** It has reported within half a minute, and has not stopped since. */
  readonly runs: boolean;
  readonly isThis: boolean;
}

/** Those that run, and for some time those that have stopped. */
export interface FleetReading {
  /** Number of the newest change. */
  readonly newest: number;
  /** By name. */
  readonly gateways: readonly FleetGateway[];
}

export interface Watching {
  /** Reads the state again, changed or not. */
  poke(): void;
  close(): Promise<void>;
}

export interface Store {
  /** Never throws: what cannot be read is among the snapshot's problems. */
  read(): Promise<Snapshot>;
  /** @throws StoreError; then nothing has changed. Every call, refused or not, is in the audit log. */
  change(actor: Actor, edit: Edit, options?: ChangeOptions): Promise<ChangeResult>;
  /** What `change` would do now, without doing it. @throws StoreError as `change` would */
  preview(edit: Edit): Promise<Preview>;
  /** Resolves when the watch is active. Changes by this process are reported, too. */
  watch(options: WatchOptions): Promise<Watching>;
  /** Of templates. */
  readonly history: VersionHistory;
  readonly setHistory: VersionHistory;
  /** Of everything. */
  readonly changes: PolicyHistory;
  /** The change that waits for confirmation. @throws StoreError */
  unconfirmed(): Promise<Unconfirmed | undefined>;
  /** It stays. @throws StoreError `not-found` when none waits, or not this one */
  confirm(actor: Actor, options?: ConfirmOptions): Promise<Unconfirmed>;
  /** The list of a set in a snapshot. @throws StoreError `not-found` */
  listText(snapshot: Snapshot, file: string): Promise<string>;
  readonly users: Users;
  readonly audit: AuditLog;
}

/** How a store that is elsewhere is reached. */
export interface StoreLink {
  readonly name: string;
  /** In use. */
  readonly endpoint: string;
  readonly connected: boolean;
  /** Why not. */
  readonly problem?: string;
  /** Seconds since the state was last confirmed; absent: it never was. */
  readonly confirmedAgeSeconds?: number;
  /** Number of the newest change that was seen. */
  readonly revision: number;
  /** How many commits of this process somebody else was faster than. */
  readonly conflicts: number;
}

/** A store that a firewall runs on. */
export interface PolicyStore extends Store {
  /** The configuration directory. */
  readonly directory: string;
  /** Absent: the store is on this machine. */
  readonly link?: StoreLink;
  /**
   * A change whose time is over cannot be undone, since the store is away: it is not to be in force here, at least.
   *
   * @returns whether `read` has another state now
   */
  setAside?(number: number): Promise<boolean>;
  /** Absent: the store is of one gateway. @throws StoreError */
  gateways?(): Promise<FleetReading>;
  /** Of history, audit log and what is kept for a restart. */
  readonly stateDirectory: string;
  /** Root acts as the owner of these. */
  readonly actingOwners: readonly string[];
  /** Keeps a state that is in force, for a start that finds errors or no store. Never throws. */
  keepGood(snapshot: Snapshot): Promise<void>;
  /** The state that was in force last; `undefined` when there is none without errors. */
  lastGood(): Promise<Snapshot | undefined>;
  /** What the tests beside the policy say of a state without errors. Never throws. */
  failedTests(snapshot: Snapshot): readonly Problem[];
  /** Puts it into the history of a template that time has changed what it means. Never throws. */
  markEnd(name: string, actor: Actor, action: 'expire' | 'revive'): Promise<void>;
}

/** A user without anything secret. */
export interface User {
  readonly name: string;
  readonly role: Role;
  readonly hasPassword: boolean;
  readonly tokens: readonly { readonly name: string; readonly created?: string }[];
  /** Changes with role, password and tokens. */
  readonly revision: string;
  /** Changes with role and password: sessions of another generation must end. Not shown to clients. */
  readonly generation: string;
}

export type UserChangeOptions = Pick<ChangeOptions, 'guard' | 'why'>;

/**
 * Users, and their secrets. They are not part of the policy: when they cannot be read, packets are still judged, but no
 * login is possible (fail closed). Changes throw a `StoreError` like those of the policy, and are in the audit log.
 */
export interface Users {
  /** Empty if there is an error among the problems. */
  list(): Promise<{ readonly users: readonly User[]; readonly problems: readonly Problem[] }>;
  /** Takes the same time for a name that does not exist. */
  verifyPassword(name: string, password: string): Promise<User | undefined>;
  verifyToken(token: string): Promise<{ readonly user: User; readonly token: string } | undefined>;
  create(
    actor: Actor,
    user: { name: string; role: string; password?: string },
    options?: UserChangeOptions,
  ): Promise<User>;
  setRole(actor: Actor, name: string, role: string, options?: UserChangeOptions): Promise<User>;
  /** Existing tokens stay valid, unless `revokeTokens`. */
  setPassword(
    actor: Actor,
    name: string,
    password: string,
    options?: UserChangeOptions & { readonly revokeTokens?: boolean },
  ): Promise<User>;
  destroy(actor: Actor, name: string, options?: UserChangeOptions): Promise<void>;
  /** The token is in the answer, and nowhere else. */
  createToken(
    actor: Actor,
    name: string,
    tokenName: string,
    options?: UserChangeOptions,
  ): Promise<{ readonly token: string }>;
  revokeToken(
    actor: Actor,
    name: string,
    tokenName: string,
    options?: UserChangeOptions,
  ): Promise<void>;
  /** For the first start: an owner with a random password, if there are no users yet; `undefined` if there are. */
  createFirstOwner(): Promise<{ readonly name: string; readonly password: string } | undefined>;
}

/** A record for the audit log. */
export interface AuditEvent {
  readonly actor: Actor;
  /** `template.replace`, `server.assign`, `user.create`, `login`, …: dotted, the object first. */
  readonly action: string;
  readonly result: 'ok' | 'denied' | 'refused' | 'failed';
  /** Names of the objects concerned. */
  readonly target?: readonly string[];
  /** Revisions before and after of what changed. */
  readonly changed?: readonly Changed[];
  /** A line for a person: what changed, or why not. */
  readonly summary?: string;
  /** Why, in the author's words. */
  readonly why?: string;
  /** Of a change in a store that is shared: when it was made, ISO 8601, and its number there. */
  readonly at?: string;
  readonly commit?: number;
  /** How many denials of this kind the record stands for; absent: this one. */
  readonly count?: number;
}

export interface AuditRecord extends AuditEvent {
  /** Its place in the log, ascending whatever the clock shows: a cursor for `before`. */
  readonly id: string;
  /** ISO 8601. */
  readonly at: string;
}

export interface AuditQuery {
  /** At most so many; 100 if absent, never more than 1,000. */
  readonly limit?: number;
  /** Only records older than the one of this id: the `next` of the page before. */
  readonly before?: string;
  /** The actor's name. */
  readonly actor?: string;
  /** An action, or its first part: `template` finds `template.create`. */
  readonly action?: string;
  /** The name of what it is about: a template, server, set or user. */
  readonly target?: string;
  readonly result?: AuditEvent['result'];
  /** ISO 8601, both included. */
  readonly since?: string;
  readonly until?: string;
}

export interface AuditLog {
  /** Resolves when the record is durable. Never throws: a failed write is reported to `onWarning`. */
  append(event: AuditEvent): Promise<void>;
  /** The same before changes: one that cannot be logged is not made. @throws StoreError when they cannot be written */
  record(...events: readonly AuditEvent[]): Promise<void>;
  /** Newest first; `next` when there is more. */
  query(query: AuditQuery): Promise<{
    readonly records: readonly AuditRecord[];
    readonly next?: string;
  }>;
}
