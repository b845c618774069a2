/**
 * Two gateways on one policy in etcd, each with a path of its own to a client and a server:
 *
 *     client ── gw-1 (tunwall, as nobody) ── web          client ── gw-2 (tunwall, as nobody) ── web
 *                 └──────────────── three members of etcd ───────────────┘
 *
 * The members are on this machine's loopback; what lies between them and a gateway can be cut off (etcd-relay.ts).
 */
import { chown } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { stringify } from 'yaml';
import type { EtcdStore } from '../../../src/control/store/etcd/etcd-store.ts';
import type { Operation } from '../../../src/control/store/store.ts';
import { EtcdCluster, etcdObstacle } from '../../support/etcd.ts';
import { EtcdRelay } from '../../support/etcd-relay.ts';
import { EtcdSubject } from '../../support/etcd-subject.ts';
import { alice } from '../../support/stores.ts';
import { FirewallLab, client, obstacle, web } from '../support/firewall.ts';
import { ping, tcp, whatPasses } from '../support/probes.ts';

const nobody = 65_534;
const patience = { timeout: 90_000, interval: 100 };

/** Changes that may be made twice: whether one was made is not always known while members come and go. */
const allow = (...names: string[]): Operation => {
  const inbound = names.map((name) =>
    name === 'ping' ? { protocol: 'icmp' } : { protocol: 'tcp', ports: [Number(name)] },
  );
  return { kind: 'replace-template', name: 'site', body: { inbound } };
};

describe.skipIf((obstacle ?? etcdObstacle) !== undefined)('two gateways on one policy', () => {
  let cluster: EtcdCluster;
  let subject: EtcdSubject;
  /** Of somebody who changes the policy. */
  let store: EtcdStore;
  const gateways = new Map<string, { firewall: FirewallLab; relay: EtcdRelay }>();

  const begin = async (name: string): Promise<void> => {
    const etcd = { endpoints: cluster.endpoints, prefix: subject.prefix };
    const empty = { templates: {}, servers: [] };
    const firewall = await FirewallLab.create(empty);
    const relay = await EtcdRelay.open(firewall.lab, 'gateway', cluster.endpoints);
    gateways.set(name, { firewall, relay });
    firewall.write({ ...empty, gateway: { name, store: { etcd } } });
    await chown(firewall.configDirectory, nobody, nobody);
    await firewall.serve('web', 'tcp:80', 'tcp:443', 'tcp:8080');
    await firewall.start();
  };

  beforeAll(async () => {
    cluster = await EtcdCluster.start();
    const site = { inbound: [{ protocol: 'tcp', ports: [80] }] };
    const servers = [{ name: 'web', addresses: [web], templates: ['site'] }];
    subject = await EtcdSubject.create(cluster, {
      'templates/site.yaml': stringify(site),
      'servers.yaml': stringify({ servers }),
    });
    store = await subject.store();
    await Promise.all(['gw-1', 'gw-2'].map(begin));
  });
  afterAll(async () => {
    for (const { firewall, relay } of gateways.values()) {
      relay.close();
      await firewall.close();
    }
    await cluster.stop();
    await subject.remove();
  });

  const probes = [ping('client', web), ...[80, 443, 8080].map((port) => tcp('client', web, port))];
  const passing = async (firewall: FirewallLab): Promise<string[]> => {
    const passed = await whatPasses(firewall, probes);
    return passed.map((each) => (each.includes('ping') ? 'ping' : /\d+$/.exec(each)![0])).sort();
  };
  /** On a busy machine not each packet that is allowed comes through within its patience. */
  const passes = async (firewall: FirewallLab, wanted: readonly string[]): Promise<void> => {
    await vi.waitFor(async () => expect(await passing(firewall)).toEqual(wanted), patience);
  };
  const bothPass = async (...wanted: string[]): Promise<void> => {
    const all = [...gateways.values()];
    await Promise.all(all.map(({ firewall }) => passes(firewall, wanted)));
  };
  const inForce = async (...names: string[]): Promise<void> => {
    await vi.waitFor(async () => {
      const fleet = await store.gateways();
      const current = fleet.gateways.filter(({ revision }) => revision === fleet.newest);
      expect(current.map(({ name }) => name)).toEqual(expect.arrayContaining(names));
    }, patience);
  };
  const change = async (...allowed: string[]): Promise<void> => {
    await vi.waitFor(() => store.change(alice, () => [allow(...allowed)]), patience);
  };
  /** Metrics may be asked for in vain once. */
  const revisionAt = async ({ firewall }: { firewall: FirewallLab }): Promise<number> =>
    await vi.waitFor(async () => {
      const revision = (await firewall.metrics()).get('tunwall_store_revision');
      expect(revision).toBeDefined();
      return revision!;
    }, patience);

  it('judge alike after each commit', async () => {
    await inForce('gw-1', 'gw-2');
    for (const allowed of [
      ['443', '80', 'ping'],
      ['443', '8080'],
    ]) {
      await change(...allowed);
      await inForce('gw-1', 'gw-2');
      await bothPass(...allowed);
    }
  });

  it('take a change while a member is stopped', async () => {
    const leader = await cluster.leader();
    cluster.signal(leader, 'SIGSTOP');
    try {
      await change('443', '80', '8080', 'ping');
      await inForce('gw-1', 'gw-2');
    } finally {
      cluster.signal(leader, 'SIGCONT');
      await cluster.ready();
    }
    await bothPass('443', '80', '8080', 'ping');
  });

  it('go on without etcd, also over a restart, and take what is changed afterwards', async () => {
    const [one, two] = [...gateways.values()].map(({ firewall }) => firewall);
    const arrivals = await one!.countArrivals('web', `${client}/32`);
    const pings = one!.lab.exec('client', ['ping', '-i', '0.1', '-c', '25', web]);
    await one!.until('ping runs', async () => (await arrivals()) > 5);
    await cluster.kill(0, 1, 2);
    expect((await pings).stdout).toContain(' 0% packet loss');
    await two!.stop('SIGKILL');
    await two!.start();
    await bothPass('443', '80', '8080', 'ping');

    cluster.restart(0, 1, 2);
    await cluster.ready();
    await change('80', '8080', 'ping');
    await inForce('gw-1', 'gw-2');
    await bothPass('80', '8080', 'ping');
  });

  it('never go back, when one was cut off', async () => {
    const [one, two] = [gateways.get('gw-1')!, gateways.get('gw-2')!];
    const revisions = [await revisionAt(two)];
    two.relay.cut();
    await change('443', '80', '8080', 'ping');
    await inForce('gw-1');
    await passes(one.firewall, ['443', '80', '8080', 'ping']);
    await passes(two.firewall, ['80', '8080', 'ping']);
    revisions.push(await revisionAt(two));
    // A start without etcd, too, is with what it had.
    await two.firewall.stop();
    await two.firewall.start();
    await passes(two.firewall, ['80', '8080', 'ping']);
    revisions.push(await revisionAt(two));

    two.relay.mend();
    await inForce('gw-1', 'gw-2');
    revisions.push(await revisionAt(two));
    expect(revisions).toEqual([...revisions].sort((a, b) => a - b));
    await bothPass('443', '80', '8080', 'ping');
  });
});
