/** What gateways on one store know of each other: who runs, who has stopped, who is behind, and what one may write of itself. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { fleetOf, pendingIn } from '../../../../src/control/api/fleet.ts';
import type { Fleet } from '../../../../src/control/api/fleet.ts';
import type { EtcdStore } from '../../../../src/control/store/etcd/etcd-store.ts';
import type { OwnReport, Snapshot, Watching } from '../../../../src/control/store/store.ts';
import { EtcdCluster, etcdObstacle } from '../../../support/etcd.ts';
import { EtcdSubject } from '../../../support/etcd-subject.ts';
import { alice, webText } from '../../../support/stores.ts';

const patience = { timeout: 60_000, interval: 50 };
const base64 = (text: string): string => Buffer.from(text).toString('base64');

/** A gateway that puts in force what it is told, unless it refuses. */
class Gateway {
  report: OwnReport;
  readonly store: EtcdStore;
  #refuses = false;
  #watching: Watching | undefined;

  constructor(store: EtcdStore, name: string) {
    this.store = store;
    this.report = {
      ...{ name, region: 'hkg', version: '1.2.3', state: 'ok', flows: 3, packetsPerSecond: 40 },
      startedAt: '2030-01-31T00:00:00.000Z',
    };
  }

  refuse(problem: string): void {
    this.#refuses = true;
    this.report = { ...this.report, state: 'refuses', problem };
  }

  async start(): Promise<void> {
    const putInForce = async (snapshot: Snapshot): Promise<void> => {
      if (!this.#refuses) await this.store.keepGood(snapshot);
    };
    await putInForce(await this.store.read());
    this.#watching = await this.store.watch({
      onChange: putInForce,
      onWarning: () => undefined,
      report: () => this.report,
    });
  }

  async stop(): Promise<void> {
    await this.#watching?.close();
    this.#watching = undefined;
  }

  /** As `GET /v1/gateways` answers. */
  fleet(): Promise<Fleet> {
    return fleetOf(this.store, this.report);
  }

  async states(): Promise<Record<string, string>> {
    const { gateways } = await this.fleet();
    return Object.fromEntries(gateways.map(({ name, state }) => [name, state]));
  }
}

