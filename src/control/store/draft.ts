/**
 * The files after a change: applies operations, one after the other, to the texts of one reading.
 *
 * Nothing is written here. Errors are collected, so that all of them can be reported; operations after a failed one are
 * still checked. A text is edited towards its new value (`editYaml`), so that comments stay wherever possible.
 */
import { isDeepStrictEqual } from 'node:util';
import { yamlValue } from '../../policy/parse-yaml.ts';
import { judgeRule, judgeServer, judgeTemplate, serverBody } from '../../policy/bodies.ts';
import type { Judged, ServerBody } from '../../policy/bodies.ts';
import type { Problem, Rule, Template } from '../../policy/types.ts';
import { namePattern, nameWords, validateTemplate } from '../../policy/validate.ts';
import { ruleBody } from '../../policy/template-body.ts';
import type { RuleDirection } from '../../text/rule-text.ts';
import { LayoutError, editYaml } from './yaml-edit.ts';
import { documentText } from './yaml-text.ts';
import { StoreError } from './store.ts';
import type { BodyProblem, Failure, Operation, Snapshot, TemplateVersion } from './store.ts';

/** The content of a template's file, as plain values. */
interface TemplateContent {
  description?: string;
  appliesTo?: unknown[];
  inbound?: unknown[];
  outbound?: unknown[];
}

interface TemplateFile {
  readonly text: string;
  /** `undefined`: the file has errors. */
  readonly template: Template | undefined;
}

/** For the history: the operation that changed or removed a template. */
export type Cause = Pick<TemplateVersion, 'action' | 'from' | 'to'>;

type Of<K extends Operation['kind']> = Extract<Operation, { kind: K }>;

export interface DraftSource {
  readonly snapshot: Snapshot;
  /** Texts of all template files by name, also of those with errors. */
  readonly templates: ReadonlyMap<string, string>;
  /** An old text of a template. @throws StoreError `not-found` */
  readonly textOfVersion: (name: string, version: number) => Promise<string>;
}

export class Draft {
  readonly failures: Failure[] = [];
  readonly causes: Map<string, Cause> = new Map<string, Cause>();
  readonly #source: DraftSource;
  readonly #templates: Map<string, TemplateFile>;
  readonly #servers: Map<string, ServerBody>;
  readonly #owners: Map<string, string> = new Map<string, string>();
  /** Errors of servers.yaml; it cannot be changed while it has any. */
  readonly #serverErrors: readonly Problem[];
  #operation = 0;

