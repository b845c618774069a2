/**
 * The HTTP API in a test: a store on a real directory, a control plane that takes what the store says, the live side as a
 * fake, and a user of each role. Requests go in by `inject()`; every answer is held against the OpenAPI document.
 */
import { createHash } from 'node:crypto';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { InjectOptions } from 'fastify';
import type { Api, Listener } from '../../src/control/api/api.ts';
import { fleetOf } from '../../src/control/api/fleet.ts';
import type { ApiContext, Applied, ControlPlane } from '../../src/control/api/context.ts';
import { buildApi } from '../../src/control/api/server.ts';
import type { ApiOptions } from '../../src/control/api/server.ts';
import { compilePolicy } from '../../src/policy/compile.ts';
import { roles } from '../../src/policy/users.ts';
import type { Role } from '../../src/policy/users.ts';
import type { FileStore } from '../../src/control/store/files/file-store.ts';
import type { Snapshot } from '../../src/control/store/store.ts';
import { checkAnswer } from './api-answers.ts';
import { FakeObserver } from './fake-observer.ts';
import { TestDirectory, serversText, webText } from './stores.ts';

/** The sender of a request; `nobody` has no credentials. */
export type Sender = Role | 'nobody';

const secretOf = (role: Role): string => `tunwall_${role.padEnd(43, '0')}`;
export const tokenOf = (role: Role): string => `Bearer ${secretOf(role)}`;

/** users.yaml with a user for each role, with a token and without a password. */
export function usersText(): string {
  const users = roles.map((role) => {
    const hash = createHash('sha256').update(secretOf(role)).digest('hex');
    return `  - { name: ${role}, role: ${role}, tokens: [{ name: test, hash: ${hash} }] }\n`;
  });
  return `users:\n${users.join('')}`;
}

/** As the service does it: what the store says is in force when `apply` resolves. */
export class TestControlPlane implements ControlPlane {
  epoch = 1;
  applies = 0;
  reads = 0;
  healthy = true;
  readonly #store: FileStore;
  #snapshot: Snapshot;

  private constructor(store: FileStore, snapshot: Snapshot) {
    this.#store = store;
    this.#snapshot = snapshot;
  }

  static async create(store: FileStore): Promise<TestControlPlane> {
    return new TestControlPlane(store, await store.read());
  }

  health(): ReturnType<ControlPlane['health']> {
    return { healthy: this.healthy, epoch: this.epoch, reloadError: null };
  }

  gateways(): ReturnType<ControlPlane['gateways']> {
    return fleetOf(
      {},
      {
        ...{ name: 'gw-1', region: 'hkg', version: '1.2.3', state: 'ok' },
        ...{ flows: 7, packetsPerSecond: 12, startedAt: '2030-01-31T00:00:00.000Z' },
      },
    );
  }

  snapshot(): Promise<Snapshot> {
    this.reads++;
    return Promise.resolve(this.#snapshot);
  }

  policy(): ReturnType<ControlPlane['policy']> {
    const { templates, servers, sets } = this.#snapshot;
    const compiled = compilePolicy({ templates, servers, sets }, this.epoch);
    return Promise.resolve({ templates, servers, sets, compiled, loose: false });
  }

  async apply(): Promise<Applied> {
    this.applies++;
    const snapshot = await this.#store.read();
    const errors = snapshot.problems.filter(({ severity }) => severity === 'error');
    if (errors.length > 0) {
      return { applied: false, epoch: this.epoch, pending: errors[0]!.message };
    }
    this.#snapshot = snapshot;
    this.epoch++;
    return { applied: true, epoch: this.epoch };
  }

  status(): ReturnType<ControlPlane['status']> {
    const { templates, servers, sets, gateway, problems } = this.#snapshot;
    return Promise.resolve({
      ...{ version: '0.0.0', running: true, configDirectory: '/etc/tunwall', epoch: this.epoch },
      policy: {
        templates: templates.length,
        servers: servers.length,
        sets: sets.length,
        rules: 0,
      },
      reject: gateway.reject,
      reloadError: null,
      problems,
    });
  }
}

export interface LabOptions extends Pick<ApiOptions, 'tls' | 'trustsProxy' | 'mayMonitor'> {
  readonly files?: Record<string, string>;
  readonly listener?: Listener;
  /** Without the live side of a firewall. */
  readonly offline?: boolean;
  readonly hosts?: readonly string[];
  readonly requestsPerMinute?: number;
  /** Where the panel is; by default there is none, whatever has been built. */
  readonly panelDirectory?: string;
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
  /** What the JSON says; `undefined` if it is none. */
  readonly json: Json | undefined;
  /** `not-found` of `urn:tunwall:problem:not-found`. */
  readonly problem: string | undefined;
}

/** A test reads what it expects. */
export interface Json {
  readonly [key: string]: Json;
}

export interface Sent extends Pick<InjectOptions, 'headers' | 'remoteAddress'> {
  readonly body?: unknown;
}

export class ApiLab {
  readonly directory: TestDirectory;
  readonly store: FileStore;
  readonly controlPlane: TestControlPlane;
  readonly observer: FakeObserver;
  readonly context: ApiContext;
  readonly warnings: string[] = [];
  readonly clock: { nowMs: number } = { nowMs: Date.now() };
  api!: Api;