describe.skipIf(etcdObstacle !== undefined)('gateways on one store', { timeout: 240_000 }, () => {
  let cluster: EtcdCluster;
  let subject: EtcdSubject;
  let one: Gateway;
  let two: Gateway;

  beforeAll(async () => {
    cluster = await EtcdCluster.start({ size: 1 });
  });
  afterAll(() => cluster.stop());
  beforeEach(async () => {
    subject = await EtcdSubject.create(cluster, { 'templates/web.yaml': webText });
    [one, two] = [await make('gw-1'), await make('gw-2')];
  });
  afterEach(async () => {
    await one.stop();
    await two.stop();
    await subject.remove();
  });

  const make = async (name: string): Promise<Gateway> => new Gateway(await subject.store(), name);
  const change = async (gateway: Gateway, name: string): Promise<void> => {
    await gateway.store.change(alice, () => [{ kind: 'create-template', name, body: {} }]);
  };

  it('see each other, and what each has in force', async () => {
    await one.start();
    await two.start();
    await vi.waitFor(async () => {
      expect(await one.states()).toEqual({ 'gw-1': 'ok', 'gw-2': 'ok' });
    }, patience);
    const { gateways, newest } = await one.fleet();
    expect(gateways.map(({ name, isThis }) => [name, isThis])).toEqual([
      ['gw-1', true],
      ['gw-2', false],
    ]);
    expect(gateways[1]).toMatchObject({
      ...{ region: 'hkg', version: '1.2.3', flows: 3, packetsPerSecond: 40, behind: 0 },
      ...{ revision: newest, seen: newest },
    });

    await change(two, 'b');
    await vi.waitFor(async () => {
      const after = await one.fleet();
      expect(after.newest).toBe(newest! + 1);
      expect(after.gateways.map(({ revision }) => revision)).toEqual([newest! + 1, newest! + 1]);
      expect(pendingIn(after)).toEqual([]);
    }, patience);
    // A change of users is nothing to be put in force.
    await one.store.users.create(alice, { name: 'bob', role: 'member' });
    await vi.waitFor(async () => {
      expect(await two.states()).toEqual({ 'gw-1': 'ok', 'gw-2': 'ok' });
      expect((await two.fleet()).gateways[1]!.revision).toBe(newest! + 2);
    }, patience);
  });

  it('see who refuses a change, and why', async () => {
    await one.start();
    await two.start();
    two.refuse('servers.yaml:3: expected a name');
    await change(one, 'b');
    await vi.waitFor(async () => {
      const fleet = await one.fleet();
      expect(fleet.gateways[1]).toMatchObject({
        ...{ state: 'refuses', behind: 1, seen: fleet.newest },
        problem: 'servers.yaml:3: expected a name',
      });
      expect(pendingIn(fleet)).toEqual(['gw-2']);
    }, patience);
  });

  it('see who has stopped, and who is there again', async () => {
    await one.start();
    await two.start();
    await vi.waitFor(async () => expect(await one.states()).toHaveProperty('gw-2', 'ok'), patience);
    await two.stop();
    await vi.waitFor(async () => {
      expect(await one.states()).toEqual({ 'gw-1': 'ok', 'gw-2': 'stopped' });
    }, patience);
    await change(one, 'b');
    expect(pendingIn(await one.fleet())).toEqual([]);
    two = await make('gw-2');
    await two.start();
    await vi.waitFor(async () => {
      expect(await one.states()).toEqual({ 'gw-1': 'ok', 'gw-2': 'ok' });
    }, patience);
  });

  it('come back when their lease was lost', async () => {
    await one.start();
    await vi.waitFor(async () => expect(await one.states()).toEqual({ 'gw-1': 'ok' }), patience);
    const { leases } = await cluster.call<{ leases: { ID: string }[] }>('/v3/lease/leases');
    for (const { ID } of leases) await cluster.call('/v3/lease/revoke', { ID });
    expect((await two.fleet()).gateways).toEqual([]);
    await vi.waitFor(async () => expect(await two.states()).toEqual({ 'gw-1': 'ok' }), patience);
  });

  it('cannot be made to look like another by one that writes nonsense', async () => {
    await one.start();
    await vi.waitFor(async () => expect(await one.states()).toEqual({ 'gw-1': 'ok' }), patience);
    const put = (path: string, value: string): Promise<unknown> =>
      cluster.call('/v3/kv/put', {
        key: base64(`${subject.prefix}/gateway/${path}`),
        value: base64(value),
      });
    await put('evil/now', JSON.stringify({ id: 'x', name: 'gw-1', state: 'failed' }));
    await put('odd/now', '{');
    await put('half/now', JSON.stringify({ id: 'x', name: 'half', state: 7, flows: 'many' }));
    const { gateways } = await one.fleet();
    expect(gateways.map(({ name, state, flows }) => [name, state, flows])).toEqual([
      ['gw-1', 'ok', 3],
      ['half', 'failed', 0],
    ]);
  });

  it('are told when two have one name', async () => {
    const twin = await make('gw-1');
    await one.start();
    await twin.start();
    try {
      for (let count = 0; subject.warnings.length === 0; count++) {
        expect(count).toBeLessThan(600);
        await change(one, `t-${count}`);
        await vi.waitFor(async () => {
          expect((await two.fleet()).gateways[0]!.behind).toBe(0);
        }, patience);
      }
      expect(subject.warnings[0]).toContain('another gateway is called gw-1');
    } finally {
      await twin.stop();
    }
  });

  it('that may only read go on, and are not seen', async () => {
    const end = await subject.readOnly();
    try {
      two = await make('gw-2');
      await two.start();
      await vi.waitFor(
        () => expect(subject.warnings.join()).toContain('not in the list of gateways'),
        patience,
      );
      expect((await two.fleet()).gateways).toEqual([]);
    } finally {
      await two.stop();
      await end();
    }
  });

  it('know only themselves without the store', async () => {
    await one.start();
    await cluster.kill(0);
    try {
      await vi.waitFor(() => expect(one.store.link.connected).toBe(false), patience);
      const fleet = await one.fleet();
      expect(fleet.gateways.map(({ name, isThis }) => [name, isThis])).toEqual([['gw-1', true]]);
      expect(fleet.problem).toContain('does not answer');
    } finally {
      cluster.restart(0);
      await cluster.ready();
    }
  });
});
