/** A restore that is cut off: what was there stays, or there is no policy until it is made again. Never a part of one. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { Backup } from '../../../../src/control/store/etcd/backup.ts';
import { EtcdStore } from '../../../../src/control/store/etcd/etcd-store.ts';
import type { Watching } from '../../../../src/control/store/store.ts';
import { EtcdCluster, etcdObstacle } from '../../../support/etcd.ts';
import { faultyProxy } from '../../../support/etcd-proxy.ts';
import type { FaultyProxy } from '../../../support/etcd-proxy.ts';
import { EtcdSubject } from '../../../support/etcd-subject.ts';
import { alice, failuresOf } from '../../../support/stores.ts';

const files = { 'servers.yaml': 'servers: []\n', 'templates/web.yaml': 'inbound: []\n' };

describe.skipIf(etcdObstacle !== undefined)('a restore', { timeout: 240_000 }, () => {
  let cluster: EtcdCluster;
  let subject: EtcdSubject;
  let proxy: FaultyProxy | undefined;
  let watching: Watching | undefined;
  beforeAll(async () => {
    cluster = await EtcdCluster.start({ size: 1 });
  });
  afterAll(() => cluster.stop());
  beforeEach(async () => {
    subject = await EtcdSubject.create(cluster, files);
  });
  afterEach(async () => {
    await watching?.close();
    await proxy?.close();
    [watching, proxy] = [undefined, undefined];
    await subject.remove();
  });

  // Its transactions: the head goes; texts and commits come; the head comes.
  it.each<[step: number, where: 'before' | 'behind', left: 'all' | 'nothing' | 'restored']>([
    [1, 'before', 'all'],
    [1, 'behind', 'nothing'],
    [2, 'before', 'nothing'],
    [2, 'behind', 'nothing'],
    [3, 'before', 'nothing'],
    [3, 'behind', 'restored'],
  ])(
    'that is cut off at step %i, %s it, leaves %s, and is made again',
    async (step, where, left) => {
      const store = await subject.store();
      const { bytes } = await store.administration.backup();
      const gateway = await subject.store();
      const { revision } = await gateway.read();
      watching = await gateway.watch({ onChange: () => undefined, onWarning: () => undefined });
      await store.change(alice, () => [{ kind: 'create-template', name: 'later', body: {} }]);
      await vi.waitFor(() => expect(gateway.link.revision).toBe(store.link.revision), 60_000);
      const later = await gateway.read();
      expect(later.revision).not.toBe(revision);

      let steps = 0;
      proxy = await faultyProxy(
        () => cluster.endpoints[0]!,
        (body) => {
          if (!/request_(?:put|delete_range)/.test(body)) return 'none';
          steps++;
          return steps < step ? 'none' : steps === step ? where : 'before';
        },
      );
      const config = { endpoints: [proxy.endpoint], prefix: subject.prefix };
      const onWarning = (): void => undefined;
      const directory = await subject.gateway([proxy.endpoint]);
      const cut = await EtcdStore.open(directory, config, { onWarning });
      const failures = await failuresOf(cut.administration.restore(alice, new Backup(bytes), true));
      expect(failures.map(({ kind }) => kind)).toEqual(['store-unavailable']);

      const names = async (): Promise<string[]> => Object.keys(await subject.contents()).sort();
      if (left === 'all') expect(await names()).toContain('templates/later.yaml');
      else if (left === 'restored') expect(await names()).toEqual(Object.keys(files).sort());
      else await expect(names()).rejects.toThrow('there is no policy in etcd');
      // A gateway that runs keeps what it has, whatever was left.
      expect((await gateway.read()).revision).toBe(later.revision);

      const again = await subject.store();
      await again.administration.restore(alice, new Backup(bytes), true);
      expect(await names()).toEqual(Object.keys(files).sort());
      expect((await again.read()).revision).toBe(revision);
      expect((await gateway.read()).revision).toBe(later.revision);
      await again.change(alice, () => [{ kind: 'create-template', name: 'next', body: {} }]);
      expect(await names()).toContain('templates/next.yaml');
    },
  );
});
