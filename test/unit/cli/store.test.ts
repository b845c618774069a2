/** `tunwall store` with a real member of etcd: in and out, file by file and as a whole, and who may do what. */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { grantCommands } from '../../../src/cli/store-backup.ts';
import { storeCommand } from '../../../src/cli/store-command.ts';
import { undo } from '../../../src/control/store/confirmation.ts';
import { EtcdStore } from '../../../src/control/store/etcd/etcd-store.ts';
import { openShared } from '../../../src/control/store/open-store.ts';
import type { Operation } from '../../../src/control/store/store.ts';
import { runCli } from '../../support/cli.ts';
import type { Ran } from '../../support/cli.ts';
import { EtcdCluster, etcdObstacle } from '../../support/etcd.ts';
import { EtcdSubject } from '../../support/etcd-subject.ts';
import { alice, failuresOf, serversText, webText } from '../../support/stores.ts';

const execute = promisify(execFile);
const patience = { timeout: 60_000, interval: 50 };
const create = (name: string): Operation => ({ kind: 'create-template', name, body: {} });

describe.skipIf(etcdObstacle !== undefined)('tunwall store', { timeout: 240_000 }, () => {
  let cluster: EtcdCluster;
  let subject: EtcdSubject;
  let store: EtcdStore;
  let directory: string;

  beforeAll(async () => {
    cluster = await EtcdCluster.start({ size: 1 });
  });
  afterAll(() => cluster.stop());
  beforeEach(async () => {
    subject = await EtcdSubject.create(cluster, {
      'templates/web.yaml': webText,
      'servers.yaml': serversText,
    });
    store = await subject.store();
    directory = await mkdtemp(join(tmpdir(), 'twt-store-'));
  });
  afterEach(async () => {
    await subject.remove();
    await rm(directory, { recursive: true });
  });

  const run = async (line: string, config = store.directory): Promise<Ran> => {
    const verbs = [
      storeCommand({
        open: (path) => openShared(path, { onWarning: () => undefined }),
        actor: 'alice',
        confirm: () => Promise.resolve(undefined),
      }),
    ];
    return await runCli(verbs, ['store', ...line.split(' '), '--config', config]);
  };
  const policy = (): string => join(directory, 'policy');

  describe('pull and push', () => {
    it('keep files byte for byte, and tell what differs', async () => {
      expect(await run(`pull ${policy()}`)).toMatchObject({ code: 0 });
      expect(await readFile(join(policy(), 'templates/web.yaml'), 'utf8')).toBe(webText);
      expect(await run(`push ${policy()} --dry-run`)).toMatchObject({
        ...{ code: 0, out: 'nothing differs\n' },
      });
      await writeFile(join(policy(), 'templates/web.yaml'), `# by hand\n${webText}`);
      const dry = await run(`push ${policy()} --dry-run`);
      expect([dry.code, dry.out.includes('+# by hand')]).toEqual([2, true]);
      expect(await run(`push ${policy()}`)).toMatchObject({ code: 1 });
      expect(await run(`push ${policy()} --yes`)).toMatchObject({ code: 0 });
      expect(await subject.text('templates/web.yaml')).toBe(`# by hand\n${webText}`);
    });

    it('keep what an editor may have left: ends of lines, no end, blanks, signs, lists', async () => {
      const texts: Record<string, string> = {
        'servers.yaml': '\r\nservers: # none\r\n  []\r\n\r\n',
        'templates/web.yaml': '# größer ≥ 🔥\ninbound: [ {protocol:  icmp} ]   # no end',
        'templates/empty.yaml': '',
        'sets/office.yaml': 'file: office.txt\n',
        'sets/office.txt': '; by hand\r\n192.0.2.0/24   # here\n\n\n198.51.100.7',
      };
      for (const [name, text] of Object.entries(texts)) {
        await mkdir(join(policy(), name, '..'), { recursive: true });
        await writeFile(join(policy(), name), text);
      }
      expect(await run(`push ${policy()} --yes`)).toMatchObject({ code: 0 });
      const copy = join(directory, 'copy');
      expect(await run(`pull ${copy}`)).toMatchObject({ code: 0 });
      for (const [name, text] of Object.entries(texts)) {
        expect(await readFile(join(copy, name)), name).toEqual(Buffer.from(text));
      }
      expect(await run(`push ${copy} --dry-run`)).toMatchObject({ code: 0 });
    });

    it('do not overwrite what was changed in the store meanwhile', async () => {
      await run(`pull ${policy()}`);
      await store.change(alice, () => [create('by-bob')]);
      await writeFile(join(policy(), 'servers.yaml'), `${serversText}# by hand\n`);
      const refused = await run(`push ${policy()} --yes`);
      expect(refused.code).toBe(1);
      expect(refused.err).toContain('was pulled: templates/by-bob.yaml');
      expect(await subject.contents()).toHaveProperty(['templates/by-bob.yaml']);
      // Merged: the other change is in the directory, too.
      await run(`pull ${policy()} --yes`);
      await writeFile(join(policy(), 'servers.yaml'), `${serversText}# by hand\n`);
      expect(await run(`push ${policy()} --yes`)).toMatchObject({ code: 0 });
      // What was pushed is what the next push goes on from.
      await writeFile(join(policy(), 'servers.yaml'), serversText);
      expect(await run(`push ${policy()} --yes`)).toMatchObject({ code: 0 });
      await store.change(alice, () => [create('by-carol')]);
      expect(await run(`push ${policy()} --yes`)).toMatchObject({ code: 1 });
      expect(await run(`push ${policy()} --yes --overwrite`)).toMatchObject({ code: 0 });
      expect(await subject.contents()).not.toHaveProperty(['templates/by-carol.yaml']);
    });

    it('say why, and are undone unless somebody confirms', async () => {
      await run(`pull ${policy()}`);
      await writeFile(join(policy(), 'servers.yaml'), `${serversText}# by hand\n`);
      const pushed = await run(`push ${policy()} --yes -m ticket-4711 --confirm 24h`);
      expect(pushed.code).toBe(0);
      expect(pushed.err).toContain('unless you say: tunwall confirm');
      const waiting = (await store.unconfirmed())!;
      expect(waiting.why).toBe('ticket-4711');
      const [record] = (await store.audit.query({})).records;
      expect(record).toMatchObject({ action: 'store.push', why: 'ticket-4711' });
      await undo(store, alice, waiting, {});
      expect(await subject.text('servers.yaml')).toBe(serversText);
    });

    it('wait for the gateways that run', async () => {
      await run(`pull ${policy()}`);
      const gateway = await subject.store();
      const state = { takes: true };
      const watching = await gateway.watch({
        onChange: async (snapshot) => {
          if (state.takes) await gateway.keepGood(snapshot);
        },
        onWarning: () => undefined,
        report: () => ({
          ...{ name: 'gw-1', version: '1.2.3', flows: 0, packetsPerSecond: 0 },
          ...(state.takes ? { state: 'ok' } : { state: 'refuses', problem: 'too much' }),
          startedAt: new Date().toISOString(),
        }),
      });
      try {
        await gateway.keepGood(await gateway.read());
        await vi.waitFor(async () => {
          const { newest, gateways } = await store.gateways();
          expect(gateways.map(({ revision }) => revision)).toEqual([newest]);
        }, patience);
        await writeFile(join(policy(), 'servers.yaml'), `${serversText}# by hand\n`);
        expect(await run(`push ${policy()} --yes --wait 60`)).toMatchObject({
          ...{ code: 0, err: 'change 3 is in force at 1 gateway\n' },
        });
        state.takes = false;
        await writeFile(join(policy(), 'templates/b.yaml'), webText);
        const refused = await run(`push ${policy()} --yes --wait 60`);
        expect([refused.code, refused.err]).toEqual([
          3,
          'gw-1 refuses it: too much\nchange 4 is stored, and not in force everywhere: 1 gateway, gw-1\n',
        ]);
        // Nothing is left to be pushed, and it is not in force yet.
        expect(await run(`push ${policy()} --yes --wait 60`)).toMatchObject({ code: 3 });
      } finally {
        await watching.close();
      }
    });

    it('are refused while tests beside the files fail', async () => {
      await run(`pull ${policy()}`);
      await mkdir(join(policy(), 'tests'));
      const test = '- { from: 192.0.2.1, to: server:web-1, tcp: 22, expect: pass }\n';
      await writeFile(join(policy(), 'tests/open.yaml'), test);
      await writeFile(join(policy(), 'servers.yaml'), `${serversText}# by hand\n`);
      const refused = await run(`push ${policy()} --yes`);
      expect(refused.code).toBe(1);
      expect(refused.err).toContain('have failed');
      expect(await subject.text('servers.yaml')).toBe(serversText);
    });
  });

  it('status says whether the store answers', async () => {
    const { code, out } = await run('status');
    expect([code, out.includes(`etcd:${subject.prefix} answers`)]).toEqual([0, true]);
    expect(JSON.parse((await run('status --json')).out)).toMatchObject({ connected: true });
    const away = await subject.gateway(['http://127.0.0.1:1']);
    expect(await run('status', away)).toMatchObject({ code: 1 });
  });

  describe('a backup', () => {
    const file = (): string => join(directory, 'backup');

    it('comes back with history and users, and each gateway is asked', async () => {
      await store.change(alice, () => [create('b')]);
      await store.users.create(alice, { name: 'bob', role: 'owner', password: 'correct horse' });
      await store.keepGood(await store.read());
      const made = await run(`backup ${file()}`);
      expect([made.code, made.out]).toEqual([
        0,
        `${file()} has change 4: 3 files, 4 changes of history, and the users\n`,
      ]);
      expect((await stat(file())).mode & 0o777).toBe(0o600);
      const history = await store.history.list('b');
      const before = await subject.contents();
      const gateway = await subject.store();
      await gateway.read();
      await store.change(alice, () => [create('c')]);
      await gateway.keepGood(await gateway.read());

      expect(await run(`restore ${file()}`)).toMatchObject({ code: 1 });
      expect(await run(`restore ${file()} --replace`)).toMatchObject({ code: 1 });
      expect(await subject.contents()).toHaveProperty(['templates/c.yaml']);
      expect(await run(`restore ${file()} --replace --yes`)).toMatchObject({ code: 0 });
      expect(await subject.contents()).toEqual(before);
      const after = await subject.restarted(store);
      expect(await after.history.list('b')).toEqual(history);
      expect(await after.users.verifyPassword('bob', 'correct horse')).toBeDefined();
      await after.change(alice, () => [create('d')]);
      // One that runs keeps its policy, until somebody says that this is right.
      expect((await gateway.read()).templates.map(({ name }) => name)).toContain('c');
      expect(gateway.link.problem).toContain('another policy');
      expect(await run('adopt --yes', gateway.directory)).toMatchObject({ code: 0 });
      expect((await gateway.read()).templates.map(({ name }) => name)).toEqual(['b', 'd', 'web']);
    });

    it('goes into an empty cluster, and not into one that has a policy', async () => {
      await run(`backup ${file()}`);
      const path = await subject.gateway();
      const yaml = join(path, 'gateway.yaml');
      const text = await readFile(yaml, 'utf8');
      await writeFile(yaml, text.replace(subject.prefix, `${subject.prefix}-other`));
      expect(await run(`restore ${file()}`, path)).toMatchObject({ code: 0 });
      expect(await run(`restore ${file()}`, path)).toMatchObject({ code: 1 });
      const other = await openShared(path, { onWarning: () => undefined });
      expect(Object.fromEntries(await other!.files())).toEqual(await subject.contents());
    });

    it('that is none, or not whole, changes nothing', async () => {
      await run(`backup ${file()}`);
      const bytes = await readFile(file());
      for (const broken of [bytes.subarray(0, bytes.length - 20), Buffer.from('servers: []\n')]) {
        await writeFile(file(), broken);
        const { code, err } = await run(`restore ${file()} --replace --yes`);
        expect([code, err.includes('this is no backup')]).toEqual([1, true]);
      }
      expect(await run(`restore ${directory}/none --yes`)).toMatchObject({ code: 1 });
      await execute('mkfifo', [`${directory}/fifo`]);
      for (const [endless, what] of [
        [`${directory}/fifo`, 'a FIFO'],
        ['/dev/zero', 'a device'],
      ] as const) {
        const { code, err } = await run(`restore ${endless} --replace --yes`);
        expect([code, err.split('\n')[0]]).toEqual([
          1,
          expect.stringContaining(`${endless} cannot be read: it is ${what}`),
        ]);
      }
      expect(await subject.contents()).toHaveProperty(['templates/web.yaml']);
    });
  });

  it('grant prints what makes a gateway one that only reads', async () => {
    const { out } = await run('grant gw-1');
    expect(out.trimEnd().split('\n')).toEqual(grantCommands(subject.prefix, 'gw-1', false));
    expect(await run('grant gw/1')).toMatchObject({ code: 1 });
    const etcdctl = async (line: string, user?: string): Promise<void> => {
      const [endpoint] = cluster.endpoints;
      const login = user === undefined ? '' : `--user ${user} `;
      const script = line
        .replace(/^etcdctl /, `etcdctl --endpoints ${endpoint!} ${login}`)
        .replace(/user add (\S+)$/, 'user add $1 --interactive=false <<< secret');
      await execute('bash', ['-ec', script], { env: { ...process.env, ETCDCTL_API: '3' } });
    };
    for (const line of out.split('\n')) if (line.startsWith('etcdctl')) await etcdctl(line);
    for (const line of grantCommands(subject.prefix, 'gw-2', true)) {
      if (line.startsWith('etcdctl')) await etcdctl(line);
    }
    for (const line of ['user add root', 'user grant-role root root', 'auth enable']) {
      await etcdctl(`etcdctl ${line}`);
    }
    try {
      const passwordFile = join(directory, 'password');
      await writeFile(passwordFile, 'secret\n', { mode: 0o600 });
      const opened = async (user: string): Promise<EtcdStore> => {
        const config = { endpoints: cluster.endpoints, prefix: subject.prefix, user, passwordFile };
        const onWarning = (message: string): number => subject.warnings.push(message);
        return await EtcdStore.open(await subject.gateway(), config, { onWarning });
      };
      const [reader, writer] = [await opened('gw-1'), await opened('gw-2')];
      const report = (name: string) => () => ({
        ...{ name, version: '1.2.3', state: 'ok' as const, flows: 0, packetsPerSecond: 0 },
        startedAt: new Date().toISOString(),
      });
      const watch = { onChange: () => undefined, onWarning: () => undefined };
      const watching = await reader.watch({ ...watch, report: report('gw-1') });
      await vi.waitFor(async () => {
        const { gateways } = await writer.gateways();
        expect(gateways.map(({ name, runs }) => [name, runs])).toEqual([['gw-1', true]]);
      }, patience);
      expect(await failuresOf(reader.change(alice, () => [create('x')]))).toMatchObject([
        { kind: 'read-only' },
      ]);
      await writer.change(alice, () => [create('y')]);
      await vi.waitFor(async () => {
        expect((await reader.read()).templates.map(({ name }) => name)).toEqual(['web', 'y']);
      }, patience);
      await watching.close();
      // Not under another name.
      const liar = await opened('gw-1');
      const lying = await liar.watch({ ...watch, report: report('gw-2') });
      await vi.waitFor(
        () => expect(subject.warnings.join()).toContain('not in the list of gateways'),
        patience,
      );
      await lying.close();
    } finally {
      await etcdctl('etcdctl auth disable', 'root:secret');
      for (const name of ['root', 'gw-1', 'gw-2']) await etcdctl(`etcdctl user delete ${name}`);
    }
  });
});
