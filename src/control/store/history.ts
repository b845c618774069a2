/** What a store tells of the past, and of whom: versions of templates and sets, and changes of the whole policy. */

/** The author of a request. */
export interface Actor {
  /** A user's name; `root` or another system user on the control socket and the command line; `file` for a hand edit. */
  readonly name: string;
  readonly via: 'api' | 'socket' | 'cli' | 'file' | 'system';
  /** Where the request came from, and by which named token. */
  readonly address?: string;
  readonly token?: string;
}

/** What a change has changed. Absent `before`: created; absent `after`: destroyed. */
export interface Changed {
  readonly kind: 'template' | 'server' | 'set' | 'user';
  readonly name: string;
  /** Revisions. */
  readonly before?: string;
  readonly after?: string;
}

export const versionActions = [
  'create',
  'edit',
  'clone',
  'rename',
  'restore',
  'destroy',
  'expire',
  'revive',
] as const;
export type VersionAction = (typeof versionActions)[number];

/** The text of a list, and its name. */
export interface ListText {
  readonly file: string;
  readonly text: string;
}

/** A version as it was written; that of a set with its list. */
export interface VersionText {
  readonly text: string;
  readonly list?: ListText;
}

/** One version of a template or set. */
export interface Version {
  /** From 1, ascending, never used twice for one name. */
  readonly version: number;
  /** ISO 8601. */
  readonly at: string;
  readonly actor: Actor;
  /**
   * The operation; `edit` for a hand edit, `destroy` for a version that marks the removal. `expire` and `revive`
   * mark that time has changed what a template means, and repeat its text.
   */
  readonly action: VersionAction;
  /** Of the text; absent with `destroy`. */
  readonly sha256?: string;
  /** The list that the set had. */
  readonly list?: { readonly file: string; readonly sha256: string };
  /** The name that a `clone` or `rename` came from, or went to; the version that a `restore` took. */
  readonly from?: string;
  readonly to?: string;
}

export interface VersionHistory {
  /** Names that have a history, those of what was destroyed included. */
  names(): Promise<readonly string[]>;
  /** Newest first; empty for a name that was never used. Old ones are forgotten (`keptVersions`). */
  list(name: string): Promise<readonly Version[]>;
  /** The text as it was written, without a list. @throws StoreError `not-found` */
  text(name: string, version: number): Promise<string>;
  /** All of it. @throws StoreError `not-found`, also when its list is not kept any more */
  version(name: string, version: number): Promise<VersionText>;
  /** Unified, from one version to another; version 0 is the empty text. Empty for equal texts. @throws StoreError `not-found` */
  diff(name: string, from: number, to: number): Promise<string>;
}

/** A change of the policy. */
export interface PolicyChange {
  /** Ascending from one change to the next. */
  readonly number: number;
  /** ISO 8601. */
  readonly at: string;
  /** `file` for an edit by hand. */
  readonly actor: Actor;
  /** As in the audit log. */
  readonly action: string;
  readonly summary: string;
  /** In the author's words. */
  readonly why?: string;
  readonly changed: readonly Changed[];
}

export interface PolicyChangePage {
  /** Newest first. */
  readonly changes: readonly PolicyChange[];
  /** There is more: `before` of the next page. */
  readonly next?: number;
}

/** Changes of the whole policy: by API, command line and panel, and by hand. Old ones are forgotten. */
export interface PolicyHistory {
  list(query?: { readonly limit?: number; readonly before?: number }): Promise<PolicyChangePage>;
  /** Of all files, unified, from the state after one change to that after another. @throws StoreError `not-found` */
  diff(from: number, to: number): Promise<string>;
}

/** A change that is undone unless somebody confirms it in time. No other change is made meanwhile. */
export interface Unconfirmed {
  /** Of the change. */
  readonly number: number;
  /** The policy goes back to what it was after this change. */
  readonly back: number;
  readonly actor: Actor;
  readonly summary: string;
  readonly why?: string;
  /** ISO 8601: when it was made, and when it is undone. */
  readonly at: string;
  readonly until: string;
}
