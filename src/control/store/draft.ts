/**
 * The files after a change: applies operations, one after the other, to the texts of one reading.
 *
 * Nothing is written here. Errors are collected, so that all of them can be reported; operations after a failed one are
 * still checked. A text is edited towards its new value (`documents.ts`), so that comments stay wherever possible. What
 * others name is neither destroyed nor renamed under them (`mentions.ts`).
 */
import { judgeRule, judgeServer, serverBody } from '../../policy/bodies.ts';
import { lateEnd } from '../../policy/observe.ts';
import type { Judged, ServerBody } from '../../policy/bodies.ts';
import type { AddressSet, Problem, Template } from '../../policy/types.ts';
import { namePattern, nameWords } from '../../policy/validate.ts';
import { Documents, setForm, templateForm } from './documents.ts';
import { DraftLists } from './draft-lists.ts';
import { findMentions, mentionsOf, withoutName } from './mentions.ts';
import type { Mention, Mentions, Named } from './mentions.ts';
import { LayoutError } from './yaml-edit.ts';
import { StoreError } from './store.ts';
import type { BodyProblem, Failure, Operation, Snapshot, VersionText } from './store.ts';

type Of<K extends Operation['kind']> = Extract<Operation, { kind: K }>;
export type DocumentKind = 'template' | 'set';
type AnyDocuments = Pick<Documents<unknown>, keyof Documents<unknown>>;

export interface DraftSource {
  readonly snapshot: Snapshot;
  /** Texts of all files by name, also of those with errors. */
  readonly templates: ReadonlyMap<string, string>;
  readonly sets: ReadonlyMap<string, string>;
  /** Texts of the lists beside the sets, by file name. */
  readonly lists: ReadonlyMap<string, string>;
  /** An old text. @throws StoreError `not-found` */
  readonly version: (kind: DocumentKind, name: string, version: number) => Promise<VersionText>;
}

/** The operation that has written a file: errors in it are those of its body. */
export interface Origin {
  readonly operation: number;
  /** Where the body stands in the file: `inbound[3]`; empty: it is the whole. */
  readonly prefix: string;
}

export class Draft {
  readonly failures: Failure[] = [];
  readonly templates: Documents<Template>;
  readonly sets: Documents<AddressSet>;
  readonly lists: DraftLists;
  /** By file name. */
  readonly origins: Map<string, Origin> = new Map<string, Origin>();
  /** Old names of servers, by new name. */
  readonly renamedServers: Map<string, string> = new Map<string, string>();
  readonly #source: DraftSource;
  #ownServers: Map<string, ServerBody> | undefined;
  #ownOwners: Map<string, string> | undefined;
  /** Errors of servers.yaml; it cannot be changed while it has any. */
  readonly #serverErrors: readonly Problem[];
  #operation = 0;
  #serverEdits = 0;
  #mentions: { readonly edits: number; readonly found: Mentions } | undefined;

