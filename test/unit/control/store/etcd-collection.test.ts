/** What is too old to be asked for goes from etcd; nothing else does, whoever writes meanwhile. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { EtcdStore } from '../../../../src/control/store/etcd/etcd-store.ts';
import type { Limits } from '../../../../src/control/store/etcd/collector.ts';
import type { Operation } from '../../../../src/control/store/store.ts';
import { EtcdCluster, etcdObstacle } from '../../../support/etcd.ts';
import { EtcdSubject } from '../../../support/etcd-subject.ts';
import { faultyProxy } from '../../../support/etcd-proxy.ts';
import type { FaultyProxy } from '../../../support/etcd-proxy.ts';
import { seededRandom } from '../../../support/seed.ts';
import { alice, failuresOf } from '../../../support/stores.ts';

const limits: Limits = { versions: 3, listBytes: 100, commits: 4, every: 1 };
const base64 = (text: string): string => Buffer.from(text).toString('base64');
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const template = (name: string, description: string): Operation => ({
  ...{ kind: 'replace-template', name, body: { description }, upsert: true },
});

describe.skipIf(etcdObstacle !== undefined)('old versions in etcd', { timeout: 240_000 }, () => {
  let cluster: EtcdCluster;
  let subject: EtcdSubject;
  let proxy: FaultyProxy | undefined;
  const warnings: string[] = [];

  beforeAll(async () => {
    cluster = await EtcdCluster.start({ size: 1 });
  });
  afterAll(() => cluster.stop());
  beforeEach(async () => {
    warnings.length = 0;
    subject = await EtcdSubject.create(cluster, { 'servers.yaml': 'servers: []\n' });
  });
  afterEach(async () => {
    await proxy?.close();
    proxy = undefined;
    await subject.remove();
  });

  const opened = async (endpoints = cluster.endpoints): Promise<EtcdStore> => {
    const config = { endpoints, prefix: subject.prefix };
    const onWarning = (message: string): number => warnings.push(message);
    return await EtcdStore.open(await subject.gateway(endpoints), config, { onWarning, limits });
  };
  /** Last parts of the keys below a folder. */
  const keysIn = async (folder: 'commit' | 'blob'): Promise<string[]> => {
    const { kvs = [] } = await cluster.call<{ kvs?: { key: string }[] }>('/v3/kv/range', {
      key: base64(`${subject.prefix}/${folder}/`),
      range_end: base64(`${subject.prefix}/${folder}0`),
      keys_only: true,
    });
    const start = `${subject.prefix}/${folder}/`.length;
    return kvs.map(({ key }) => Buffer.from(key, 'base64').toString().slice(start));
  };
  const texts = async (): Promise<string[]> =>
    (await keysIn('blob')).map((key) => key.slice(0, 64));
  const commits = async (): Promise<number[]> => (await keysIn('commit')).map(Number);
  /** Every text that the policy and the histories name. */
  const named = async (store: EtcdStore): Promise<Set<string>> => {
    const all = new Set([...(await store.administration.present()).files.values()].map(sha256));
    for (const history of [store.history, store.setHistory]) {
      for (const name of await history.names()) {
        for (const { version, action } of await history.list(name)) {
          if (action !== 'destroy') all.add(sha256(await history.text(name, version)));
        }
      }
    }
    return all;
  };

  it('go, and what a history lists stays', async () => {
    const store = await opened();
    await store.change(alice, () => [template('seldom', 'from the beginning')]);
    await store.change(alice, () => [template('gone', 'was destroyed')]);
    await store.change(alice, () => [{ kind: 'destroy-template', name: 'gone' }]);
    for (let count = 0; count < 12; count++) {
      await store.change(alice, () => [template('often', `text ${count}`)]);
    }
    const [before] = await store.history.list('seldom');
    expect(await commits()).toHaveLength(17);
    const old = (await store.history.list('often')).at(-1)!.version - 1;
    expect(await store.collect()).toBeGreaterThan(10);

    // The newest four, and those with a version of `seldom`, `gone` and servers.yaml.
    const last = store.link.revision;
    expect(await commits()).toEqual([2, 3, 4, 5, last - 3, last - 2, last - 1, last]);
    expect((await texts()).sort()).toEqual([...(await named(store))].sort());
    expect((await store.history.list('often')).map(({ version }) => version)).toEqual([
      ...[last, last - 1, last - 2],
    ]);
    expect(await store.history.list('seldom')).toEqual([before]);
    expect(await failuresOf(store.history.text('often', old))).toMatchObject([
      { kind: 'not-found', what: 'version' },
    ]);
    await store.change(alice, () => [{ kind: 'restore-template', name: 'gone', version: 4 }]);
    expect((await store.read()).templates.map(({ name }) => name)).toContain('gone');
    // Another gateway sees the same; what it could not copy is said in its audit log.
    const late = await opened();
    expect(await named(late)).toEqual(await named(store));
    expect(warnings).toEqual([]);
  });

  it('go with the lists of sets, the newest excepted', async () => {
    const store = await opened();
    const list = (count: number): string => `10.0.0.${count}\n`.repeat(8);
    await store.change(alice, () => [{ kind: 'create-set', name: 's', body: {}, list: list(0) }]);
    for (let count = 1; count < 4; count++) {
      const operation: Operation = { kind: 'replace-set', name: 's', body: {}, list: list(count) };
      await store.change(alice, () => [operation]);
    }
    await store.collect();
    const [newest, older] = await store.setHistory.list('s');
    expect((await store.setHistory.version('s', newest!.version)).list!.text).toBe(list(3));
    expect(await failuresOf(store.setHistory.version('s', older!.version))).toMatchObject([
      { kind: 'not-found', what: 'list' },
    ]);
    const kept = await texts();
    expect(kept.filter((digest) => [0, 1, 2].map((each) => sha256(list(each))).includes(digest)))
      // Two of them are longer than the bound.
      .toEqual([]);
    expect(kept).toContain(sha256(list(3)));
  });

  it('go while writers come back to texts that are going', async () => {
    const stores = await Promise.all([opened(), opened(), opened()]);
    const random = seededRandom();
    const work = { isDone: false };
    let removed = 0;
    const collecting = (async () => {
      const collector = await opened();
      while (!work.isDone) {
        removed += await collector.collect();
        // Writers have their turn on a slow machine, too.
        await sleep(100);
      }
    })();
    await Promise.all(
      stores.map(async (store, index) => {
        for (let count = 0; count < 25; count++) {
          // Of five texts, so that most were there before, and some are just going.
          const text = `text ${Math.floor(random() * 5)}`;
          await store.change(alice, () => [template(`t-${index}`, text)]);
        }
      }),
    );
    work.isDone = true;
    await collecting;
    expect(removed).toBeGreaterThan(0);
    const store = await opened();
    await store.collect();
    expect((await store.read()).templates).toHaveLength(3);
    // Each of them can be read, and nothing else is there.
    expect((await texts()).sort()).toEqual([...(await named(store))].sort());
    expect(warnings).toEqual([]);
  });

  it.each(['before', 'behind'] as const)(
    'go later, when a collection was cut off %s a step',
    async (where) => {
      const store = await opened();
      for (let count = 0; count < 60; count++) {
        await store.change(alice, () => [template('t', `text ${count}`)]);
      }
      let steps = 0;
      proxy = await faultyProxy(
        () => cluster.endpoints[0]!,
        // The second step, for ever.
        (body) => (body.includes('delete_range') && ++steps > 1 ? where : 'none'),
      );
      const cut = await opened([proxy.endpoint]);
      await cut.collect();
      expect(warnings.join()).toMatch(/^old versions are still in etcd/);
      expect(await named(store)).toHaveProperty('size', 4);
      await store.collect();
      expect((await texts()).sort()).toEqual([...(await named(store))].sort());
      // And the first one, of servers.yaml.
      expect(await commits()).toHaveLength(limits.commits + 1);
    },
  );

  it('go by a gateway that runs, and one that may only read leaves them', async () => {
    const store = await opened();
    for (let count = 0; count < 10; count++) {
      await store.change(alice, () => [template('t', `text ${count}`)]);
    }
    const end = await subject.readOnly();
    try {
      const reader = await subject.gateway();
      const { user, passwordFile } = await credentialsIn(reader);
      const config = { endpoints: cluster.endpoints, prefix: subject.prefix, user, passwordFile };
      const onWarning = (message: string): number => warnings.push(message);
      expect(await (await EtcdStore.open(reader, config, { onWarning, limits })).collect()).toBe(0);
      expect(warnings).toEqual([]);
    } finally {
      await end();
    }
    expect((await commits()).length).toBeGreaterThan(limits.commits + 1);
    const runs = await opened();
    const watching = await runs.watch({ onChange: () => undefined, onWarning: () => undefined });
    await vi.waitFor(async () => expect(await commits()).toHaveLength(limits.commits + 1), {
      timeout: 60_000,
      interval: 100,
    });
    await watching.close();
  });

  it('that a gateway has not copied are a gap in its audit log', async () => {
    const [store, away] = [await opened(), await opened()];
    await store.change(alice, () => [template('t', 'first')]);
    await away.audit.copy();
    const seen = store.link.revision;
    for (let count = 0; count < 10; count++) {
      await store.change(alice, () => [template('t', `text ${count}`)]);
    }
    await store.collect();
    await away.audit.copy();
    const { records } = await away.audit.query({ limit: 100 });
    const gaps = records.filter(({ action }) => action === 'store.gap');
    expect(gaps.map(({ summary }) => summary)).toEqual([
      `changes ${seen + 1} to ${seen + 6} are not kept in etcd any more`,
    ]);
  });
});

async function credentialsIn(directory: string): Promise<{ user: string; passwordFile: string }> {
  const text = await readFile(join(directory, 'gateway.yaml'), 'utf8');
  return {
    user: /user: (.*)/.exec(text)![1]!,
    passwordFile: /passwordFile: (.*)/.exec(text)![1]!,
  };
}
