/** Whom the command line asks, how it gets there, and what it says when that is no API of ours. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { chmod, link, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it, test } from 'vitest';
import { ApiProblem, route } from '../../../src/cli/api-client.ts';
import type { ApiClient } from '../../../src/cli/api-client.ts';
import { createConnections } from '../../../src/cli/connection.ts';
import type { ConnectionFlags, Connections } from '../../../src/cli/connection.ts';
import { ownSocket } from '../../../src/cli/own-socket.ts';
import { callerName, interruptedBy, openToWrite } from '../../../src/cli/process-parts.ts';
import { createReadSecret } from '../../../src/cli/read-secret.ts';
import type { SecretInput } from '../../../src/cli/read-secret.ts';

let directory: string;
let servers: Server[];
let requests: IncomingMessage[];
/** What the servers answer. */
let answer: { status: number; type: string; body: string };
let opened: string[];
let warnings: string[];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'twt-'));
  servers = [];
  requests = [];
  answer = { status: 200, type: 'application/json; charset=utf-8', body: '{"from":"firewall"}' };
  opened = [];
  warnings = [];
});
afterEach(async () => {
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
  await rm(directory, { recursive: true });
});

async function listen(where: { path: string } | { host: string; port: 0 }): Promise<number> {
  const server = createServer((request, response) => {
    requests.push(request);
    request.resume();
    response.writeHead(answer.status, { 'content-type': answer.type }).end(answer.body);
  });
  servers.push(server);
  server.listen(where);
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

function connections(environment: Record<string, string> = {}): Connections {
  return createConnections({
    openDirectory: (path) => {
      opened.push(path);
      return Promise.resolve({
        inject: () =>
          Promise.resolve({
            statusCode: 200,
            headers: { 'content-type': 'application/json' },
            rawPayload: Buffer.from('{"from":"directory"}'),
          }),
        close: () => Promise.resolve(),
      });
    },
    actor: 'alice',
    environment,
    warn: (message) => warnings.push(message),
    socket: join(directory, 'sock'),
  });
}

async function ask(flags: ConnectionFlags, environment?: Record<string, string>): Promise<string> {
  const client = await connections(environment).connect(flags);
  const { from } = await client.get<{ from: string }>('/status');
  await client.close();
  return from;
}

describe('whom to ask', () => {
  const socket = (): string => join(directory, 'sock');

  it('the firewall that listens, as the calling user', async () => {
    await listen({ path: socket() });
    expect(await ask({})).toBe('firewall');
    expect(requests[0]!.url).toBe('/v1/status');
    expect(requests[0]!.headers).toMatchObject({ 'tunwall-actor': 'alice', host: 'localhost' });
    expect(opened).toEqual([]);
  });

  it('else the directory; and the one that is named, whoever listens', async () => {
    expect(await ask({})).toBe('directory');
    // A firewall that was killed leaves its socket.
    await listen({ path: socket() });
    servers[0]!.close();
    await writeFile(socket(), '').catch(() => undefined);
    expect(await ask({})).toBe('directory');
    await rm(socket(), { force: true });
    await listen({ path: socket() });
    expect(await ask({ config: directory })).toBe('directory');
    expect(opened).toEqual(['/etc/tunwall', '/etc/tunwall', directory]);
    expect(await connections().firewall({ config: directory })).toBeUndefined();
  });

  it('the socket or the URL that is named', async () => {
    await listen({ path: join(directory, 'other') });
    expect(await ask({ socket: join(directory, 'other') })).toBe('firewall');
    const port = await listen({ host: '127.0.0.1', port: 0 });
    expect(await ask({ url: `http://127.0.0.1:${port}/behind/` })).toBe('firewall');
    expect(requests[1]!.url).toBe('/behind/v1/status');
    expect(requests[1]!.headers).not.toHaveProperty('tunwall-actor');
    expect(requests[1]!.headers).not.toHaveProperty('authorization');
    expect(opened).toEqual([]);
  });

  it('a URL with the token of a file, else of the environment', async () => {
    const url = `http://127.0.0.1:${await listen({ host: '127.0.0.1', port: 0 })}`;
    const tokenFile = join(directory, 'token');
    await writeFile(tokenFile, 'of-file\n');
    await ask({ url }, { TUNWALL_TOKEN: 'of-environment' });
    await ask({ url, tokenFile }, { TUNWALL_TOKEN: 'of-environment' });
    expect(requests.map(({ headers }) => headers.authorization)).toEqual([
      'Bearer of-environment',
      'Bearer of-file',
    ]);
    expect(warnings).toEqual([]);
    await connections({ TUNWALL_TOKEN: 'x' }).connect({ url: 'http://192.0.2.1:8740' });
    expect(warnings).toEqual(['the token goes to 192.0.2.1:8740 unencrypted: prefer https']);
  });

  it('says what the socket of another user needs', async () => {
    await listen({ path: socket() });
    await chmod(socket(), 0);
    // Root may open everything, so this runs as another user.
    const isRoot = process.getuid?.() === 0;
    if (isRoot) process.seteuid?.(65_534);
    try {
      await expect(ask({})).rejects.toThrow(/sock: permission denied$/);
    } finally {
      if (isRoot) process.seteuid?.(0);
    }
    expect(opened).toEqual([]);
  });

  test.each<[flags: ConnectionFlags, message: RegExp]>([
    [{ config: '/nonexistent' }, /^\/nonexistent does not exist$/],
    [{ config: '/proc/version' }, /^\/proc\/version is no directory$/],
    [{ socket: '/nonexistent/sock' }, /^no firewall listens on \/nonexistent\/sock$/],
    [{ url: 'gateway:8740' }, /is no URL/],
    [{ url: 'ftp://gateway' }, /is no URL/],
    [{ url: 'http://user:secret@gateway' }, /is no URL/],
    [{ tokenFile: '/x' }, /--token-file is for --url/],
    [{ url: 'http://127.0.0.1:1', tokenFile: '/nonexistent' }, /cannot be read: ENOENT/],
    [{ url: 'http://127.0.0.1:1', tokenFile: '/proc/version' }, /has no token in it/],
    [{ url: 'http://127.0.0.1:1' }, /^http:\/\/127\.0\.0\.1:1 does not answer: ECONNREFUSED$/],
  ])('%j is refused', async (flags, message) => {
    await expect(ask(flags)).rejects.toThrow(message);
    await expect(ask(flags)).rejects.toHaveProperty('hint', expect.any(String));
  });
});

describe('answers', () => {
  let client: ApiClient;
  beforeEach(async () => {
    await listen({ path: join(directory, 'sock') });
    client = await connections().connect({});
  });

  it('encodes names and queries, and sends bodies and revisions', async () => {
    await client.change('POST', route`/templates/${'a/../b?'}/rules/${3}`, {
      query: { x: 'a b', y: undefined, z: true },
      body: { a: 1 },
      revision: 'r1',
    });
    const [{ url, headers, method }] = requests as [IncomingMessage];
    expect([method, url]).toEqual(['POST', '/v1/templates/a%2F..%2Fb%3F/rules/3?x=a+b&z=true']);
    expect(headers).toMatchObject({ 'content-type': 'application/json', 'if-match': '"r1"' });
    await client.change('PUT', '/x', { revision: '*' });
    expect(requests[1]!.headers['if-match']).toBe('*');
    expect(requests[1]!.headers['content-type']).toBeUndefined();
  });

  const problem = (kind: string, more: object): void => {
    const body = { type: `urn:tunwall:problem:${kind}`, title: 'A title', status: 400, ...more };
    answer = { status: 400, type: 'application/problem+json', body: JSON.stringify(body) };
  };

  test.each<[string, object, string, string | undefined]>([
    ['not-found', { detail: 'no such' }, 'no such', undefined],
    ['not-found', {}, 'A title', undefined],
    [
      'invalid',
      {
        detail: 'x: y; z',
        errors: [
          { path: 'inbound[2].ports[0]', message: 'y' },
          { path: '', message: 'z' },
        ],
      },
      'a title:\n  inbound[2].ports[0]: y\n  z',
      undefined,
    ],
    [
      'broken',
      { errors: [{ file: 'web.yaml', line: 3, column: 4, path: 'inbound', message: 'm' }] },
      'a title:\n  web.yaml:3:4: inbound: m',
      'see all that is wrong: tunwall check',
    ],
    [
      'exists',
      { detail: 'd', errors: [{ path: 'assignTo[0]', message: 'm' }] },
      'd\n  assignTo[0]: m',
      undefined,
    ],
    [
      'unauthenticated',
      { detail: 'd' },
      'd',
      'give a token: --token-file FILE, or TUNWALL_TOKEN in the environment',
    ],
  ])('%s %j', async (kind, more, message, hint) => {
    problem(kind, more);
    const error = await client.get('/x').catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ApiProblem);
    expect(error).toMatchObject({ kind, message, hint });
  });

  test.each([
    [200, 'text/html', '<html>', /has answered 200 with text\/html/],
    [502, 'text/html', '<html>', /has answered 502 with text\/html/],
    [200, '', '', /with nothing/],
  ])('%i %s is no API of ours', async (status, type, body, message) => {
    answer = { status, type, body };
    await expect(client.get('/x')).rejects.toThrow(message);
    await expect(client.stream('/x', {}, 'text/event-stream')).rejects.toThrow(message);
  });
});