  constructor(source: DraftSource) {
    this.#source = source;
    const { snapshot, templates, sets } = source;
    this.templates = new Documents(templateForm, templates, snapshot.templates);
    this.sets = new Documents(setForm, sets, snapshot.sets);
    this.lists = new DraftLists(source.lists, this.sets);
    this.#serverErrors = snapshot.problems.filter(
      ({ severity, file }) => severity === 'error' && file.endsWith('/servers.yaml'),
    );
  }

  get servers(): readonly ServerBody[] {
    return [...this.#servers.values()];
  }

  /** Whether any operation was about servers. Most are not, and there may be very many. */
  get concernsServers(): boolean {
    return this.#ownServers !== undefined;
  }

  get #servers(): Map<string, ServerBody> {
    const { servers } = this.#source.snapshot;
    this.#ownServers ??= new Map(servers.map((each) => [each.name, serverBody(each)]));
    return this.#ownServers;
  }

  /** Names of servers by their addresses. */
  get #owners(): Map<string, string> {
    this.#ownOwners ??= new Map(
      [...this.#servers.values()].flatMap(({ name, addresses }) =>
        addresses.map((address): [string, string] => [address, name]),
      ),
    );
    return this.#ownOwners;
  }

  async apply(operations: readonly Operation[]): Promise<void> {
    for (const [index, operation] of operations.entries()) {
      this.#operation = this.templates.operation = this.sets.operation = index;
      await this.#attempt(() => this.#apply(operation));
    }
    for (const documents of [this.templates, this.sets]) {
      for (const name of documents.names) await this.#attempt(() => documents.text(name));
    }
  }

  async #attempt(work: () => unknown): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (error instanceof LayoutError) {
        const { operation = this.#operation, message } = error;
        this.#fail({ kind: 'invalid', problems: [{ operation, path: '', message }] });
      } else if (error instanceof StoreError) this.failures.push(...error.failures);
      else throw error;
    }
  }

  async #apply(operation: Operation): Promise<void> {
    switch (operation.kind) {
      case 'create-template':
      case 'create-set':
        this.#create(operation);
        return;
      case 'replace-template':
      case 'replace-set':
        this.#replace(operation);
        return;
      case 'clone-template':
      case 'clone-set':
        this.#copy(kindOf(operation), operation.name, operation.to, 'clone');
        return;
      case 'rename-template':
      case 'rename-set':
        this.#rename(kindOf(operation), operation);
        return;
      case 'destroy-template':
      case 'destroy-set':
        this.#destroy(kindOf(operation), operation);
        return;
      case 'restore-template':
      case 'restore-set':
        await this.#restore(kindOf(operation), operation);
        return;
      case 'add-rule':
      case 'replace-rule':
      case 'remove-rule':
      case 'move-rule':
        this.#changeRules(operation);
        return;
      case 'change-addresses':
        this.#changeAddresses(operation);
        return;
      case 'create-server':
        this.#putServer({ ...operation, kind: 'replace-server', upsert: true }, true);
        return;
      case 'replace-server':
        this.#putServer(operation, false);
        return;
      case 'rename-server':
        this.#renameServer(operation);
        return;
      case 'destroy-server':
        this.#destroyServer(operation);
        return;
      case 'assign':
      case 'unassign':
        this.#assign(operation);
        return;
      case 'restore-policy':
      case 'replace-policy':
        // Whole files: nothing to draft (`change-plan.ts`).
        return;
    }
  }

  #fail(failure: Failure): void {
    this.failures.push(failure);
  }

  #invalid(problems: readonly { path: string; message: string }[]): void {
    const operation = this.#operation;
    const own: BodyProblem[] = problems.map(({ path, message }) => ({ operation, path, message }));
    this.#fail({ kind: 'invalid', problems: own });
  }

  /** The value, or `undefined` after its problems were recorded. */
  #judged<T>(judged: Judged<T>): T | undefined {
    if ('value' in judged) return judged.value;
    this.#invalid(judged.problems);
    return undefined;
  }

  #documents(kind: DocumentKind): AnyDocuments {
    return kind === 'template' ? this.templates : this.sets;
  }

  /** Checks that a required thing exists, in the required revision. */
  #requires(what: Named['kind'], name: string, ifRevision: string | undefined): boolean {
    const there = what === 'server' ? this.#servers.has(name) : this.#documents(what).has(name);
    if (ifRevision !== undefined) {
      const revision = this.#source.snapshot.revisions[`${what}s`].get(name);
      if (!there || revision !== ifRevision) {
        const current = there && revision !== undefined ? { revision } : {};
        this.#fail({ kind: 'precondition-failed', what, name, ...current });
        return false;
      }
    }
    if (!there) this.#fail({ kind: 'not-found', what, name });
    return there;
  }

  #free(what: Named['kind'], name: string, path: string): boolean {
    if (!namePattern.test(name)) {
      this.#invalid([{ path, message: `expected ${nameWords}, found ${JSON.stringify(name)}` }]);
      return false;
    }
    const taken = what === 'server' ? this.#servers.has(name) : this.#documents(what).has(name);
    if (taken) this.#fail({ kind: 'exists', what, name });
    return !taken;
  }

  /** Errors in this file are those of the operation's body. */
  #isFrom(file: string, prefix = ''): void {
    this.origins.set(file, { operation: this.#operation, prefix });
  }

  #create(operation: Of<'create-template' | 'create-set'>): void {
    const { name } = operation;
    const kind = kindOf(operation);
    const documents = this.#documents(kind);
    const body = this.#withList(operation);
    const value = this.#judged(documents.judge(name, body));
    if (value === undefined || !this.#free(kind, name, 'name')) return;
    documents.create(name, body);
    this.#isFrom(documents.fileOf(name));
  }

  #replace(operation: Of<'replace-template' | 'replace-set'>): void {
    const { name, upsert = false, ifRevision } = operation;
    const kind = kindOf(operation);
    const documents = this.#documents(kind);
    if (upsert && ifRevision === undefined && !documents.has(name)) {
      this.#create({ ...operation, kind: `create-${kind}` });
      return;
    }
    const body = this.#withList(operation);
    const wanted = this.#judged(documents.judge(name, body));
    if (!this.#requires(kind, name, ifRevision) || wanted === undefined) return;
    const before = kind === 'set' ? this.lists.of(name) : undefined;
    documents.replace(name, body, wanted);
    if (before !== undefined) this.lists.release(before);
    this.#isFrom(documents.fileOf(name));
  }

  /** The body of a set whose list is given, too: it names that list. */
  #withList(
    operation: Of<'create-template' | 'create-set' | 'replace-template' | 'replace-set'>,
  ): unknown {
    const { list } = operation as Of<'create-set'>;
    if (list === undefined) return operation.body;
    const body: Record<string, unknown> = { ...(operation.body as object) };
    const file = this.lists.put(operation.name, body['file'], list);
    if ('message' in file) {
      this.#invalid([{ path: 'file', message: file.message }]);
      return body;
    }
    this.#isFrom(`sets/${file.value}`);
    return { ...body, file: file.value };
  }

  #copy(kind: DocumentKind, name: string, to: string, action: 'clone' | 'rename'): boolean {
    if (!this.#requires(kind, name, undefined) || !this.#free(kind, to, 'to')) return false;
    const documents = this.#documents(kind);
    documents.write(to, documents.text(name), { action, from: name });
    if (kind === 'set') this.lists.copy(name, to, action);
    return true;
  }

  #rename(
    kind: DocumentKind,
    { name, to, ifRevision }: Of<'rename-template' | 'rename-set'>,
  ): void {
    if (!this.#requires(kind, name, ifRevision) || !this.#serversWritable()) return;
    const list = kind === 'set' ? this.lists.of(name) : undefined;
    if (!this.#copy(kind, name, to, 'rename')) return;
    this.#documents(kind).remove(name, { action: 'rename', to });
    if (list !== undefined) this.lists.release(list);
    this.#renameMentions({ kind, name }, to);
  }

  #destroy(
    kind: DocumentKind,
    { name, force = false, ifRevision }: Of<'destroy-template' | 'destroy-set'>,
  ): void {
    if (!this.#requires(kind, name, ifRevision) || !this.#serversWritable()) return;
    if (!this.#unused({ kind, name }, force)) return;
    const list = kind === 'set' ? this.lists.of(name) : undefined;
    this.#documents(kind).remove(name, { action: 'destroy' });
    if (list !== undefined) this.lists.release(list);
  }

  /** Whether nobody names it (any more). @param force mentions are removed */
  #unused(named: Named, force: boolean): boolean {
    const usedBy = this.#mentionsOf(named);
    if (usedBy.length === 0) return true;
    if (force) this.#renameMentions(named, undefined);
    else this.#fail({ kind: 'in-use', what: named.kind, name: named.name, usedBy });
    return force;
  }

  #mentionsOf(named: Named): Mention[] {
    const edits = this.templates.edits + this.sets.edits + this.#serverEdits;
    if (this.#mentions?.edits !== edits) {
      const [templates, sets] = [this.templates.values, this.sets.values];
      const found = findMentions({ templates, sets, servers: this.#servers.values() });
      this.#mentions = { edits, found };
    }
    // A server that was destroyed meanwhile names nothing: many are destroyed in one change.
    return mentionsOf(this.#mentions.found, named).filter(
      ({ kind, name }) => kind !== 'server' || this.#servers.has(name),
    );
  }

  /** Gives all that name it the new name; without one they name it no longer. */
  #renameMentions(named: Named, to: string | undefined): void {
    const users = new Map(
      this.#mentionsOf(named).map((each) => [`${each.kind} ${each.name}`, each]),
    );
    for (const { kind, name } of users.values()) {
      if (kind === 'server') {
        const server = this.#servers.get(name)!;
        const templates = server.templates.flatMap((each) =>
          each === named.name ? (to ?? []) : each,
        );
        this.#setServer({ ...server, templates });
        continue;
      }
      const documents = this.#documents(kind);
      documents.edit(
        name,
        withoutName(documents.content(name), named, to),
        documents.causes.get(name),
      );
    }
  }

  async #restore(
    kind: DocumentKind,
    { name, version, ifRevision }: Of<'restore-template' | 'restore-set'>,
  ): Promise<void> {
    if (ifRevision !== undefined && !this.#requires(kind, name, ifRevision)) return;
    const { text, list } = await this.#source.version(kind, name, version);
    const before = kind === 'set' ? this.lists.of(name) : undefined;
    const cause = { action: 'restore', from: String(version) } as const;
    const documents = this.#documents(kind);
    documents.write(name, text, cause);
    if (list !== undefined && this.lists.restore(name, list)) documents.causes.set(name, cause);
    if (before !== undefined) this.lists.release(before);
  }

  #changeRules(operation: Of<'add-rule' | 'replace-rule' | 'remove-rule' | 'move-rule'>): void {
    const { template: name, direction, ifRevision } = operation;
    const hasRule = operation.kind === 'add-rule' || operation.kind === 'replace-rule';
    const judged = hasRule ? this.#judged(judgeRule(direction, operation.rule)) : undefined;
    if (!this.#requires('template', name, ifRevision)) return;
    const file = this.templates.fileOf(name);
    if (!this.templates.isSound(name)) {
      this.#fail({ kind: 'broken', problems: this.#problemsOf(file) });
      return;
    }
    const rules = this.templates.items(name, direction);
    const missing = (index: number, end: number): boolean => {
      const inside = Number.isInteger(index) && index >= 0 && index < end;
      const rule = `${name}.${direction}[${index}]`;
      if (!inside) this.#fail({ kind: 'not-found', what: 'rule', name: rule });
      return !inside;
    };
    const { index = rules.length } = operation;
    if (missing(index, rules.length + (operation.kind === 'add-rule' ? 1 : 0))) return;
    if (operation.kind === 'move-rule') {
      if (missing(operation.to, rules.length)) return;
      rules.splice(operation.to, 0, ...rules.splice(index, 1));
    } else if (operation.kind === 'remove-rule') {
      rules.splice(index, 1);
    } else {
      // Its errors were reported.
      if (judged === undefined) return;
      if (operation.kind === 'add-rule') rules.splice(index, 0, { value: operation.rule });
      else rules[index] = { ...rules[index], value: operation.rule };
      this.#isFrom(file, `${direction}[${index}]`);
    }
    this.templates.editItems(name, direction, rules);
  }

  #changeAddresses(operation: Of<'change-addresses'>): void {
    const { set: name, ifRevision } = operation;
    if (!this.#requires('set', name, ifRevision)) return;
    if (!this.sets.isSound(name)) {
      this.#fail({ kind: 'broken', problems: this.#problemsOf(this.sets.fileOf(name)) });
      return;
    }
    const problems = this.lists.changeAddresses(name, operation);
    if (problems.length > 0) this.#invalid(problems);
  }

  #problemsOf(file: string): Problem[] {
    return this.#source.snapshot.problems.filter(
      (each) => each.severity === 'error' && each.file.endsWith(`/${file}`),
    );
  }

  #serversWritable(): boolean {
    const fine = this.#serverErrors.length === 0;
    const reported = this.failures.some(
      (each) => each.kind === 'broken' && each.problems === this.#serverErrors,
    );
    if (!fine && !reported) this.#fail({ kind: 'broken', problems: this.#serverErrors });
    return fine;
  }

  #putServer(operation: Of<'replace-server'>, create: boolean): void {
    const { name, body, upsert = false, ifRevision } = operation;
    if (!this.#serversWritable()) return;
    const server = this.#judged(judgeServer(name, body, this.templates.names));
    const there = this.#servers.get(name);
    if (create && there !== undefined) {
      this.#fail({ kind: 'exists', what: 'server', name });
      return;
    }
    if ((!upsert || ifRevision !== undefined) && !this.#requires('server', name, ifRevision)) {
      return;
    }
    if (server === undefined) return;
    const next = serverBody(server);
    const taken = next.addresses.flatMap((address, index) => {
      const owner = this.#owners.get(address) ?? name;
      const message = `this address is server ${owner}'s already`;
      return owner === name ? [] : [{ path: `addresses[${index}]`, message }];
    });
    const wrong = [...taken, ...lateEnd(next, there, Date.now())];
    if (wrong.length > 0) {
      this.#invalid(wrong);
      return;
    }
    for (const address of there?.addresses ?? []) this.#owners.delete(address);
    for (const address of next.addresses) this.#owners.set(address, name);
    this.#setServer(next);
  }

  #setServer(server: ServerBody): void {
    this.#servers.set(server.name, server);
    this.#serverEdits++;
  }

  #renameServer({ name, to, ifRevision }: Of<'rename-server'>): void {
    if (!this.#serversWritable() || !this.#requires('server', name, ifRevision)) return;
    if (!this.#free('server', to, 'to')) return;
    const all = this.servers.map((each) => (each.name === name ? { ...each, name: to } : each));
    this.#servers.clear();
    for (const each of all) this.#setServer(each);
    for (const address of this.#servers.get(to)!.addresses) this.#owners.set(address, to);
    this.renamedServers.set(to, this.renamedServers.get(name) ?? name);
    this.renamedServers.delete(name);
    this.#renameMentions({ kind: 'server', name }, to);
  }

  #destroyServer({ name, force = false, ifRevision }: Of<'destroy-server'>): void {
    if (!this.#serversWritable() || !this.#requires('server', name, ifRevision)) return;
    if (!this.#unused({ kind: 'server', name }, force)) return;
    for (const address of this.#servers.get(name)!.addresses) this.#owners.delete(address);
    this.#servers.delete(name);
    this.renamedServers.delete(name);
  }

  #assign({ kind, servers, templates }: Of<'assign' | 'unassign'>): void {
    if (!this.#serversWritable()) return;
    const known = templates.map((name) => this.#requires('template', name, undefined));
    const found = servers.map((name) => this.#requires('server', name, undefined));
    if (![...known, ...found].every(Boolean)) return;
    const given = new Set(templates);
    for (const name of servers) {
      const server = this.#servers.get(name)!;
      const had = new Set(server.templates);
      const next =
        kind === 'assign'
          ? [...server.templates, ...[...given].filter((each) => !had.has(each))]
          : server.templates.filter((each) => !given.has(each));
      if (next.length !== had.size) this.#setServer({ ...server, templates: next });
    }
  }
}

function kindOf({ kind }: Operation): DocumentKind {
  return kind.endsWith('-set') ? 'set' : 'template';
}
