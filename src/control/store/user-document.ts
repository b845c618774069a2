/**
 * Users, as a document: roles, passwords, tokens. What differs between stores is where its text lies (`UsersPlace`).
 *
 * The text is asked for with each query, and parsed when it has changed. While it has an error there are no users: no login
 * is possible, and packets are judged as before.
 */
import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { yamlValue } from '../../policy/parse-yaml.ts';
import type { Problem } from '../../policy/types.ts';
import { roles, validateUsers } from '../../policy/users.ts';
import type { Role, StoredUser } from '../../policy/users.ts';
import { namePattern, nameWords } from '../../policy/validate.ts';
import { maxAttempts } from './change-queue.ts';
import {
  createToken,
  findToken,
  hashPassword,
  isPassword,
  maxPasswordLength,
  minPasswordLength,
  randomPassword,
} from './secrets.ts';
import { StoreError } from './store.ts';
import type {
  Actor,
  AuditEvent,
  AuditLog,
  Failure,
  Guard,
  ThingKind,
  User,
  UserChangeOptions,
  Users,
} from './store.ts';
import { editYaml } from './yaml-edit.ts';

/** Everybody may make tokens: the file must not grow beyond its bounds by it. */
const maxTokens = 32;
const tooManyTokens = `a user has at most ${maxTokens} tokens: revoke one first`;
const systemActor: Actor = { name: 'tunwall', via: 'system' };

/** The text of users.yaml as it lies there. */
export interface UsersText {
  /** `undefined` when there is none. */
  readonly text: string | undefined;
  /** Nobody is let in by it, whatever it says. */
  readonly closed: boolean;
  /** Of the place, not of the text. */
  readonly problems: readonly Problem[];
}

export interface UsersPlace<T extends UsersText> {
  /** For messages. */
  readonly path: string;
  /** Never throws: what cannot be read is among the problems. @param newest for a change */
  read(newest: boolean): Promise<T>;
  /** Runs `work` while nobody else changes users, if the store has such a lock. */
  exclusively<R>(work: () => Promise<R>): Promise<R>;
  /** Replaces the text, with the audit record. @returns false when it is not `before` any more. @throws StoreError */
  replace(before: T, next: string, event: AuditEvent): Promise<boolean>;
  failureOf(error: unknown): StoreError;
  /** Why a change was given up that was begun anew again and again. */
  readonly busy: string;
}

interface UsersState<T> {
  readonly source: T;
  readonly users: readonly StoredUser[];
  readonly problems: readonly Problem[];
}

type UsersEdit = (users: readonly StoredUser[]) => readonly StoredUser[];

interface UserChange extends UserChangeOptions {
  readonly action: string;
  readonly summary: string;
}

export class UserDocument<T extends UsersText> implements Users {
  readonly #place: UsersPlace<T>;
  readonly #audit: AuditLog;
  #known: { text: string; result: ReturnType<typeof validateUsers> } | undefined;

  constructor(place: UsersPlace<T>, audit: AuditLog) {
    this.#place = place;
    this.#audit = audit;
  }

  async list(): Promise<{ users: readonly User[]; problems: readonly Problem[] }> {
    const { users, problems } = await this.#read();
    return { users: users.map(publicUser), problems };
  }

  async verifyPassword(name: string, password: string): Promise<User | undefined> {
    const { users } = await this.#read();
    const user = users.find((each) => each.name === name);
    const right = await isPassword(password, user?.passwordHash);
    return right && user !== undefined ? publicUser(user) : undefined;
  }

  async verifyToken(token: string): Promise<{ user: User; token: string } | undefined> {
    const { users } = await this.#read();
    const all = users.flatMap((user) => user.tokens.map((each) => ({ ...each, user })));
    const found = findToken(token, all);
    return found && { user: publicUser(found.user), token: found.name };
  }

