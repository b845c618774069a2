/** `tunwall/lab`: real packets through a real firewall, for tests. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Lab } from '../../../src/lab/index.ts';
import { obstacle } from '../support/firewall.ts';

/** For what is allowed, in seconds, on a machine that does other things. */
const patience = 60;

const web = { inbound: [{ protocol: 'tcp', ports: 443 }, { protocol: 'icmp' }] } as const;
const db = { inbound: [{ protocol: 'tcp', ports: 5432, sources: 'server:web' }] } as const;

function namesOf(prefix: string): string[] {
  const names = execFileSync('ip', ['netns', 'list'], { encoding: 'utf8' }).split('\n');
  return names.filter((name) => name.startsWith(prefix));
}

describe.skipIf(obstacle !== undefined)('a lab', () => {
  let lab: Lab<'client' | 'web' | 'db'>;
  let reports: string;

  beforeAll(async () => {
    reports = mkdtempSync(join(tmpdir(), 'twt-reports-'));
    lab = await Lab.create({
      hosts: {
        // Not at the beginning of the usual network: routes lead to the block that its length says.
        client: { address: '198.51.100.18/28', routers: ['near', 'far'] },
        web: { address: ['10.0.0.2/24', '10.0.0.3/24'], serves: ['tcp:443', 'udp:53'] },
        db: { address: '10.0.1.2/24', serves: ['tcp:5432'] },
      },
      firewall: {
        templates: { web: { ...web, outbound: [{ protocol: 'tcp', ports: 5432 }] }, db },
        servers: [
          { name: 'web', addresses: ['10.0.0.2', '10.0.0.3'], templates: 'web' },
          { name: 'db', addresses: '10.0.1.2', templates: 'db' },
        ],
      },
      reports,
    });
  });
  beforeEach(() => lab.reset());
  afterAll(async () => {
    await lab.close();
    rmSync(reports, { recursive: true });
  });

  it('says who reaches whom', async () => {
    expect(await Lab.obstacle()).toBeUndefined();
    expect(await lab.reachability()).toMatchInlineSnapshot(`
      "from \\ to  client  web           db
      client     -       ping tcp:443  .
      web        .       -             tcp:5432
      db         .       .             -"
    `);
  });

  it('a change is in force when it resolves, and reset takes it back', async () => {
    const { client, web: server } = lab.hosts;
    expect(await server.exec('exit 3')).toMatchObject({ code: 3 });
    const more = await server.serve('tcp:8080');
    const url = `http://${server.address}:8080/`;
    await lab.gw.change({
      templates: { web: { inbound: [{ protocol: 'tcp', ports: 8080 }] }, db },
    });
    const allowed = await client.curl(url, ['--max-time', String(patience)]);
    expect(allowed).toMatchObject({ ok: true, status: 200 });
    expect(await client.ping(server)).toBe(false);
    expect((await lab.gw.flows()).map(({ destinationPort }) => destinationPort)).toContain(8080);
    await more.stop();
    expect(server.services).toEqual(['tcp:443', 'udp:53']);

    await server.serve('tcp:9090');
    await lab.reset();
    expect(server.services).toEqual(['tcp:443', 'udp:53']);
    expect(await lab.gw.flows()).toEqual([]);
    expect(await client.ping(server, patience)).toBe(true);
    const blocked = await client.curl(url, ['--max-time', '1']);
    expect(blocked).toMatchObject({ ok: false, status: 0 });
  });

  it('refuses what a firewall or a port refuses, and stays as it is', async () => {
    const { client, web: server } = lab.hosts;
    const wrong = { templates: { web: { inbound: [{ protocol: 'tcp', ports: 70000 }] } } } as const;
    await expect(lab.gw.change(wrong)).rejects.toThrow(/templates\/web\.yaml.*ports/);
    await expect(server.serve('tcp:443')).rejects.toThrow(/web cannot serve tcp:443: .*EADDRINUSE/);
    expect(await client.ping(server, patience)).toBe(true);
  });

  it('a check that fails names a report with the drops, the topology and the packets', async () => {
    const { client } = lab.hosts;
    const failed = lab.check(async () => {
      await client.ping('10.0.1.2');
      while ((await lab.gw.drops()).length === 0) await sleep(50);
      throw new Error('no answer');
    });
    const { message } = await failed.catch((error: unknown) => error as Error);
    const [, place] = /^no answer\n\nreport of the lab: (.*)$/.exec(message)!;
    expect(readdirSync(place!)).toEqual(
      expect.arrayContaining(['README.txt', 'config', 'firewall.log', 'flows.json']),
    );
    expect(readFileSync(join(place!, 'topology.txt'), 'utf8')).toMatch(
      /^client 198\.51\.100\.18\/28 ── far ── near ── gateway 198\.51\.100\.17\/28\n/,
    );
    const drops = JSON.parse(readFileSync(join(place!, 'drops.json'), 'utf8')) as object[];
    expect(drops).toContainEqual(
      expect.objectContaining({ reason: 'no-inbound-rule', destination: '10.0.1.2' }),
    );
    expect(readFileSync(join(place!, 'packets.pcapng'), 'latin1')).toMatch(/drop.*no-inbound-rule/);
  });

  it('ten at once, each with a network of its own', async () => {
    const labs = await Promise.all(Array.from({ length: 10 }, () => Lab.create()));
    try {
      const pings = await Promise.all(labs.map(({ hosts }) => hosts.client.ping(hosts.server)));
      expect(pings).toEqual(labs.map(() => false));
    } finally {
      await Promise.all(labs.map((each) => each.close()));
    }
  });

  it.each(['exit', 'SIGKILL'] as const)('%s of the process removes all of it', async (how) => {
    const end = how === 'exit' ? '' : "process.kill(process.pid, 'SIGKILL');";
    const { prefix, ended } = await labOfAnother(end);
    expect(ended).toEqual(how === 'exit' ? [0, null] : [null, 'SIGKILL']);
    while (namesOf(prefix).length > 0) await sleep(50);
  });

  it('what both killed at once leave, the next lab removes', async () => {
    const { prefix, ended } = await labOfAnother(`
      const { readFileSync } = await import('node:fs');
      const children = readFileSync('/proc/self/task/' + process.pid + '/children', 'latin1').split(' ');
      const isWatchdog = (pid) => readFileSync('/proc/' + pid + '/cmdline', 'latin1').startsWith('sh\\0-c');
      const [watchdog] = children.filter(Boolean).filter(isWatchdog);
      process.kill(Number(watchdog), 'SIGSTOP');
      process.kill(Number(watchdog), 'SIGKILL');
      process.kill(process.pid, 'SIGKILL');`);
    expect(ended).toEqual([null, 'SIGKILL']);
    await using next = await Lab.create();
    expect(next.hosts.client.address).toBe('198.51.100.2');
    while (namesOf(prefix).length > 0) await sleep(50);
  });
});

/** A process that makes a lab, and how it ended. */
async function labOfAnother(end: string): Promise<{ prefix: string; ended: unknown[] }> {
  const index = new URL('../../../dist/lab/index.js', import.meta.url).href;
  const script = `import { Lab } from '${index}';
    const lab = await Lab.create();
    await lab.hosts.server.serve('tcp:80');
    console.log((await lab.gw.exec('ip netns identify')).stdout.trim());
    ${end}`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  child.stdout.on('data', (data: Buffer) => (said += data.toString()));
  const ended = await once(child, 'close');
  const prefix = said.trim().replace(/-gateway$/, '');
  expect(prefix).toMatch(/^twlab-\w+$/);
  return { prefix, ended };
}
