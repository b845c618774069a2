/** What the store in etcd does when etcd fails, lags, forgets, or answers something else than it should. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { EtcdStore } from '../../../../src/control/store/etcd/etcd-store.ts';
import { describeFailure } from '../../../../src/control/store/store.ts';
import type { Operation, Snapshot, Watching } from '../../../../src/control/store/store.ts';
import { EtcdCluster, etcdObstacle } from '../../../support/etcd.ts';
import { faultyProxy, standIn } from '../../../support/etcd-proxy.ts';
import type { FaultyProxy } from '../../../support/etcd-proxy.ts';
import { EtcdSubject } from '../../../support/etcd-subject.ts';
import { firstCertificate } from '../../../support/certificates.ts';
import { seed, seededRandom } from '../../../support/seed.ts';
import { alice, failuresOf, serversText, webText } from '../../../support/stores.ts';

const patience = { timeout: 60_000, interval: 50 };
const base64 = (text: string): string => Buffer.from(text).toString('base64');
const create = (name: string): Operation => ({ kind: 'create-template', name, body: {} });
const names = ({ templates }: Snapshot): string[] => templates.map(({ name }) => name);

let cluster: EtcdCluster;
let subject: EtcdSubject;
let store: EtcdStore;
let other: EtcdStore;
const watches: Watching[] = [];
const servers: FaultyProxy[] = [];

/** As a firewall does it: what is told last, and which problems it was told of. */
async function watched(of: EtcdStore): Promise<{ seen: Snapshot[]; problems: (string | null)[] }> {
  const told = { seen: [] as Snapshot[], problems: [] as (string | null)[] };
  const watching = await of.watch({
    onChange: (snapshot) => void told.seen.push(snapshot),
    onWarning: () => undefined,
    onWatching: (problem) => told.problems.push(problem),
  });
  watches.push(watching);
  return told;
}

async function refusal(of: EtcdStore, name = 'refused'): Promise<string> {
  const [failure] = await failuresOf(of.change(alice, () => [create(name)]));
  return `${failure!.kind}: ${describeFailure(failure!)}`;
}

async function serve(...answer: Parameters<typeof standIn>): Promise<string> {
  const server = await standIn(...answer);
  servers.push(server);
  return server.endpoint;
}

async function proxy(...how: Parameters<typeof faultyProxy>): Promise<string> {
  const server = await faultyProxy(...how);
  servers.push(server);
  return server.endpoint;
}