describe('the process', () => {
  test('the caller is the user behind sudo, if the name is valid', () => {
    expect(callerName({ SUDO_USER: 'alice' }, 0)).toBe('alice');
    expect(callerName({ SUDO_USER: 'a\nb' }, 7)).toBe('uid-7');
    expect(callerName({}, 0)).toMatch(/^[\w.@-]+$/);
  });

  test('the first signal interrupts, the second one is as ever', () => {
    const emitter = new PassThrough();
    const signal = interruptedBy(emitter);
    expect(signal.aborted).toBe(false);
    emitter.emit('SIGINT');
    expect(signal.aborted).toBe(true);
    expect([emitter.listenerCount('SIGINT'), emitter.listenerCount('SIGTERM')]).toEqual([0, 0]);
  });

  test('standard output is a file that is open', async () => {
    const stdout = new PassThrough();
    expect(await openToWrite('-', stdout)).toBe(stdout);
  });

  test('passwords are lines of standard input, one for each question', async () => {
    const stdin = new PassThrough();
    const read = createReadSecret(stdin, new PassThrough());
    stdin.end('one\ntwo\n');
    expect([await read('?', 'known'), await read('?', 'new')]).toEqual(['one', 'two']);
    await expect(read('?', 'new')).rejects.toThrow('no password was given');
  });

  test('on a terminal they are not shown, and a new one is asked for twice', async () => {
    const stdin: PassThrough & SecretInput = Object.assign(new PassThrough(), {
      isTTY: true,
      setRawMode: () => stdin,
    });
    const stderr = new PassThrough({ encoding: 'utf8' });
    const read = createReadSecret(stdin, stderr);
    let shown = '';
    // Whoever types waits for the question.
    const answers = ['secret', 'one', 'two'];
    stderr.on('data', (text: string) => {
      shown += text;
      if (text.endsWith(': ')) stdin.write(`${answers.shift()!}\r`);
    });
    expect(await read('password', 'known')).toBe('secret');
    await expect(read('new', 'new')).rejects.toThrow('the two passwords differ');
    expect(shown).toBe('password: \nnew: \nagain: \n');
  });
});

