/** A policy of its own in a cluster, for tests: a prefix, and gateways with directories of their own. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EtcdStore } from '../../src/control/store/etcd/etcd-store.ts';
import { openShared } from '../../src/control/store/open-store.ts';
import type { Actor, PolicyStore } from '../../src/control/store/store.ts';
import type { EtcdCluster } from './etcd.ts';
import { seed } from './seed.ts';
import type { Subject } from './store-compliance.ts';

const somebody: Actor = { name: 'file', via: 'file' };
const base64 = (text: string): string => Buffer.from(text).toString('base64');
let count = 0;

export class EtcdSubject implements Subject {
  readonly path: string;
  readonly prefix: string = `/t${seed}-${process.pid}-${++count}`;
  readonly warnings: string[] = [];
  readonly #cluster: EtcdCluster;
  readonly #directories: string[] = [];
  #more: readonly string[] = [];

  /** @param more lines of `store.etcd` */
  static async create(
    cluster: EtcdCluster,
    files: Record<string, string>,
    more: readonly string[] = [],
  ): Promise<EtcdSubject> {
    const subject = new EtcdSubject(cluster, await mkdtemp(join(tmpdir(), 'twt-gateway-')));
    subject.#more = more;
    await subject.#writeGateway(subject.path);
    await (await subject.store()).administration.initialize(somebody);
    await subject.write(files);
    return subject;
  }

  private constructor(cluster: EtcdCluster, path: string) {
    this.#cluster = cluster;
    this.path = path;
    this.#directories.push(path);
  }

  /** A configuration directory of a new gateway. */
  async gateway(endpoints: readonly string[] = this.#cluster.endpoints): Promise<string> {
    const directory = await mkdtemp(join(tmpdir(), 'twt-gateway-'));
    this.#directories.push(directory);
    await this.#writeGateway(directory, endpoints);
    return directory;
  }

  async #writeGateway(
    directory: string,
    endpoints: readonly string[] = this.#cluster.endpoints,
  ): Promise<void> {
    const lines = [
      'store:',
      '  etcd:',
      `    endpoints: [${endpoints.map((each) => JSON.stringify(each)).join(', ')}]`,
      `    prefix: ${this.prefix}`,
      ...this.#more,
    ];
    await writeFile(join(directory, 'gateway.yaml'), `${lines.join('\n')}\n`);
  }

  async store(): Promise<EtcdStore> {
    return await this.open(await this.gateway());
  }

  restarted({ directory }: PolicyStore): Promise<EtcdStore> {
    return this.open(directory);
  }

  async open(directory: string): Promise<EtcdStore> {
    const onWarning = (message: string): number => this.warnings.push(message);
    const store = await openShared(directory, { onWarning });
    if (store === undefined) throw new Error(`${directory} does not name a cluster`);
    return store;
  }

  async contents(): Promise<Record<string, string>> {
    return Object.fromEntries(await (await this.store()).files());
  }

  async text(name: string): Promise<string> {
    const text = (await this.contents())[name];
    if (text === undefined) throw new Error(`there is no ${name}`);
    return text;
  }

  async write(files: Record<string, string>): Promise<void> {
    const store = await this.store();
    const all = new Map([...(await store.files()), ...Object.entries(files)]);
    await store.replaceFiles({ actor: somebody, files: all });
  }

  async readOnly(): Promise<() => Promise<void>> {
    const cluster = this.#cluster;
    const add = async (name: string): Promise<void> => {
      await cluster.call('/v3/auth/user/add', { name, password: 'secret' });
      await cluster.call('/v3/auth/role/add', { name });
      await cluster.call('/v3/auth/user/grant', { user: name, role: name });
    };
    await add('root');
    await add('reader');
    await cluster.call('/v3/auth/role/grant', {
      name: 'reader',
      perm: {
        permType: 'READ',
        key: base64(`${this.prefix}/`),
        range_end: base64(`${this.prefix}0`),
      },
    });
    const passwordFile = join(this.path, 'password');
    await writeFile(passwordFile, 'secret\n', { mode: 0o600 });
    await cluster.call('/v3/auth/enable');
    this.#more = ['    user: reader', `    passwordFile: ${passwordFile}`];
    return async () => {
      this.#more = [];
      const { token } = await cluster.call<{ token: string }>('/v3/auth/authenticate', {
        name: 'root',
        password: 'secret',
      });
      const response = await fetch(`${cluster.endpoints[0]!}/v3/auth/disable`, {
        method: 'POST',
        body: '{}',
        headers: { authorization: token },
      });
      if (!response.ok) throw new Error(await response.text());
      for (const name of ['root', 'reader']) {
        await cluster.call('/v3/auth/user/delete', { name });
        await cluster.call('/v3/auth/role/delete', { role: name });
      }
    };
  }

  async remove(): Promise<void> {
    for (const directory of this.#directories) await rm(directory, { recursive: true });
  }
}
