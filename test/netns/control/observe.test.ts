/**
 * What a running firewall shows of itself, over HTTP and with real traffic: flows and their end, totals of servers beside
 * the counters of their kernels, hits of rules over a reload, drops, a capture that tcpdump reads, and which flow decides.
 */
import { chown, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type {
  Drop,
  Flow,
  FlowPage,
  LiveVerdict,
  ServerTotals,
} from '../../../src/control/api/context.ts';
import { FirewallLab, client, db, obstacle, web } from '../support/firewall.ts';
import type { Config } from '../support/firewall.ts';
import { ping, tcp, whatPasses } from '../support/probes.ts';
import { runScript, startScript } from '../support/scripts.ts';

const sessionPort = 2222;
const sessionCount = 8;
const nobody = 65_534;

const config: Config = {
  templates: {
    web: {
      inbound: [
        { protocol: 'tcp', ports: [80] },
        { protocol: 'tcp', ports: [sessionPort] },
        { protocol: 'icmp' },
      ],
    },
    db: { inbound: [{ protocol: 'icmp' }] },
  },
  servers: [
    { name: 'web', addresses: [web], templates: ['web'] },
    { name: 'db', addresses: [db], templates: ['db'] },
  ],
};

interface Stats {
  readonly servers: Readonly<Record<string, ServerTotals>>;
  readonly rules: readonly { template: string; direction: string; index: number; hits: number }[];
}

describe.skipIf(obstacle !== undefined)('a running firewall', () => {
  let firewall: FirewallLab;
  let socket: string;
  let inForce: Config;

  beforeAll(async () => {
    firewall = await FirewallLab.create(config);
    const runtime = join(firewall.lab.directory, 'run');
    socket = join(runtime, 'tunwall.sock');
    await mkdir(runtime);
    inForce = { ...config, gateway: { api: { socket } } };
    firewall.write(inForce);
    // The firewall runs as nobody: its socket, and an audit log that says which user has ended a flow.
    await chown(runtime, nobody, nobody);
    await chown(firewall.configDirectory, nobody, nobody);
    await firewall.serve('web', 'tcp:80', 'tcp:443');
    await startScript(firewall, 'web', 'sessions', 'serve', sessionPort);
    await firewall.start();
  });
  afterAll(async () => {
    await firewall.close();
  });

  async function curl(path: string, ...args: string[]): Promise<string> {
    const url = `http://127.0.0.1:8740/v1${path}`;
    const command = ['curl', '-sS', '--fail-with-body', '--unix-socket', socket, ...args, url];
    return firewall.lab.mustExec('gateway', command);
  }
  const get = async <T>(path: string): Promise<T> =>
    JSON.parse(await curl(path, '-H', 'accept: application/json')) as T;
  const flows = (query: string): Promise<FlowPage> => get<FlowPage>(`/flows?${query}`);

  it('shows its flows, and one that is killed is dead for both ends', async () => {
    const to = `${web}:${sessionPort}`;
    const sessions = runScript(firewall, 'client', 'sessions', 'keep', to, sessionCount, 100);
    const query = `server=web&port=${sessionPort}&protocol=tcp&state=established&sort=age`;
    await firewall.until('all sessions run', async () => {
      const { flows: found } = await flows(query);
      return found.filter(({ reply }) => reply.packets >= 4).length === sessionCount;
    });
    const { flows: found, total } = await flows(`${query}&limit=5`);
    expect([found.length, total]).toEqual([5, sessionCount]);
    for (const flow of found) {
      expect(flow).toMatchObject({
        source: client,
        destination: web,
        destinationPort: sessionPort,
        destinationServer: 'web',
      });
    }
    expect((await flows('server=db')).total).toBe(0);

    // The kernel of the client knows the same connections.
    const { stdout } = await firewall.lab.exec('client', ['ss', '-Htn', 'dst', to]);
    const ports = [...stdout.matchAll(/198\.51\.100\.2:(\d+)/g)].map(([, port]) => Number(port));
    expect(ports).toHaveLength(sessionCount);
    const { flows: all } = await flows(`${query}&limit=100`);
    expect(new Set(all.map(({ sourcePort }) => sourcePort))).toEqual(new Set(ports));

    const killed = JSON.parse(await curl(`/flows/${found[0]!.id}`, '-X', 'DELETE')) as object;
    expect(killed).toEqual({ killed: true });
    await expect(curl(`/flows/${found[0]!.id}`, '-X', 'DELETE')).rejects.toThrow('404');
    expect((await flows(query)).total).toBe(sessionCount - 1);
    // What either end sends next belongs to no flow, and says why.
    await firewall.until('a segment of the killed flow was dropped', async () => {
      const { drops } = await get<{ drops: Drop[] }>('/drops?reason=flow-killed&limit=1000');
      const ends = drops.flatMap(({ sourcePort, destinationPort }) => [
        sourcePort,
        destinationPort,
      ]);
      return ends.includes(found[0]!.sourcePort);
    });
    sessions.child.kill();
  });

  it('counts for a server what its kernel counts', async () => {
    const arrivals = await firewall.countArrivals('db');
    const totals = async (): Promise<ServerTotals | undefined> =>
      (await get<Stats>('/stats')).servers['db'];
    expect(await totals()).toBeUndefined();
    const many = ['ping', '-c', '25', '-i', '0.02', '-s', '100', '-W', '5', db];
    await firewall.lab.mustExec('client', many);
    expect(await whatPasses(firewall, [tcp('client', db, 80)])).toEqual([]);
    const reported = (await totals())!;
    const passed = { packets: 25, bytes: 25 * 128 };
    expect(await arrivals()).toBe(25);
    expect(reported.inbound.passed).toEqual(passed);
    expect(reported.outbound).toEqual({ passed, dropped: { packets: 0, bytes: 0 } });
    // A SYN, and perhaps one more of the same.
    expect(reported.inbound.dropped.packets).toBeGreaterThan(0);
    // A total is read where the packet threads count it; the records of drops are collected from time to time.
    let drops: Drop[] = [];
    await firewall.until('every drop is reported', async () => {
      ({ drops } = await get<{ drops: Drop[] }>('/drops?server=db'));
      return drops.length >= reported.inbound.dropped.packets;
    });
    expect(drops).toHaveLength(reported.inbound.dropped.packets);
    expect(drops[0]).toMatchObject({
      reason: 'no-inbound-rule',
      direction: 'inbound',
      protocol: 'tcp',
      source: client,
      destination: db,
      destinationPort: 80,
      destinationServer: 'db',
      tcpFlags: 'S',
    });
    const { startedAt } = await firewall.status();
    expect(Date.parse(drops[0]!.at)).toBeGreaterThan(Date.parse(startedAt as string));
    expect(Date.parse(drops[0]!.at)).toBeLessThanOrEqual(Date.now());
  });

  it('counts the hits of a rule, also when a reload has moved it', async () => {
    const hitsOfPort80 = async (index: number): Promise<number> => {
      const { rules } = await get<Stats>('/stats?rules=true');
      const rule = rules.find((each) => each.template === 'web' && each.index === index);
      return rule?.hits ?? 0;
    };
    const before = await hitsOfPort80(0);
    const visit = tcp('client', web, 80);
    expect(await whatPasses(firewall, [visit, visit])).toHaveLength(2);
    expect(await hitsOfPort80(0)).toBe(before + 2);
    const [http, ...others] = config.templates['web']!.inbound!;
    const moved = { inbound: [...others, { protocol: 'tcp', ports: [8443] } as const, http!] };
    inForce = { ...inForce, templates: { ...config.templates, web: moved } };
    await firewall.apply(inForce);
    expect(await hitsOfPort80(3)).toBe(before + 2);
    expect(await whatPasses(firewall, [visit])).toHaveLength(1);
    expect(await hitsOfPort80(3)).toBe(before + 3);
  });

  it('captures what tcpdump can read, each packet with its verdict', async () => {
    const file = join(firewall.lab.directory, 'live.pcapng');
    await writeFile(file, '');
    const path = '/capture?server=web&limit=8';
    const capture = curl(path, '-N', '--max-time', '60', '-o', file);
    // A capture is running as soon as its first bytes are there.
    await firewall.until('the capture runs', async () => (await readFile(file)).length > 0);
    const until = { over: false };
    const traffic = async (): Promise<void> => {
      while (!until.over) {
        await whatPasses(firewall, [
          ping('client', web),
          ping('client', db),
          tcp('client', web, 443),
        ]);
      }
    };
    const running = traffic();
    await capture.finally(() => (until.over = true));
    await running;
    const text = await firewall.lab.mustExec('gateway', ['tcpdump', '-nr', file]);
    const lines = text.split('\n').filter((line) => line.includes(' IP '));
    expect(lines).toHaveLength(8);
    expect(lines.every((line) => line.includes(web) && !line.includes(db))).toBe(true);
    const comments = [...(await readFile(file, 'latin1')).matchAll(/tunwall: [a-z- ,]+/g)];
    const words = new Set(comments.map(([comment]) => comment));
    expect(comments).toHaveLength(8);
    expect(words).toContain('tunwall: pass, inbound icmp');
    expect(words).toContain('tunwall: drop no-inbound-rule, inbound tcp');
    // No capture runs any more.
    expect((await get<{ reloadError: string | null }>('/status')).reloadError).toBeNull();
  });

  it('says which flow decides', async () => {
    const to = `${web}:${sessionPort}`;
    const sessions = runScript(firewall, 'client', 'sessions', 'keep', to, 1, 100);
    const query = `address=${client}&port=${sessionPort}&state=established`;
    let flow: Flow | undefined;
    await firewall.until('the session runs', async () => {
      const { stdout } = await firewall.lab.exec('client', ['ss', '-Htn', 'dst', to]);
      const found = (await flows(query)).flows;
      flow = found.find(({ sourcePort }) => stdout.includes(`:${sourcePort!} `));
      return flow !== undefined;
    });
    const question = {
      src: client,
      dst: web,
      protocol: 'tcp',
      srcPort: flow!.sourcePort,
      dstPort: sessionPort,
    };
    const ask = async (body: object): Promise<LiveVerdict & { decidedBy: string }> => {
      const json = ['-H', 'content-type: application/json', '-d', JSON.stringify(body)];
      return JSON.parse(await curl('/explain', ...json)) as LiveVerdict & { decidedBy: string };
    };
    expect(await ask(question)).toMatchObject({
      decidedBy: 'flow',
      verdict: 'pass',
      flow: { id: flow!.id, state: 'established' },
    });
    expect((await ask({ ...question, srcPort: 1 })).decidedBy).toBe('rules');
    sessions.child.kill();
  });
});
