/** Root beside a shared policy: the owner of a directory says in gateway.yaml which file goes to which endpoint, and no more than that. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { EtcdCluster, etcdObstacle } from '../../support/etcd.ts';
import { obstacle, program } from '../support/firewall.ts';

const nobody = 65_534;
const secret = 'what only root may know';

let directory: string;
let config: string;
let secrets: string;

function tunwall(...args: string[]): Promise<{ code: number; out: string }> {
  return new Promise((resolve) => {
    const env = { ...process.env, NO_COLOR: '1' };
    execFile(process.execPath, [program, ...args], { env, timeout: 60_000 }, (error, out, err) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? -1), out: out + err });
    });
  });
}

/** What `ps` shows of all processes with `secret`, with their environment: as root sees them. */
function processesThatShow(text: string): string[] {
  const shown = (pid: string, file: string): string => {
    try {
      return readFileSync(`/proc/${pid}/${file}`, 'utf8');
    } catch {
      // It has ended meanwhile.
      return '';
    }
  };
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => ['cmdline', 'environ'].map((file) => `${file}: ${shown(pid, file)}`))
    .filter((each) => each.includes(text));
}

function writeGateway(endpoint: string, ...more: string[]): void {
  const lines = [
    'store:',
    '  etcd:',
    `    endpoints: ["${endpoint}"]`,
    '    prefix: /root',
    ...more,
  ];
  writeFileSync(join(config, 'gateway.yaml'), `${lines.join('\n')}\n`);
}

describe.skipIf(obstacle !== undefined)('root, where the store is shared', () => {
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'twt-root-'));
    chmodSync(directory, 0o755);
    config = join(directory, 'config');
    secrets = join(directory, 'secrets');
    mkdirSync(config);
    chownSync(config, nobody, nobody);
    mkdirSync(secrets, { mode: 0o700 });
    writeFileSync(join(secrets, 'file.yaml'), secret, { mode: 0o600 });
  });
  afterEach(() => {
    rmSync(directory, { recursive: true });
  });

  describe('with an endpoint that listens', () => {
    let server: Server;
    let asked: string[];
    /** While the password is on its way. */
    let shown: { processes: string[]; programs: string[] };
    beforeEach(async () => {
      asked = [];
      shown = { processes: [], programs: [] };
      server = createServer((request, response) => {
        let body = '';
        request.on('data', (text) => (body += String(text)));
        request.on('end', () => {
          asked.push(`${request.url!} ${body}`);
          if (body.includes(secret)) {
            shown = { processes: processesThatShow(secret), programs: processesThatShow(program) };
          }
          response.end('{"etcdserver":"3.5.16","header":{}}');
        });
      }).listen(0, '127.0.0.1');
      await once(server, 'listening');
    });
    afterEach(() => {
      server.closeAllConnections();
      server.close();
    });

    it.each(['check', 'store status', 'store pull nowhere --yes', 'template list'])(
      'does not send it a file that the owner of the directory cannot read: %s',
      async (typed) => {
        const file = join(secrets, 'file.yaml');
        const { port } = server.address() as AddressInfo;
        writeGateway(`http://127.0.0.1:${port}`, '    user: somebody', `    passwordFile: ${file}`);
        const { out } = await tunwall(...typed.split(' '), '--config', config);
        expect(asked.join('\n')).toContain('/version');
        expect(`${asked.join('\n')}${out}`).not.toContain(secret);
        if (!typed.startsWith('template')) expect(out).toContain(`${file} cannot be read`);
      },
    );

    it.each(['check', 'store status'])(
      'shows a password to etcd, but to nobody who lists processes: %s',
      async (typed) => {
        const file = join(config, 'password');
        writeFileSync(file, secret, { mode: 0o600 });
        chownSync(file, nobody, nobody);
        const { port } = server.address() as AddressInfo;
        writeGateway(`http://127.0.0.1:${port}`, '    user: somebody', `    passwordFile: ${file}`);
        const { out } = await tunwall(...typed.split(' '), '--config', config);
        expect(asked.join('\n')).toContain(secret);
        expect(shown.processes).toEqual([]);
        expect(shown.programs).not.toEqual([]);
        expect(out).not.toContain(secret);
      },
    );
  });

  describe.skipIf(etcdObstacle !== undefined)('with a cluster', () => {
    let cluster: EtcdCluster;
    beforeAll(async () => {
      cluster = await EtcdCluster.start();
    });
    afterAll(() => cluster.stop());

    it('pulls as the owner of the directory, whatever is in it', async () => {
      writeGateway(cluster.endpoints[0]!);
      const store = (...args: string[]): ReturnType<typeof tunwall> =>
        tunwall('store', ...args, '--config', config);
      const policy = join(directory, 'policy');
      mkdirSync(join(policy, 'templates'), { recursive: true });
      writeFileSync(join(policy, 'templates/web.yaml'), 'inbound: []\n');
      writeFileSync(join(policy, 'servers.yaml'), 'servers: []\n');
      expect(await store('init')).toMatchObject({ code: 0 });
      const pushed = await store('push', policy, '--yes');
      expect(pushed).toMatchObject({ code: 0 });
      expect(pushed.out).toContain(
        '.pulled.json cannot be written: permission denied; pull before',
      );
      const clone = join(directory, 'clone');
      mkdirSync(clone);
      chownSync(clone, nobody, nobody);
      symlinkSync(secrets, join(clone, 'templates'));
      expect((await store('pull', clone, '--yes')).code).not.toBe(0);
      expect(readdirSync(secrets)).toEqual(['file.yaml']);
      rmSync(join(clone, 'templates'));
      expect(await store('pull', clone, '--yes')).toMatchObject({ code: 0 });
      expect(existsSync(join(clone, 'templates/web.yaml'))).toBe(true);
      expect(statSync(join(clone, 'templates/web.yaml')).uid).toBe(nobody);
    });
  });
});