describe('without an option', () => {
  const socket = (): string => join(directory, 'sock');

  it('the environment says whom to ask', async () => {
    const port = await listen({ host: '127.0.0.1', port: 0 });
    const other = join(directory, 'other.sock');
    await listen({ path: other });
    expect(await ask({}, { TUNWALL_URL: `http://127.0.0.1:${port}` })).toBe('firewall');
    expect(await ask({}, { TUNWALL_SOCKET: other })).toBe('firewall');
    expect(await ask({}, { TUNWALL_CONFIG: directory })).toBe('directory');
    expect(opened).toEqual([directory]);
    // What is typed counts more.
    expect(await ask({ config: directory }, { TUNWALL_SOCKET: other })).toBe('directory');
    await expect(ask({ socket: `${other}x` }, { TUNWALL_SOCKET: other })).rejects.toThrow(
      /no firewall listens/,
    );
    await expect(ask({}, { TUNWALL_SOCKET: other, TUNWALL_URL: 'http://x' })).rejects.toThrow(
      'TUNWALL_SOCKET and TUNWALL_URL are both set',
    );
  });

  it('a firewall of this network namespace comes before the usual socket', async () => {
    await listen({ path: socket() });
    await listen({ path: join(directory, '77-fw0.sock') });
    const warn = (message: string): void => void warnings.push(message);
    expect(await ownSocket(socket(), warn, '77')).toBe(join(directory, '77-fw0.sock'));
    expect(await ownSocket(socket(), warn, '78')).toBe(socket());
    expect(warnings).toEqual([]);
  });

  it('says when the usual socket is of another namespace, and when there are several', async () => {
    await listen({ path: socket() });
    await link(socket(), join(directory, '77-fw0.sock'));
    const warn = (message: string): void => void warnings.push(message);
    expect(await ownSocket(socket(), warn, '78')).toBe(socket());
    expect(warnings).toEqual([
      'no firewall runs in this network namespace; asking that of another one, on fw0',
    ]);
    await listen({ path: join(directory, '77-fw1.sock') });
    await expect(ownSocket(socket(), warn, '77')).rejects.toThrow(
      /several firewalls run in this network namespace: 77-fw[01]\.sock, 77-fw[01]\.sock/,
    );
  });
});
