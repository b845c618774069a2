/**
 * A storm: writers at four gateways change the same template and things of their own, while one leader of etcd after the other is
 * killed. Afterwards the history is checked against what was acknowledged, as Jepsen does it: every acknowledged change is
 * there exactly once, nothing is there that nobody asked for, commits have numbers without gaps, and all gateways have
 * compiled the same.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { EtcdStore } from '../../../../src/control/store/etcd/etcd-store.ts';
import { StoreError } from '../../../../src/control/store/store.ts';
import type { Edit, Operation, Snapshot } from '../../../../src/control/store/store.ts';
import { compilePolicy } from '../../../../src/policy/compile.ts';
import { EtcdCluster, etcdObstacle } from '../../../support/etcd.ts';
import { EtcdSubject } from '../../../support/etcd-subject.ts';
import { alice } from '../../../support/stores.ts';

const gateways = 4;
const writers = 4;
const changes = 12;
const betweenKillsMs = 2000;

const idsOf = ({ templates }: Snapshot): string[] =>
  templates
    .filter(({ name }) => name === 'shared')
    .flatMap(({ inbound }) => inbound.map(({ comment }) => comment!))
    .sort();

describe.skipIf(etcdObstacle !== undefined)('a storm', () => {
  let cluster: EtcdCluster;
  let subject: EtcdSubject;
  beforeAll(async () => {
    cluster = await EtcdCluster.start();
    subject = await EtcdSubject.create(cluster, {
      'servers.yaml': 'servers:\n  - { name: a, addresses: [10.0.0.1], templates: [shared] }\n',
      'templates/shared.yaml': 'inbound: []\n',
    });
  });
  afterAll(async () => {
    await cluster.stop();
    await subject.remove();
  });

  it('takes nothing away, and makes nothing twice', async () => {
    const stores = await Promise.all(Array.from({ length: gateways }, () => subject.store()));
    const seen: Snapshot[] = [];
    const watches = await Promise.all(
      stores.map((store, index) =>
        store.watch({
          onChange: (snapshot) => void (seen[index] = snapshot),
          onWarning: () => undefined,
        }),
      ),
    );
    const acknowledged: string[] = [];
    let tries = 0;
    /** Again until it is said to be made; a change that was made without saying so is not made again. */
    const makeOnce = async (store: EtcdStore, id: string): Promise<void> => {
      const add: Operation = {
        ...{ kind: 'add-rule', template: 'shared', direction: 'inbound' },
        rule: { protocol: 'icmp', comment: id },
      };
      const edit: Edit = (now) => {
        if (idsOf(now).includes(id)) return [];
        return [add, { kind: 'create-template', name: id, body: {} }];
      };
      for (;;) {
        tries++;
        try {
          await store.change({ ...alice, name: id }, edit);
          acknowledged.push(id);
          return;
        } catch (error) {
          const kinds = error instanceof StoreError ? error.failures.map(({ kind }) => kind) : [];
          if (!kinds.every((kind) => kind === 'store-unavailable' || kind === 'busy')) throw error;
          await sleep(100);
        }
      }
    };
    const write = async (store: EtcdStore, name: string): Promise<void> => {
      for (let count = 0; count < changes; count++) await makeOnce(store, `${name}-${count}`);
    };
    const work = { isDone: false, kills: 0 };
    const killing = (async () => {
      while (!work.isDone) {
        const leader = await cluster.leader().catch(() => undefined);
        if (leader !== undefined) {
          await cluster.kill(leader);
          work.kills++;
          cluster.restart(leader);
        }
        await sleep(betweenKillsMs);
      }
    })();
    await Promise.all(
      stores.flatMap((store, gateway) =>
        Array.from({ length: writers }, (_, writer) => write(store, `g${gateway}-w${writer}`)),
      ),
    );
    work.isDone = true;
    await killing;
    await cluster.ready();

    const wanted = [...acknowledged].sort();
    expect(wanted).toHaveLength(gateways * writers * changes);
    const final = await (await subject.store()).read();
    expect(idsOf(final)).toEqual(wanted);
    expect(final.templates.map(({ name }) => name).sort()).toEqual([...wanted, 'shared'].sort());
    const { records } = await stores[0]!.audit.query({ action: 'policy.change', limit: 1000 });
    const made = records.filter(({ result }) => result === 'ok');
    expect(made.map(({ actor }) => actor.name).sort()).toEqual(wanted);
    const numbers = made.map(({ commit }) => commit!).sort((a, b) => a - b);
    expect(numbers.map((number) => number - numbers[0]!)).toEqual([...numbers.keys()]);
    // Every gateway has it, and has compiled it to the same bytes.
    await vi.waitFor(
      () => {
        for (const each of stores.keys()) expect(seen[each]?.revision).toBe(final.revision);
      },
      { timeout: 60_000, interval: 100 },
    );
    const compiled = compilePolicy(final, 1).words;
    for (const snapshot of seen) expect(compilePolicy(snapshot, 1).words).toEqual(compiled);
    for (const each of watches) await each.close();
    const conflicts = stores.reduce((sum, { link }) => sum + link.conflicts, 0);
    console.log(
      `acknowledged ${wanted.length}, there ${idsOf(final).length}, tries ${tries}, conflicts ${conflicts}, leaders killed ${work.kills}`,
    );
    expect(work.kills).toBeGreaterThan(0);
  }, 300_000);
});