  static async create(options: LabOptions = {}): Promise<ApiLab> {
    const files = options.files ?? {
      'templates/web.yaml': webText,
      'templates/spare.yaml': 'inbound:\n  - { protocol: icmp }\n',
      'servers.yaml': serversText,
      'sets/office.yaml': 'addresses: [192.0.2.0/24]\nfile: office.txt\n',
      'sets/office.txt': '203.0.113.7 # the roof\n',
      'sets/all.yaml': 'include: ["set:office"]\n',
    };
    const directory = await TestDirectory.create(files);
    const users = join(directory.path, 'users.yaml');
    await writeFile(users, usersText());
    await chmod(users, 0o600);
    const store = await directory.store();
    await store.recordHandEdits();
    const lab = new ApiLab(directory, store, await TestControlPlane.create(store), options);
    lab.api = await lab.build(options.listener ?? 'tcp', options);
    return lab;
  }

  private constructor(
    directory: TestDirectory,
    store: FileStore,
    controlPlane: TestControlPlane,
    { offline = false, hosts = [] }: LabOptions,
  ) {
    this.directory = directory;
    this.store = store;
    this.controlPlane = controlPlane;
    this.observer = new FakeObserver();
    this.context = {
      store,
      controlPlane,
      hosts,
      onWarning: (message) => this.warnings.push(message),
      ...(!offline && { observer: this.observer }),
    };
  }

  build(
    listener: Listener,
    { requestsPerMinute, panelDirectory, tls, trustsProxy, mayMonitor }: LabOptions = {},
  ): Promise<Api> {
    return buildApi(this.context, {
      ...{ listener, ...(tls && { tls }) },
      ...{ ...(trustsProxy && { trustsProxy }), ...(mayMonitor && { mayMonitor }) },
      now: () => this.clock.nowMs,
      panelDirectory: panelDirectory ?? join(this.directory.path, 'no-panel'),
      ...(requestsPerMinute !== undefined && { requestsPerMinute }),
    });
  }

  /** `GET /v1/templates`, with a role. */
  async send(sender: Sender, request: string, { body, ...sent }: Sent = {}): Promise<Answer> {
    const [method, url] = request.split(' ') as [InjectOptions['method'], string];
    const headers: Record<string, unknown> = { host: '127.0.0.1:8740', ...sent.headers };
    if (sender !== 'nobody') headers['authorization'] = tokenOf(sender);
    if (body !== undefined && headers['content-type'] === undefined) {
      headers['content-type'] = 'application/json';
    }
    const answer = await this.api.inject({
      ...sent,
      ...{ method: method!, url, headers: headers as Record<string, string> },
      ...(body !== undefined && {
        payload: typeof body === 'string' ? body : JSON.stringify(body),
      }),
    });
    const type = String(answer.headers['content-type'] ?? '');
    const json = /json/.test(type) && answer.body !== '' ? answer.json<Json>() : undefined;
    checkAnswer(this.api, method!, url, answer.statusCode, json);
    const problem = type.startsWith('application/problem+json')
      ? (json as { type: string } | undefined)!.type.replace('urn:tunwall:problem:', '')
      : undefined;
    return { status: answer.statusCode, headers: answer.headers, body: answer.body, json, problem };
  }

  async close(): Promise<void> {
    await this.api.close();
    await this.directory.remove();
  }
}
