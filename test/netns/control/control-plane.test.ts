/**
 * Templates and servers over HTTP, with curl, while packets flow: what is created passes at once, what is removed stops at
 * once, and an iperf3 to another server notices nothing.
 *
 *     client ── gateway (tunwall, as nobody) ── web, not protected at first
 *                                           └── db, protected; an iperf3 to it runs throughout
 */
import { openSync } from 'node:fs';
import { chown, mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FirewallLab, db, obstacle, web } from '../support/firewall.ts';
import type { Config } from '../support/firewall.ts';
import { tcp, whatPasses } from '../support/probes.ts';

const transferPort = 5201;
const nobody = 65_534;

interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

describe.skipIf(obstacle !== undefined)('the control plane', () => {
  let firewall: FirewallLab;
  let socket: string;
  let transferFile: string;

  beforeAll(async () => {
    const config: Config = {
      templates: {
        database: { inbound: [{ protocol: 'tcp', ports: [transferPort] }] },
      },
      servers: [{ name: 'db', addresses: [db], templates: ['database'] }],
    };
    firewall = await FirewallLab.create(config);
    const { lab } = firewall;
    const runtime = join(lab.directory, 'run');
    await mkdir(runtime);
    socket = join(runtime, 'tunwall.sock');
    firewall.write({ ...config, gateway: { api: { socket } } });
    // The firewall runs as nobody, and writes these files.
    for (const path of ['', 'templates', 'gateway.yaml', 'servers.yaml']) {
      await chown(join(firewall.configDirectory, path), nobody, nobody);
    }
    await chown(join(firewall.configDirectory, 'templates/database.yaml'), nobody, nobody);
    await chown(runtime, nobody, nobody);
    await firewall.serve('web', 'tcp:80', 'tcp:443');
    await firewall.start();
    lab.spawn('db', ['iperf3', '-s', '-1', '-p', String(transferPort)]);
    await firewall.until('iperf3 listens', async () => {
      const filter = `sport = :${transferPort}`;
      return (await lab.exec('db', ['ss', '-Htln', filter])).stdout !== '';
    });
    const arrivals = await firewall.countArrivals('db');
    transferFile = join(lab.directory, 'transfer.txt');
    const report = openSync(transferFile, 'w');
    const pace = ['-t', '600', '-i', '1', '-b', '20M', '--forceflush'];
    lab.spawn('client', ['iperf3', '-c', db, '-p', String(transferPort), ...pace], report);
    await firewall.until('iperf3 runs', async () => (await arrivals()) > 100);
  });
  afterAll(async () => {
    await firewall.close();
  });

  /** One request by curl, as root on the control socket, or over TCP with a token. */
  async function request(
    method: string,
    path: string,
    body?: unknown,
    credentials: string[] = ['--unix-socket', socket],
  ): Promise<Answer> {
    const url = `http://127.0.0.1:8740${path}`;
    const json = body === undefined ? [] : ['-H', 'content-type: application/json', '-d', '@-'];
    const command = ['curl', '-s', '-X', method, ...credentials, ...json, '-w', '\n%{http_code}'];
    const input = body === undefined ? '' : JSON.stringify(body);
    const reported = await firewall.lab.mustExec('gateway', [...command, url], { input });
    const at = reported.lastIndexOf('\n');
    const text = reported.slice(0, at);
    const parsed: unknown = text === '' ? {} : JSON.parse(text);
    return { status: Number(reported.slice(at + 1)), body: parsed as Record<string, unknown> };
  }

  const reaches = async (port: number): Promise<boolean> =>
    (await whatPasses(firewall, [tcp('client', web, port)])).length === 1;

  const applied = { applied: { applied: true } };

  it('a server that is created with a template is filtered by it from then on', async () => {
    expect(await reaches(80)).toBe(false);
    const site = { name: 'site', inbound: [{ protocol: 'tcp', ports: [80] }] };
    const created = await request('POST', '/v1/templates', site);
    expect(created).toMatchObject({ status: 201, body: applied });
    // No server has it yet.
    expect(await reaches(80)).toBe(false);
    const server = { name: 'web', addresses: [web], templates: ['site'] };
    expect(await request('POST', '/v1/servers', server)).toMatchObject({
      status: 201,
      body: applied,
    });
    expect(await reaches(80)).toBe(true);
    expect(await reaches(443)).toBe(false);
    const file = await readFile(join(firewall.configDirectory, 'templates/site.yaml'), 'utf8');
    expect(file).toContain('80');
  });

  it('a rule that is added passes at once, and one that is removed stops at once', async () => {
    const rules = '/v1/templates/site/rules/inbound';
    const https = { protocol: 'tcp', ports: [443] };
    expect(await request('POST', rules, https)).toMatchObject({ body: applied });
    expect(await reaches(443)).toBe(true);
    expect(await request('DELETE', `${rules}/0`)).toMatchObject({ body: applied });
    expect(await reaches(80)).toBe(false);
    expect(await reaches(443)).toBe(true);
  });

  it('explains with the rule that the packets meet', async () => {
    const question = {
      src: '198.51.100.10',
      dst: web,
      protocol: 'tcp',
      srcPort: 4000,
      dstPort: 443,
    };
    const { status, body } = await request('POST', '/v1/explain', question);
    expect(status).toBe(200);
    expect(body).toMatchObject({ verdict: 'pass' });
    const other = await request('POST', '/v1/explain', { ...question, dstPort: 80 });
    expect(other.body).toMatchObject({ verdict: 'drop' });
  });

  it('templates are assigned to and removed from many servers in one call', async () => {
    const both = { servers: ['web', 'db'], templates: ['site'] };
    expect(await request('POST', '/v1/assignments/remove', both)).toMatchObject({ body: applied });
    expect(await reaches(443)).toBe(false);
    expect(await request('POST', '/v1/assignments', both)).toMatchObject({ body: applied });
    expect(await reaches(443)).toBe(true);
  });

  it('a template in use is destroyed only by force, and its rules with it', async () => {
    const refused = await request('DELETE', '/v1/templates/site');
    expect(refused).toMatchObject({ status: 409, body: { servers: ['db', 'web'] } });
    expect(await reaches(443)).toBe(true);
    const forced = await request('DELETE', '/v1/templates/site?force=true');
    expect(forced.status).toBe(200);
    expect(await reaches(443)).toBe(false);
    // Back again, from its history.
    const back = await request('POST', '/v1/templates/site/rollback', { version: 1 });
    expect(back).toMatchObject({ body: applied });
    const put = { templates: ['site'] };
    expect(await request('PUT', '/v1/servers/web/templates', put)).toMatchObject({ body: applied });
    expect(await reaches(80)).toBe(true);
  });

  it('over TCP it needs a token, which is an owner to change something', async () => {
    const member = { name: 'viewer', role: 'member', password: 'correct horse battery' };
    expect((await request('POST', '/v1/users', member)).status).toBe(201);
    const { body } = await request('POST', '/v1/users/viewer/tokens', { name: 'test' });
    const token = ['-H', `authorization: Bearer ${String(body['token'])}`];
    expect((await request('GET', '/v1/templates', undefined, [])).status).toBe(401);
    expect((await request('GET', '/v1/templates', undefined, token)).status).toBe(200);
    const denied = await request('DELETE', '/v1/templates/site?force=true', undefined, token);
    expect(denied.status).toBe(403);
    expect(await reaches(80)).toBe(true);
    const audit = await request('GET', '/v1/audit?result=denied&limit=1');
    expect(audit.body['records']).toMatchObject([
      { actor: { name: 'viewer', token: 'test' }, result: 'denied' },
    ]);
  });

  it('a server that is removed drops everything', async () => {
    expect(await request('DELETE', '/v1/servers/web')).toMatchObject({ status: 200 });
    expect(await reaches(80)).toBe(false);
  });

  it('a server with a label is reachable by its peers from its first packet, and not without', async () => {
    const peer = '198.51.100.10';
    const peersReach = async (): Promise<string[]> =>
      await whatPasses(firewall, [tcp('client', web, 443, peer), tcp('client', web, 443)]);
    const labelled = {
      name: 'by-label',
      appliesTo: ['role=web'],
      inbound: [{ protocol: 'tcp', ports: [443], sources: ['label:role=peer,env!=test'] }],
    };
    const open = { name: 'open', outbound: [{ protocol: 'all' }] };
    for (const template of [labelled, open]) {
      expect(await request('POST', '/v1/templates', template)).toMatchObject({ body: applied });
    }
    const servers = [
      { name: 'peer', addresses: [peer], templates: ['open'], labels: { role: 'peer' } },
      { name: 'web', addresses: [web], labels: { role: 'web' } },
    ];
    for (const server of servers) {
      expect(await request('POST', '/v1/servers', server)).toMatchObject({ body: applied });
    }
    expect(await peersReach()).toEqual([`client (${peer}) tcp ${web}:443`]);
    for (const [name, labels] of [
      ['web', { role: null }],
      ['web', { role: 'web' }],
      ['peer', { env: 'test' }],
      ['peer', { env: null }],
    ] as const) {
      const { body } = await request('PATCH', `/v1/servers/${name}`, { labels });
      expect(body).toMatchObject(applied);
      const isMeant = Object.values(labels)[0] === (name === 'web' ? 'web' : null);
      expect(await peersReach(), JSON.stringify(labels)).toHaveLength(isMeant ? 1 : 0);
    }
  });

  it('templates are assigned to and removed from many servers by a selector', async () => {
    const selected = { selector: 'role in (web,peer)', templates: ['site'] };
    expect(await reaches(80)).toBe(false);
    expect(await request('POST', '/v1/assignments', selected)).toMatchObject({
      body: { ...applied, servers: ['peer', 'web'] },
    });
    expect(await reaches(80)).toBe(true);
    await request('POST', '/v1/assignments/remove', selected);
    expect(await reaches(80)).toBe(false);
  });

  it('the transfer to another server ran undisturbed throughout', async () => {
    const report = await readFile(transferFile, 'utf8');
    const seconds = [...report.matchAll(/ ([\d.]+) (\S?)Bytes +[\d.]+ \S*bits\/sec/g)];
    expect(seconds.length).toBeGreaterThan(5);
    for (const [line, amount] of seconds) expect(Number(amount), line).toBeGreaterThan(0);
    expect(report).not.toContain('error');
    const arrivals = await firewall.countArrivals('db');
    await firewall.until('it still runs', async () => (await arrivals()) > 100);
  });
});
