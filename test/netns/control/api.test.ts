/**
 * The API of a running firewall, with curl as an operator would use it: the first login, what is answered when, the control
 * socket, and hand edits beside it.
 */
import { mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FirewallLab, client, db, obstacle, web } from '../support/firewall.ts';
import { ping, tcp, whatPasses } from '../support/probes.ts';

/** A shell on port 22, without a password. */
const shellServer = `require('node:net').createServer((socket) => {
  const { stdin, stdout } = require('node:child_process').spawn('sh', { stdio: 'pipe' });
  socket.on('error', () => undefined).pipe(stdin);
  stdout.pipe(socket);
}).listen(22)`;

interface Answer {
  readonly status: number;
  readonly json: Readonly<Record<string, unknown>>;
}

describe.skipIf(obstacle !== undefined)('the API of a running firewall', () => {
  let firewall: FirewallLab;
  let socket: string;
  let cookie: string;

  beforeAll(async () => {
    firewall = await FirewallLab.create({
      templates: { iperf: { inbound: [{ protocol: 'tcp', ports: [5201] }] } },
      servers: [{ name: 'db', addresses: [db], templates: ['iperf'] }],
    });
    const { lab, configDirectory } = firewall;
    const run = join(lab.directory, 'run');
    await mkdir(run);
    socket = join(run, 'control.sock');
    firewall.write({
      templates: { iperf: { inbound: [{ protocol: 'tcp', ports: [5201] }] } },
      servers: [{ name: 'db', addresses: [db], templates: ['iperf'] }],
      gateway: { api: { socket, listen: '0.0.0.0:8740', insecure: true } },
    });
    // The firewall edits its own configuration.
    await lab.mustExec('gateway', ['chown', '-R', 'nobody:nogroup', configDirectory, run]);
    await firewall.serve('web', 'tcp:80');
    await firewall.start();
    cookie = join(lab.directory, 'cookies');
  });
  afterAll(async () => {
    await firewall.close();
  });

  async function curl(method: string, path: string, body?: object, via: string[] = []) {
    const url = `http://127.0.0.1:8740${path}`;
    const origin = ['-H', 'origin: http://127.0.0.1:8740', '-b', cookie, '-c', cookie];
    const { stdout } = await firewall.lab.exec('gateway', [
      ...['curl', '-s', '--max-time', '10', '-X', method, '-w', '\n%{http_code}'],
      ...(via.length > 0 ? via : origin),
      ...(body === undefined
        ? []
        : ['-H', 'content-type: application/json', '-d', JSON.stringify(body)]),
      url,
    ]);
    const at = stdout.lastIndexOf('\n');
    const text = stdout.slice(0, at);
    const json = (text === '' ? {} : JSON.parse(text)) as Answer['json'];
    return { status: Number(stdout.slice(at + 1)), json };
  }

  it('lets nobody in before the first owner logs in with the logged password', async () => {
    expect((await curl('GET', '/v1/templates')).status).toBe(401);
    let reported: Record<string, unknown> | undefined;
    await firewall.until('the log tells of an owner', async () => {
      reported = (await firewall.log()).find((line) => 'password' in line);
      return reported !== undefined;
    });
    const { user: name, password } = reported!;
    const login = await curl('POST', '/v1/session', { name, password });
    expect(login).toMatchObject({ status: 200, json: { name: 'owner', role: 'owner' } });
    expect((await stat(join(firewall.configDirectory, 'users.yaml'))).mode & 0o777).toBe(0o600);
  });

  it('puts a pre-defined rule set and a server in force before it answers', async () => {
    const probes = [ping('client', web), tcp('client', web, 80)];
    expect(await whatPasses(firewall, probes)).toEqual([]);

    const template = await curl('POST', '/v1/templates', { name: 'site', preset: 'web-server' });
    expect(template).toMatchObject({ status: 201, json: { applied: { applied: true } } });
    const server = { name: 'web', addresses: [web], templates: ['site'] };
    const made = await curl('POST', '/v1/servers', server);
    const epoch = await firewall.epoch();
    expect(made).toMatchObject({ status: 201, json: { applied: { applied: true, epoch } } });
    expect(await whatPasses(firewall, probes)).toHaveLength(2);

    const removed = await curl('PUT', '/v1/servers/web/templates', { templates: [] });
    expect(removed).toMatchObject({ status: 200, json: { applied: { applied: true } } });
    expect(await whatPasses(firewall, probes)).toEqual([]);
    const all = { servers: ['web'], templates: ['site'] };
    expect((await curl('POST', '/v1/assignments', all)).status).toBe(200);
    expect(await whatPasses(firewall, probes)).toHaveLength(2);
    expect((await curl('DELETE', '/v1/servers/web')).status).toBe(200);
    expect(await whatPasses(firewall, probes)).toEqual([]);
  });

  it('serves root and its group over the socket, whose name is the one in the audit log', async () => {
    const { mode, uid } = await stat(socket);
    expect([mode & 0o777, uid]).toEqual([0o660, 65_534]);
    const via = ['--unix-socket', socket, '-H', 'tunwall-actor: carol'];
    const status = await curl('GET', '/v1/status', undefined, via);
    expect(status.json).toMatchObject({
      ...{ running: true, device: 'fw0', reloadError: null, problems: [] },
      policy: { templates: 2, servers: 1 },
    });
    expect((await curl('DELETE', '/v1/templates/site', undefined, via)).status).toBe(200);
    const audit = await curl('GET', '/v1/audit?actor=carol');
    expect(audit.json).toMatchObject({
      records: [{ action: 'template.destroy', result: 'ok', actor: { via: 'socket' } }],
    });
  });

  it('sees hand edits like its own, and reports their errors', async () => {
    const path = join(firewall.configDirectory, 'templates/iperf.yaml');
    await firewall.lab.mustExec('gateway', ['sed', '-i', 's/5201/5201x/', path]);
    await firewall.until('the error is reported', async () => {
      const { json } = await curl('GET', '/v1/status');
      return (json['problems'] as unknown[]).length > 0;
    });
    const refused = await curl('POST', '/v1/templates', { name: 'other' });
    expect(refused).toMatchObject({
      status: 409,
      json: { errors: [{ path: 'inbound[0].ports[0]' }] },
    });
    // The policy in force is shown. A correction of the file makes a new one.
    expect((await curl('GET', '/v1/templates/iperf')).status).toBe(200);
    const mended = { inbound: [{ protocol: 'tcp', ports: [5202] }] };
    const put = await curl('PUT', '/v1/templates/iperf', mended);
    expect(put.json).toMatchObject({ applied: { applied: true } });
    const { json } = await curl('GET', '/v1/status');
    expect(json).toMatchObject({ reloadError: null, problems: [] });
  });

  it('undoes a change that has cut off who made it', async () => {
    const shell = { protocol: 'tcp', ports: [22], sources: [client] };
    await curl('POST', '/v1/templates', { name: 'admin', inbound: [shell] });
    await curl('POST', '/v1/servers', { name: 'web', addresses: [web], templates: ['admin'] });
    const { json } = await curl('POST', '/v1/users/owner/tokens', { name: 'shell' });
    firewall.lab.spawn('web', [process.execPath, '-e', shellServer]);
    /** What a shell behind the firewall prints, by a session through it. */
    const ask = (path: string, ...more: string[]): string[] => {
      const operation = { kind: 'remove-rule', template: 'admin', direction: 'inbound', index: 0 };
      const words = [
        ...['curl', '-s', '-H', `'authorization: Bearer ${String(json['token'])}'`],
        ...['-H', "'content-type: application/json'", ...more],
        ...['-d', `'${JSON.stringify({ operations: [operation] })}'`],
        `http://10.0.0.1:8740${path}; exit`,
      ];
      return ['sh', '-c', `echo "$1" | nc ${web} 22`, 'sh', words.join(' ')];
    };
    let said = '';
    const isAnswered = async (): Promise<boolean> => {
      said = (await firewall.lab.exec('client', ask('/v1/review'))).stdout;
      return said !== '';
    };
    await firewall.until('the shell answers', isAnswered);
    expect(JSON.parse(said)).toMatchObject({
      ...{ flowsCut: 1, cutsClient: true },
      largestFlowsCut: [{ source: client, destination: web, destinationPort: 22 }],
    });

    const session = firewall.lab.spawn(
      'client',
      ask('/v1/changes', '-H', "'tunwall-confirm: 5s'"),
      'pipe',
    );
    let answered = '';
    session.stdout!.on('data', (text) => (answered += String(text)));
    let newest: { actor: string; action: string }[] = [];
    await firewall.until('it is undone', async () => {
      const { json: history } = await curl('GET', '/v1/history?limit=2');
      newest = history['changes'] as typeof newest;
      return newest[0]!.actor === 'clock';
    });
    expect(newest).toMatchObject([
      { actor: 'clock', action: 'policy.restore' },
      { actor: 'owner', action: 'template.remove-rule' },
    ]);
    // Its answer was judged by the policy without the rule; a new session is let in again.
    expect(answered).toBe('');
    await firewall.until('a new session is let in', isAnswered);
    session.kill();
  });

  it('goes in order: the socket is gone, and so is the session', async () => {
    expect(await firewall.stop('SIGTERM')).toBe(0);
    await expect(stat(socket)).rejects.toThrow('ENOENT');
    await firewall.start();
    expect((await curl('GET', '/v1/session')).status).toBe(401);
  });
});