  async create(
    actor: Actor,
    { name, role, password }: { name: string; role: string; password?: string },
    options?: UserChangeOptions,
  ): Promise<User> {
    // Hashing is slow: before the lock, not under it.
    const hash = await hashOf(password);
    const change = { action: 'user.create', summary: `role ${role}`, ...options };
    return await this.#change(actor, name, change, (users) => {
      requireValid([
        ...(namePattern.test(name)
          ? []
          : [{ path: 'name', message: `expected ${nameWords}, found ${JSON.stringify(name)}` }]),
        ...roleProblems(role),
        ...(password === undefined ? [] : passwordProblems(password)),
      ]);
      if (users.some((each) => each.name === name)) throw refusal('exists', 'user', name);
      return [...users, { name, role: role as Role, ...hash, tokens: [] }];
    });
  }

  async setRole(
    actor: Actor,
    name: string,
    role: string,
    options?: UserChangeOptions,
  ): Promise<User> {
    const change = { action: 'user.set-role', summary: `role ${role}`, ...options };
    return await this.#change(actor, name, change, (users) => {
      requireValid(roleProblems(role));
      const next = replaced(users, name, (user) =>
        user.role === role ? user : raised({ ...user, role: role as Role }),
      );
      requireOwner(users, next, name);
      return next;
    });
  }

  async setPassword(
    actor: Actor,
    name: string,
    password: string,
    { revokeTokens = false, ...options }: UserChangeOptions & { revokeTokens?: boolean } = {},
  ): Promise<User> {
    const hash = await hashOf(password);
    const summary = revokeTokens ? 'tokens revoked' : '';
    const change = { action: 'user.set-password', summary, ...options };
    return await this.#change(actor, name, change, (users) => {
      requireValid(passwordProblems(password));
      return replaced(users, name, (user) =>
        raised({ ...user, ...hash, ...(revokeTokens && { tokens: [] }) }),
      );
    });
  }

  async destroy(actor: Actor, name: string, options?: UserChangeOptions): Promise<void> {
    const change = { action: 'user.destroy', summary: '', ...options };
    await this.#change(actor, name, change, (users) => {
      const next = users.filter((each) => each.name !== name);
      if (next.length === users.length) throw refusal('not-found', 'user', name);
      requireOwner(users, next, name);
      return next;
    });
  }

  async createToken(
    actor: Actor,
    name: string,
    tokenName: string,
    options?: UserChangeOptions,
  ): Promise<{ token: string }> {
    const { token, hash } = createToken();
    const change = { action: 'user.create-token', summary: `token ${tokenName}`, ...options };
    await this.#change(actor, name, change, (users) => {
      const valid = namePattern.test(tokenName);
      const message = `expected ${nameWords}, found ${JSON.stringify(tokenName)}`;
      requireValid(valid ? [] : [{ path: 'name', message }]);
      return replaced(users, name, (user) => {
        if (user.tokens.some((each) => each.name === tokenName)) {
          throw refusal('exists', 'token', tokenName);
        }
        const full = user.tokens.length >= maxTokens;
        requireValid(full ? [{ path: '', message: tooManyTokens }] : []);
        const created = new Date().toISOString();
        return { ...user, tokens: [...user.tokens, { name: tokenName, hash, created }] };
      });
    });
    return { token };
  }

  async revokeToken(
    actor: Actor,
    name: string,
    tokenName: string,
    options?: UserChangeOptions,
  ): Promise<void> {
    const change = { action: 'user.revoke-token', summary: `token ${tokenName}`, ...options };
    await this.#change(actor, name, change, (users) =>
      replaced(users, name, (user) => {
        const tokens = user.tokens.filter((each) => each.name !== tokenName);
        if (tokens.length === user.tokens.length) throw refusal('not-found', 'token', tokenName);
        return { ...user, tokens };
      }),
    );
  }

  async createFirstOwner(): Promise<{ name: string; password: string } | undefined> {
    const name = 'owner';
    const password = randomPassword();
    if ((await this.#read()).users.length > 0) return undefined;
    const hash = await hashOf(password);
    try {
      const change = { action: 'user.create', summary: 'the first owner' };
      await this.#change(systemActor, name, change, (users) => {
        // Another process was first.
        if (users.length > 0) throw refusal('exists', 'user', users[0]!.name);
        return [{ name, role: 'owner', ...hash, tokens: [] }];
      });
      return { name, password };
    } catch (error) {
      const late = error instanceof StoreError && error.failures[0]?.kind === 'exists';
      if (late) return undefined;
      throw error;
    }
  }

  async #read(newest = false): Promise<UsersState<T>> {
    const source = await this.#place.read(newest);
    const { text, closed, problems } = source;
    if (text === undefined) return { source, users: [], problems };
    if (this.#known?.text !== text) {
      this.#known = { text, result: validateUsers(this.#place.path, text) };
    }
    const { result } = this.#known;
    const users = closed ? [] : (result.value ?? []);
    return { source, users, problems: [...result.problems, ...problems] };
  }

  /** @returns the user of this name afterwards, if there is one */
  async #change(
    actor: Actor,
    name: string,
    { action, summary, guard, why }: UserChange,
    edit: UsersEdit,
  ): Promise<User> {
    const audited = { actor, action, target: [name], ...(why !== undefined && { why }) };
    const of = (users: readonly StoredUser[]): StoredUser | undefined =>
      users.find((each) => each.name === name);
    const event = (users: readonly StoredUser[], next: readonly StoredUser[]): AuditEvent => {
      const [was, is] = [of(users), of(next)];
      const changed = {
        ...{ kind: 'user' as const, name },
        ...(was !== undefined && { before: revisionOf(was) }),
        ...(is !== undefined && { after: revisionOf(is) }),
      };
      return { ...audited, result: 'ok', changed: [changed], summary };
    };
    try {
      const { before, after } = await this.#place.exclusively(() =>
        this.#apply(edit, guard, event),
      );
      return publicUser((of(after) ?? of(before))!);
    } catch (error) {
      const failure = this.#place.failureOf(error);
      await this.#audit.append({ ...audited, result: 'refused', summary: failure.message });
      throw failure;
    }
  }

  async #apply(
    edit: UsersEdit,
    guard: Guard | undefined,
    event: (before: readonly StoredUser[], after: readonly StoredUser[]) => AuditEvent,
  ): Promise<{ before: readonly StoredUser[]; after: readonly StoredUser[] }> {
    for (let attempt = 1; attempt <= maxAttempts; attempt++) {
      const { source, users, problems } = await this.#read(true);
      const errors = problems.filter(({ severity }) => severity === 'error');
      if (errors.length > 0) throw new StoreError([{ kind: 'broken', problems: errors }]);
      guard?.(users.map(publicUser));
      const after = edit(users);
      if (isDeepStrictEqual(after, users)) return { before: users, after };
      const { text = '' } = source;
      const next = editYaml(text, { users: spelled(text, users, after) });
      // If it was changed meanwhile: again, with its present content.
      if (await this.#place.replace(source, next, event(users, after))) {
        return { before: users, after };
      }
    }
    throw new StoreError([{ kind: 'busy', message: this.#place.busy }]);
  }
}

/** Unchanged users as they are in the file, the others as they will be written. */
function spelled(
  text: string,
  before: readonly StoredUser[],
  after: readonly StoredUser[],
): unknown[] {
  const raw = (yamlValue(text) as { users?: { name: string }[] } | null)?.users ?? [];
  return after.map((user) => {
    const same = before.some((each) => isDeepStrictEqual(each, user));
    if (same) return raw.find(({ name }) => name === user.name);
    const { tokens, ...rest } = user;
    return { ...rest, ...(tokens.length > 0 && { tokens }) };
  });
}

function revisionOf({ name, role, passwordHash, generation, tokens }: StoredUser): string {
  const text = JSON.stringify([name, role, passwordHash, generation, tokens]);
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

/** A counter, and what may also be changed by hand. */
function generationOf({ generation = 0, role, passwordHash = '' }: StoredUser): string {
  const digest = createHash('sha256').update(`${role} ${passwordHash}`).digest('hex');
  return `${generation}-${digest.slice(0, 16)}`;
}

function raised(user: StoredUser): StoredUser {
  return { ...user, generation: (user.generation ?? 0) + 1 };
}

function publicUser(user: StoredUser): User {
  return {
    name: user.name,
    role: user.role,
    hasPassword: user.passwordHash !== undefined,
    tokens: user.tokens.map(({ name, created }) => ({
      name,
      ...(created !== undefined && { created }),
    })),
    revision: revisionOf(user),
    generation: generationOf(user),
  };
}

function refusal(kind: 'exists' | 'not-found', what: ThingKind, name: string): StoreError {
  return new StoreError([{ kind, what, name }]);
}

function replaced(
  users: readonly StoredUser[],
  name: string,
  change: (user: StoredUser) => StoredUser,
): StoredUser[] {
  if (!users.some((each) => each.name === name)) throw refusal('not-found', 'user', name);
  return users.map((each) => (each.name === name ? change(each) : each));
}

function requireOwner(
  before: readonly StoredUser[],
  after: readonly StoredUser[],
  name: string,
): void {
  const owners = (users: readonly StoredUser[]): number =>
    users.filter(({ role }) => role === 'owner').length;
  const failure: Failure = { kind: 'last-owner', name };
  if (owners(before) > 0 && owners(after) === 0) throw new StoreError([failure]);
}

interface FieldProblem {
  readonly path: string;
  readonly message: string;
}

function requireValid(problems: readonly FieldProblem[]): void {
  if (problems.length === 0) return;
  const all = problems.map((each) => ({ operation: 0, ...each }));
  throw new StoreError([{ kind: 'invalid', problems: all }]);
}

function roleProblems(role: string): FieldProblem[] {
  if ((roles as readonly string[]).includes(role)) return [];
  const message = `expected ${roles.join(', ')}; found ${JSON.stringify(role)}`;
  return [{ path: 'role', message }];
}

/** Undefined without a password, or if it will be refused. */
async function hashOf(password: string | undefined): Promise<{ passwordHash?: string }> {
  if (password === undefined || passwordProblems(password).length > 0) return {};
  return { passwordHash: await hashPassword(password) };
}

function passwordProblems(password: string): FieldProblem[] {
  if (password.length >= minPasswordLength && password.length <= maxPasswordLength) return [];
  const message = `expected a password of ${minPasswordLength} to ${maxPasswordLength} characters`;
  return [{ path: 'password', message }];
}
