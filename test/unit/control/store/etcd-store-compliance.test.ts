/** The store in etcd keeps what every store promises, with three real members. */
import { afterAll, beforeAll, describe } from 'vitest';
import { EtcdCluster, etcdObstacle } from '../../../support/etcd.ts';
import { EtcdSubject } from '../../../support/etcd-subject.ts';
import { storeCompliance } from '../../../support/store-compliance.ts';

describe.skipIf(etcdObstacle !== undefined)('in etcd', () => {
  let cluster: EtcdCluster;
  beforeAll(async () => {
    cluster = await EtcdCluster.start();
  });
  afterAll(() => cluster.stop());

  storeCompliance((files) => EtcdSubject.create(cluster, files));
});