  constructor(source: DraftSource) {
    this.#source = source;
    const { snapshot, templates } = source;
    const valid = new Map(snapshot.templates.map((each) => [each.name, each]));
    this.#templates = new Map(
      [...templates].map(([name, text]) => [name, { text, template: valid.get(name) }]),
    );
    this.#servers = new Map(snapshot.servers.map((each) => [each.name, serverBody(each)]));
    for (const { name, addresses } of this.#servers.values()) {
      for (const address of addresses) this.#owners.set(address, name);
    }
    this.#serverErrors = snapshot.problems.filter(
      ({ severity, file }) => severity === 'error' && file.endsWith('/servers.yaml'),
    );
  }

  /** Texts of the template files afterwards. */
  get templates(): ReadonlyMap<string, string> {
    return new Map([...this.#templates].map(([name, { text }]) => [name, text]));
  }

  get servers(): readonly ServerBody[] {
    return [...this.#servers.values()];
  }

  async apply(operations: readonly Operation[]): Promise<void> {
    for (const [index, operation] of operations.entries()) {
      this.#operation = index;
      try {
        await this.#apply(operation);
      } catch (error) {
        if (error instanceof LayoutError) this.#invalid([{ path: '', message: error.message }]);
        else if (error instanceof StoreError) this.failures.push(...error.failures);
        else throw error;
      }
    }
  }

  async #apply(operation: Operation): Promise<void> {
    switch (operation.kind) {
      case 'create-template':
        this.#createTemplate(operation.name, operation.body);
        return;
      case 'replace-template':
        this.#replaceTemplate(operation);
        return;
      case 'clone-template':
        this.#copyTemplate(operation.name, operation.to, 'clone');
        return;
      case 'rename-template':
        this.#renameTemplate(operation);
        return;
      case 'destroy-template':
        this.#destroyTemplate(operation);
        return;
      case 'restore-template':
        await this.#restoreTemplate(operation);
        return;
      case 'add-rule':
      case 'replace-rule':
      case 'remove-rule':
      case 'move-rule':
        this.#changeRules(operation);
        return;
      case 'create-server':
        this.#putServer({ ...operation, kind: 'replace-server', upsert: true }, true);
        return;
      case 'replace-server':
        this.#putServer(operation, false);
        return;
      case 'destroy-server':
        this.#destroyServer(operation);
        return;
      case 'assign':
      case 'unassign':
        this.#assign(operation);
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

  /** Checks that a required template or server exists, in the required revision. */
  #requires(what: 'template' | 'server', name: string, ifRevision: string | undefined): boolean {
    const there = what === 'template' ? this.#templates.has(name) : this.#servers.has(name);
    if (ifRevision !== undefined) {
      const { revisions } = this.#source.snapshot;
      const revision = (what === 'template' ? revisions.templates : revisions.servers).get(name);
      if (!there || revision !== ifRevision) {
        const current = there && revision !== undefined ? { revision } : {};
        this.#fail({ kind: 'precondition-failed', what, name, ...current });
        return false;
      }
    }
    if (!there) this.#fail({ kind: 'not-found', what, name });
    return there;
  }

  #write(name: string, text: string, cause: Cause): void {
    const { value } = validateTemplate(name, `templates/${name}.yaml`, text);
    this.#templates.set(name, { text, template: value });
    this.causes.set(name, cause);
  }

  #free(name: string, path: string): boolean {
    if (!namePattern.test(name)) {
      this.#invalid([{ path, message: `expected ${nameWords}, found ${JSON.stringify(name)}` }]);
      return false;
    }
    if (this.#templates.has(name)) this.#fail({ kind: 'exists', what: 'template', name });
    return !this.#templates.has(name);
  }

  #createTemplate(name: string, body: unknown): void {
    const template = this.#judged(judgeTemplate(name, body));
    if (template === undefined || !this.#free(name, 'name')) return;
    this.#write(name, documentText(contentOf(body, {})), { action: 'create' });
  }

  #replaceTemplate(operation: Of<'replace-template'>): void {
    const { name, body, upsert = false, ifRevision } = operation;
    if (upsert && ifRevision === undefined && !this.#templates.has(name)) {
      this.#createTemplate(name, body);
      return;
    }
    const wanted = this.#judged(judgeTemplate(name, body));
    if (!this.#requires('template', name, ifRevision) || wanted === undefined) return;
    const { text, template } = this.#templates.get(name)!;
    // Nothing of a file with errors is kept.
    const next =
      template === undefined
        ? documentText(contentOf(body, {}))
        : editYaml(text, keepSpelling(contentOf(body, read(text)), wanted, read(text), template));
    if (next !== text) this.#write(name, next, { action: 'edit' });
  }

  #copyTemplate(name: string, to: string, action: 'clone' | 'rename'): boolean {
    if (!this.#requires('template', name, undefined) || !this.#free(to, 'to')) return false;
    this.#write(to, this.#templates.get(name)!.text, { action, from: name });
    return true;
  }

  #renameTemplate({ name, to, ifRevision }: Of<'rename-template'>): void {
    if (!this.#requires('template', name, ifRevision) || !this.#serversWritable()) return;
    if (!this.#copyTemplate(name, to, 'rename')) return;
    for (const server of this.servers.filter((each) => each.templates.includes(name))) {
      const templates = server.templates.map((each) => (each === name ? to : each));
      this.#servers.set(server.name, { ...server, templates });
    }
    this.#templates.delete(name);
    this.causes.set(name, { action: 'rename', to });
  }

  #destroyTemplate({ name, force = false, ifRevision }: Of<'destroy-template'>): void {
    if (!this.#requires('template', name, ifRevision) || !this.#serversWritable()) return;
    const users = this.servers.filter((each) => each.templates.includes(name));
    if (users.length > 0 && !force) {
      this.#fail({ kind: 'in-use', template: name, servers: users.map((each) => each.name) });
      return;
    }
    for (const server of users) {
      const templates = server.templates.filter((each) => each !== name);
      this.#servers.set(server.name, { ...server, templates });
    }
    this.#templates.delete(name);
    this.causes.set(name, { action: 'destroy' });
  }

  async #restoreTemplate({ name, version, ifRevision }: Of<'restore-template'>): Promise<void> {
    if (ifRevision !== undefined && !this.#requires('template', name, ifRevision)) return;
    const text = await this.#source.textOfVersion(name, version);
    if (text !== this.#templates.get(name)?.text) {
      this.#write(name, text, { action: 'restore', from: String(version) });
    }
  }

  #changeRules(operation: Of<'add-rule' | 'replace-rule' | 'remove-rule' | 'move-rule'>): void {
    const { template: name, direction, ifRevision } = operation;
    const judged =
      'rule' in operation ? this.#judged(judgeRule(direction, operation.rule)) : undefined;
    if (!this.#requires('template', name, ifRevision)) return;
    const { text, template } = this.#templates.get(name)!;
    if (template === undefined) {
      this.#fail({ kind: 'broken', problems: this.#problemsOf(`templates/${name}.yaml`) });
      return;
    }
    const content = read(text);
    const rules = [...(content[direction] ?? [])];
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
      if (judged === undefined) return;
      rules.splice(index, operation.kind === 'add-rule' ? 0 : 1, operation.rule);
    }
    const next = editYaml(text, { ...content, [direction]: rules });
    if (next !== text) this.#write(name, next, { action: 'edit' });
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
    const names = new Set(this.#templates.keys());
    const server = this.#judged(judgeServer(name, body, names));
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
    if (taken.length > 0) {
      this.#invalid(taken);
      return;
    }
    for (const address of there?.addresses ?? []) this.#owners.delete(address);
    for (const address of next.addresses) this.#owners.set(address, name);
    this.#servers.set(name, next);
  }

  #destroyServer({ name, ifRevision }: Of<'destroy-server'>): void {
    if (!this.#serversWritable() || !this.#requires('server', name, ifRevision)) return;
    for (const address of this.#servers.get(name)!.addresses) this.#owners.delete(address);
    this.#servers.delete(name);
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
      if (next.length !== had.size) this.#servers.set(name, { ...server, templates: next });
    }
  }
}

function read(text: string): TemplateContent {
  return JSON.parse(JSON.stringify(yamlValue(text) ?? {})) as TemplateContent;
}

/** A body as written to a file: without its name, and without empty lists that the file does not have already. */
function contentOf(body: unknown, before: TemplateContent): TemplateContent {
  const { description, appliesTo, inbound, outbound } = body as TemplateContent;
  const list = (direction: RuleDirection, rules: unknown[] | undefined): TemplateContent =>
    rules === undefined || (rules.length === 0 && before[direction] === undefined)
      ? {}
      : { [direction]: rules };
  return {
    ...(description !== undefined && { description }),
    ...(appliesTo !== undefined && { appliesTo }),
    ...list('inbound', inbound),
    ...list('outbound', outbound),
  };
}

/** A rule that equals one in the file keeps its notation there (for example `"80"`). */
function keepSpelling(
  content: TemplateContent,
  wanted: Template,
  before: TemplateContent,
  template: Template,
): TemplateContent {
  const respell = (direction: RuleDirection): TemplateContent => {
    if (content[direction] === undefined) return {};
    const old = template[direction].map((rule: Rule) => ruleBody(rule, direction));
    const rules = wanted[direction].map((rule, index) => {
      const body = ruleBody(rule, direction);
      const same = old.findIndex((each) => isDeepStrictEqual(each, body));
      return same < 0 ? content[direction]![index] : before[direction]![same];
    });
    return { [direction]: rules };
  };
  return { ...content, ...respell('inbound'), ...respell('outbound') };
}