describe.skipIf(etcdObstacle !== undefined)('the store in etcd', () => {
  beforeAll(async () => {
    cluster = await EtcdCluster.start();
  });
  afterAll(() => cluster.stop());
  beforeEach(async () => {
    subject = await EtcdSubject.create(cluster, {
      'templates/web.yaml': webText,
      'servers.yaml': serversText,
    });
    [store, other] = [await subject.store(), await subject.store()];
  });
  afterEach(async () => {
    for (const each of watches.splice(0)) await each.close();
    for (const server of servers.splice(0)) await server.close();
    await subject.remove();
  });

  describe('without a majority', () => {
    it('changes are refused, reading goes on and says so, and all goes on when it is back', async () => {
      const told = await watched(store);
      const before = await store.read();
      await cluster.kill(0, 1);
      await vi.waitFor(() => expect(store.link.connected).toBe(false), patience);
      expect(await refusal(store)).toMatch(/^store-unavailable: /);
      expect(told.problems.at(-1)).toMatch(/etcd has no majority|does not answer/);
      expect((await store.read()).revision).toBe(before.revision);
      expect(store.link.confirmedAgeSeconds).toBeGreaterThan(0);
      expect(store.link.problem).toBeDefined();
      // Users can log in, and who they are does not change.
      expect((await store.users.list()).problems).toEqual([]);

      cluster.restart(0, 1);
      await cluster.ready();
      await vi.waitFor(() => expect(store.link.connected).toBe(true), patience);
      await other.change(alice, () => [create('after')]);
      await vi.waitFor(() => expect(names(told.seen.at(-1)!)).toEqual(['after', 'web']), patience);
      expect(told.problems.at(-1)).toBeNull();
      expect(await store.read().then(names)).not.toContain('refused');
    });

    it('a gateway starts with what it has seen last, or with nothing', async () => {
      await store.keepGood(await store.read());
      await store.users.create(alice, { name: 'bob', role: 'owner', password: 'correct horse' });
      await watched(store);
      await vi.waitFor(async () => {
        const kept = await (await subject.restarted(store)).users.list();
        expect(kept.users).toHaveLength(1);
      }, patience);
      const fresh = await subject.gateway();
      await cluster.kill(0, 1, 2);
      try {
        const again = await subject.restarted(store);
        const kept = await again.read();
        expect(kept.servers.map(({ name }) => name)).toEqual(['web-1', 'db-1']);
        expect(kept.problems.map(({ severity, message }) => `${severity} ${message}`)).toEqual([
          expect.stringMatching(/^warning the policy is what this gateway has seen last \(/),
        ]);
        expect(await again.users.verifyPassword('bob', 'correct horse')).toBeDefined();
        expect(await refusal(again)).toMatch(/^store-unavailable/);
        const never = await (await subject.open(fresh)).read();
        expect([never.servers, never.templates]).toEqual([[], []]);
        expect(never.problems.map(({ message }) => message)).toContainEqual(
          expect.stringMatching(/^nothing is forwarded: this gateway has never seen the policy/),
        );
      } finally {
        cluster.restart(0, 1, 2);
        await cluster.ready();
      }
    });

    it('a change that nobody has confirmed in time is not in force at a gateway that is cut off', async () => {
      const isCut = { from: false };
      const endpoint = await proxy(
        () => cluster.endpoints[0]!,
        () => (isCut.from ? 'before' : 'none'),
      );
      const far = await subject.open(await subject.gateway([endpoint]));
      await far.keepGood(await far.read());
      const told = await watched(far);
      await other.change(alice, () => [create('b')], { confirmWithinS: 60 });
      await vi.waitFor(() => expect(told.seen.map(names).at(-1)).toContain('b'), patience);
      const { number } = (await far.unconfirmed())!;
      isCut.from = true;
      await vi.waitFor(() => expect(far.link.connected).toBe(false), patience);
      expect(names(await far.read())).toEqual(['b', 'web']);
      expect(await far.setAside(number)).toBe(true);
      expect(await far.setAside(number)).toBe(false);
      const before = await far.read();
      expect(names(before)).toEqual(['web']);
      expect(before.problems.map(({ message }) => message).join()).toContain('gone back to');
      await far.keepGood(before);
      // Confirmed elsewhere: when etcd answers it counts, with the same policy as before.
      const seen = told.seen.length;
      await other.confirm(alice);
      isCut.from = false;
      await vi.waitFor(() => expect(told.seen.length).toBeGreaterThan(seen), patience);
      expect(names(told.seen.at(-1)!)).toEqual(['b', 'web']);
      expect(names(await far.read())).toEqual(['b', 'web']);
    });

    it('a leader that is stopped holds up nothing for long', async () => {
      const told = await watched(store);
      const leader = await cluster.leader();
      cluster.signal(leader, 'SIGSTOP');
      try {
        await vi.waitFor(() => other.change(alice, () => [create('b')]), patience);
        await vi.waitFor(() => expect(names(told.seen.at(-1)!)).toEqual(['b', 'web']), patience);
      } finally {
        cluster.signal(leader, 'SIGCONT');
        await cluster.ready();
      }
      expect(await other.read().then(names)).toEqual(['b', 'web']);
    });
  });

  describe('a lost answer', () => {
    it.each(['before', 'behind'] as const)(
      'is resolved, with the hang-up %s the change',
      async (where) => {
        const random = seededRandom();
        let lost = 0;
        const endpoint = await proxy(
          () => cluster.endpoints[0]!,
          (body) => {
            const isCommit = body.includes('request_put') && body.includes('"compare"');
            if (!isCommit || random() < 0.5) return 'none';
            lost++;
            return where;
          },
        );
        const lossy = await subject.open(await subject.gateway([endpoint]));
        for (let count = 0; count < 20; count++) {
          await lossy.change(alice, () => [create(`t-${count}`)]);
        }
        expect(lost, `seed ${seed}`).toBeGreaterThan(2);
        const after = await other.read();
        expect(after.templates).toHaveLength(21);
        for (let count = 0; count < 20; count++) {
          expect(await other.history.list(`t-${count}`)).toHaveLength(1);
        }
        const { records } = await other.audit.query({ action: 'template.create', limit: 100 });
        expect(records).toHaveLength(20);
      },
    );
  });

  describe('a state that does not go on from the one that was taken', () => {
    const takeBack = async (): Promise<() => Promise<void>> => {
      const key = base64(`${subject.prefix}/head`);
      const { kvs } = await cluster.call<{ kvs: { value: string }[] }>('/v3/kv/range', { key });
      return async () => {
        await cluster.call('/v3/kv/put', { key, value: kvs[0]!.value });
      };
    };

    it('is not taken when it is older, until somebody says so', async () => {
      const told = await watched(store);
      const restore = await takeBack();
      const { snapshot } = await store.change(alice, () => [create('b')]);
      await store.keepGood(snapshot);
      await restore();
      await vi.waitFor(() => expect(store.link.connected).toBe(false), patience);
      expect(store.link.problem).toContain('restored from an older backup');
      expect(names(await store.read())).toEqual(['b', 'web']);
      expect(await refusal(store)).toMatch(/^store-unavailable: .*tunwall store adopt/);
      // After a restart, too.
      const again = await subject.restarted(store);
      expect(names(await again.read())).toEqual(['b', 'web']);
      expect(again.link.problem).toContain('restored from an older backup');

      await again.administration.adopt(alice);
      await vi.waitFor(() => expect(names(told.seen.at(-1)!)).toEqual(['web']), patience);
      expect(store.link.connected).toBe(true);
    });

    it('is not taken when it was emptied, or set up anew', async () => {
      const told = await watched(store);
      const before = await store.read();
      await cluster.call('/v3/kv/deleterange', {
        key: base64(`${subject.prefix}/`),
        range_end: base64(`${subject.prefix}0`),
      });
      await vi.waitFor(() => expect(store.link.problem).toContain('no policy any more'), patience);
      expect(await refusal(store)).toContain('tunwall store init');
      const stranger = await subject.store();
      expect(await stranger.administration.initialize(alice)).toBe(true);
      expect(await stranger.administration.initialize(alice)).toBe(false);
      await vi.waitFor(() => expect(store.link.problem).toContain('another policy'), patience);
      expect((await store.read()).revision).toBe(before.revision);
      await store.administration.adopt(alice);
      await vi.waitFor(() => expect(names(told.seen.at(-1)!)).toEqual([]), patience);
    });

    it('is not taken when somebody else has written something else', async () => {
      await watched(store);
      const key = base64(`${subject.prefix}/head`);
      await cluster.call('/v3/kv/put', { key, value: base64('{"version":2}') });
      await vi.waitFor(() => expect(store.link.problem).toContain('newer version'), patience);
      expect(names(await store.read())).toEqual(['web']);
    });
  });

  describe('etcd that answers', () => {
    it('as versions 3.5.0 to 3.5.2 is not used', async () => {
      for (const [version, isRefused] of [
        ['3.5.0', true],
        ['3.5.2', true],
        ['3.5.20', false],
      ] as const) {
        const endpoint = await serve((_, response) => {
          response.end(JSON.stringify({ etcdserver: version, etcdcluster: '3.5.0' }));
        });
        const old = await subject.open(await subject.gateway([endpoint]));
        await old.read();
        expect(old.link.problem!.includes('lose data silently')).toBe(isRefused);
      }
    });

    it('over TLS, and asks for a certificate, is answered with one', async () => {
      const [ca, cert, key] = ['ca', 'cert', 'key'].map((name) =>
        join(subject.path, `${name}.pem`),
      );
      const { cert: own, key: ownKey } = firstCertificate;
      await writeFile(ca!, own);
      await writeFile(cert!, own);
      await writeFile(key!, ownKey);
      const files = { ca: ca!, cert: cert!, key: key! };
      const secure = await EtcdCluster.start({ size: 1, tls: files });
      try {
        const lines = Object.entries(files).map(([name, path]) => `    ${name}: ${path}`);
        const tls = await EtcdSubject.create(secure, { 'servers.yaml': 'servers: []\n' }, lines);
        const [one, two] = [await tls.store(), await tls.store()];
        const told = await watched(one);
        await two.change(alice, () => [create('a')]);
        await vi.waitFor(() => expect(names(told.seen.at(-1)!)).toEqual(['a']), patience);
        for (const each of watches.splice(0)) await each.close();
        await tls.remove();
        const unsigned = await subject.open(await subject.gateway(secure.endpoints));
        await unsigned.read();
        expect(unsigned.link.problem).toMatch(/self-signed|certificate/);
      } finally {
        await secure.stop();
      }
    });

    it('only with certificates that cannot be read is as one that is away', async () => {
      const directory = await subject.gateway(['https://127.0.0.1:1']);
      const path = join(directory, 'gateway.yaml');
      await writeFile(path, `${await readFile(path, 'utf8')}    ca: ${directory}/missing.pem\n`);
      const unsigned = await subject.open(directory);
      expect(await unsigned.read().then(names)).toEqual([]);
      expect(unsigned.link.problem).toContain('missing.pem cannot be read');
    });

    it('nothing at all does not hold up a start', async () => {
      await store.keepGood(await store.read());
      const silent = await serve(() => undefined);
      const path = join(store.directory, 'gateway.yaml');
      const text = await readFile(path, 'utf8');
      await writeFile(path, text.replace(/endpoints: .*/, `endpoints: [${silent}]`));
      const again = await subject.restarted(store);
      expect(names(await again.read())).toEqual(['web']);
      await watched(again);
      expect(names(await again.read())).toEqual(['web']);
      expect(again.link.connected).toBe(false);
    });

    it('as something else than etcd is told so', async () => {
      const endpoint = await serve((_, response) => response.writeHead(404).end('<html>'));
      const wrong = await subject.open(await subject.gateway([endpoint]));
      await wrong.read();
      expect(wrong.link.problem).toContain('does not answer as etcd does');
    });

    it('without room for more refuses changes, and reading goes on', async () => {
      const small = await EtcdCluster.start({
        size: 1,
        more: ['--quota-backend-bytes', '1000000'],
      });
      try {
        const own = await EtcdSubject.create(small, { 'servers.yaml': 'servers: []\n' });
        const full = await own.store();
        const value = base64('x'.repeat(500_000));
        await expect(
          (async () => {
            for (let count = 0; count < 50; count++) {
              await small.call('/v3/kv/put', { key: base64(`fill-${count}`), value });
            }
          })(),
        ).rejects.toThrow('space');
        expect(await refusal(full)).toMatch(/^store-unavailable: etcd has used up its quota/);
        expect((await full.read()).problems.filter(({ severity }) => severity === 'error')).toEqual(
          [],
        );
        await own.remove();
      } finally {
        await small.stop();
      }
    });

    it('as a member of another cluster is not used', async () => {
      const stranger = await EtcdCluster.start({ size: 1 });
      try {
        let [target] = cluster.endpoints;
        const mixed = await subject.open(await subject.gateway([await proxy(() => target!)]));
        const before = await mixed.read();
        [target] = stranger.endpoints;
        expect(await refusal(mixed)).toMatch(/^store-unavailable: .* belongs to another cluster/);
        expect((await mixed.read()).revision).toBe(before.revision);
        [target] = cluster.endpoints;
        await mixed.change(alice, () => [create('a')]);
      } finally {
        await stranger.stop();
      }
    });

    it('no more to a token that has expired is asked for another one, by watches too', async () => {
      const short = await EtcdCluster.start({ size: 1, more: ['--auth-token-ttl', '1'] });
      try {
        const own = await EtcdSubject.create(short, { 'servers.yaml': 'servers: []\n' });
        const end = await own.readOnly();
        const reader = await own.store();
        const told = await watched(reader);
        const directory = await own.gateway();
        const path = join(directory, 'gateway.yaml');
        const text = await readFile(path, 'utf8');
        await writeFile(path, text.replace('user: reader', 'user: root'));
        const writer = await own.open(directory);
        await writer.read();
        for (const name of ['a', 'b']) {
          // Longer than a token, and than the time between two questions.
          await new Promise((resolve) => setTimeout(resolve, 4000));
          await writer.change(alice, () => [create(name)]);
          await vi.waitFor(() => expect(names(told.seen.at(-1)!)).toContain(name), patience);
        }
        expect(told.problems.filter((each) => each !== null)).toEqual([]);
        for (const each of watches.splice(0)) await each.close();
        await end();
        await own.remove();
      } finally {
        await short.stop();
      }
    });

    it('with what it was sent does not bring secrets into messages', async () => {
      const secret = 'correct horse battery';
      const endpoint = await serve((request, response) => {
        if (request.url === '/version') {
          response.end('{"etcdserver":"3.5.16"}');
          return;
        }
        let body = '';
        request.on('data', (chunk) => (body += String(chunk)));
        request.on('end', () => {
          const { authorization = '' } = request.headers;
          if (request.url === '/v3/auth/authenticate' && body.includes('"by-token"')) {
            response.end(JSON.stringify({ token: secret }));
            return;
          }
          response.writeHead(400).end(JSON.stringify({ error: `${body} ${authorization}` }));
        });
      });
      for (const user of ['by-password', 'by-token']) {
        const directory = await subject.gateway([endpoint]);
        const password = user === 'by-token' ? 'another one' : secret;
        await writeFile(join(directory, 'password'), `${password}\n`, { mode: 0o600 });
        const path = join(directory, 'gateway.yaml');
        const lines = `    user: ${user}\n    passwordFile: ${directory}/password\n`;
        await writeFile(path, `${await readFile(path, 'utf8')}${lines}`);
        const echoed = await subject.open(directory);
        const { problems } = await echoed.read();
        const said = JSON.stringify([echoed.link, problems, await refusal(echoed)]);
        expect(said).toContain('etcd answers');
        expect(said).not.toContain(secret);
      }
    });

    it('no more to an old token is asked for another one', async () => {
      const end = await subject.readOnly();
      try {
        const reader = await subject.store();
        expect(names(await reader.read())).toEqual(['web']);
        const { token } = await cluster.call<{ token: string }>('/v3/auth/authenticate', {
          name: 'root',
          password: 'secret',
        });
        // This takes away the tokens that there are.
        const response = await fetch(`${cluster.endpoints[0]!}/v3/auth/user/changepw`, {
          method: 'POST',
          headers: { authorization: token },
          body: JSON.stringify({ name: 'reader', password: 'another' }),
        });
        expect(response.status).toBe(200);
        await writeFile(join(subject.path, 'password'), 'another\n');
        await reader.read();
        expect(reader.link.problem).toBeUndefined();
        await writeFile(join(subject.path, 'password'), 'wrong\n');
        const wrong = await subject.store();
        await wrong.read();
        expect(wrong.link.problem).toContain('the password is wrong');
        expect(wrong.link.problem).not.toContain('wrong\n');
      } finally {
        await end();
      }
    });
  });

  it('what was compacted while a watch was away is not missed', async () => {
    const told = await watched(store);
    for (let count = 0; count < 3; count++) {
      await other.change(alice, () => [create(`t-${count}`)]);
      const { header } = await cluster.call<{ header: { revision: string } }>('/v3/kv/range', {
        key: base64('a'),
      });
      await cluster.call('/v3/kv/compaction', { revision: header.revision });
    }
    await vi.waitFor(() => expect(told.seen.at(-1)?.templates).toHaveLength(4), patience);
  });

  it('a token that was revoked at one gateway is refused at the others', async () => {
    await watched(other);
    await store.users.create(alice, { name: 'ci', role: 'member' });
    const { token } = await store.users.createToken(alice, 'ci', 'deploy');
    await vi.waitFor(async () => {
      expect(await other.users.verifyToken(token)).toBeDefined();
    }, patience);
    await store.users.revokeToken(alice, 'ci', 'deploy');
    await vi.waitFor(async () => {
      expect(await other.users.verifyToken(token)).toBeUndefined();
    }, patience);
  });

  it('a text of many pieces comes back as it was', async () => {
    const random = seededRandom();
    const list = Array.from({ length: 120_000 }, () => {
      const part = (): number => Math.floor(random() * 256);
      return `${1 + Math.floor(random() * 220)}.${part()}.${part()}.${part()}\n`;
    }).join('');
    await store.change(alice, () => [{ kind: 'create-set', name: 'big', body: {}, list }]);
    const snapshot = await other.read();
    expect(await other.listText(snapshot, 'big.txt')).toBe(list);
  }, 120_000);
});
