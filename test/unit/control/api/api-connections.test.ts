/** Connections over which nothing right comes: requests that never end, that are gone, and that say two things at once. */
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ConnectionCounts, connectionLimits } from '../../../../src/control/api/connections.ts';
import { buildApi } from '../../../../src/control/api/server.ts';
import type { Api } from '../../../../src/control/api/api.ts';
import { parseDescriptorLimit } from '../../../../src/system/descriptors.ts';
import { ApiLab, tokenOf } from '../../../support/api.ts';
import { connected, exchange, portOf } from '../../../support/raw-http.ts';

let lab: ApiLab;
let counts: ConnectionCounts;
const apis: Api[] = [];
beforeEach(async () => {
  lab = await ApiLab.create();
  counts = new ConnectionCounts();
});
afterEach(async () => {
  for (const api of apis.splice(0)) await api.close();
  await lab.close();
});

async function build(options: Partial<Parameters<typeof buildApi>[1]> = {}): Promise<Api> {
  const context = { ...lab.context, connectionCounts: counts };
  const api = await buildApi(context, { listener: 'tcp', panelDirectory: '/nowhere', ...options });
  apis.push(api);
  return api;
}

describe('a request', () => {
  it('that never ends is ended, wherever it stopped', async () => {
    const quick = { requestTimeoutMs: 200, lookPeriodMs: 50 };
    const port = await portOf(await build({ connections: quick }));
    const head = ['POST /v1/session HTTP/1.1', 'Host: localhost', 'Content-Type: application/json'];
    for (const begun of [
      '',
      'GET /v1/sta',
      `${head.join('\r\n')}\r\n`,
      `${head.join('\r\n')}\r\nContent-Length: 100\r\n\r\n`,
      `${head.join('\r\n')}\r\nContent-Length: 100\r\n\r\n{"name":`,
      `${head.join('\r\n')}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"nam`,
    ]) {
      const socket = await connected(port);
      socket.on('error', () => undefined).resume();
      socket.write(begun);
      await once(socket, 'close');
    }
  });

  it('has half a minute, and connections are well below the descriptors', () => {
    for (const descriptors of [256, 1024, 4096, 1 << 20, Infinity]) {
      const tcp = connectionLimits('tcp', descriptors);
      const socket = connectionLimits('socket', descriptors);
      expect(tcp).toMatchObject({ requestTimeoutMs: 30_000 });
      expect(tcp.maxConnections).toBeGreaterThanOrEqual(64);
      expect(socket.maxConnections).toBeGreaterThanOrEqual(16);
      // Room for the event streams and captures of an address.
      if (descriptors >= 1024) expect(tcp.maxPerAddress).toBeGreaterThan(64 + 16);
      expect(tcp.maxConnections + socket.maxConnections).toBeLessThanOrEqual(descriptors / 3);
    }
    const most = connectionLimits('tcp', 1 << 20);
    expect([most.maxConnections, most.maxPerAddress]).toEqual([1024, 256]);
    const limits =
      'Limit  Soft Limit  Hard Limit  Units\nMax open files            512   4096   files\n';
    expect(parseDescriptorLimit(limits)).toBe(512);
    expect(parseDescriptorLimit(limits.replace('512 ', 'unlimited '))).toBe(Infinity);
    expect(parseDescriptorLimit('')).toBe(1024);
  });

  it('too many at once are closed and counted, and the control socket answers all the same', async () => {
    const api = await build({ connections: { maxConnections: 5 } });
    const control = await build({ listener: 'socket' });
    const path = `${lab.directory.path}/control.sock`;
    await control.listen({ path });
    const port = await portOf(api);
    const sockets = await Promise.all(Array.from({ length: 20 }, () => connected(port)));
    for (const socket of sockets) socket.on('error', () => undefined).resume();
    await vi.waitUntil(() => counts.refused === 15);
    expect(sockets.filter(({ closed }) => !closed).length).toBeGreaterThanOrEqual(5);
    const answer = await control.inject({ url: '/v1/status', headers: { host: 'localhost' } });
    expect(answer.statusCode).toBe(200);
    for (const socket of sockets) socket.destroy();
    await vi.waitUntil(async () => {
      const lines = ['GET /healthz HTTP/1.1', 'Host: localhost', 'Connection: close'];
      return (await exchange(port, lines)).startsWith('HTTP/1.1 200');
    });
  });

  it('has a share of its address only: others are served all the same', async () => {
    const port = await portOf(await build({ connections: { maxPerAddress: 3 } }));
    const open = async (count: number): Promise<Socket[]> => {
      const sockets = await Promise.all(Array.from({ length: count }, () => connected(port)));
      for (const socket of sockets) socket.on('error', () => undefined).resume();
      return sockets;
    };
    const get = ['GET /healthz HTTP/1.1', 'Host: localhost', 'Connection: close'];
    const sockets = await open(10);
    await vi.waitUntil(() => counts.refused === 7);
    const other = await exchange(port, get, '127.0.0.2');
    expect(other).toMatch(/^HTTP\/1\.1 200 /);
    expect(counts.refused).toBe(7);
    // What was closed is free again.
    for (const socket of sockets) socket.destroy();
    await vi.waitUntil(async () => (await exchange(port, get)).startsWith('HTTP/1.1 200'));
  });

  it('whose connection was reset is counted, and leaves no line in the log', async () => {
    const port = await portOf(await build());
    for (let times = 0; times < 20; times++) {
      const socket = await connected(port);
      socket.on('error', () => undefined);
      const request = 'GET /v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n';
      socket.write(request.repeat(20), () => socket.resetAndDestroy());
    }
    await vi.waitUntil(() => counts.aborted >= 20, { timeout: 10_000 });
    expect(lab.warnings).toEqual([]);
  });

  it('with two names, or a target that is no path, is refused', async () => {
    const port = await portOf(await build());
    const rest = [`Authorization: ${tokenOf('owner')}`, 'Connection: close'];
    const refused: string[][] = [
      ['GET /v1/status HTTP/1.1', 'Host: localhost', 'Host: evil.example'],
      ['GET /v1/status HTTP/1.1', 'Host: localhost', 'hOST: localhost'],
      ['GET http://localhost/v1/status HTTP/1.1', 'Host: localhost'],
      ['GET http://evil.example/v1/status HTTP/1.1', 'Host: localhost'],
      ['GET //evil.example/v1/status HTTP/1.1', 'Host: localhost'],
      ['OPTIONS * HTTP/1.1', 'Host: localhost'],
      ['GET v1/status HTTP/1.1', 'Host: localhost'],
      ['GET /v1/status HTTP/1.1'],
    ];
    for (const lines of refused) {
      const answer = await exchange(port, [...lines, ...rest]);
      expect([lines, answer]).toEqual([lines, expect.stringMatching(/^HTTP\/1\.1 4\d\d /)]);
      expect(answer).not.toContain('configDirectory');
    }
    const right = ['GET /v1/status HTTP/1.1', 'Host: localhost', ...rest];
    expect(await exchange(port, right)).toContain('configDirectory');
  });
});

it('unexpected errors are logged once a minute each, with their count', async () => {
  lab.store.users.list = () => Promise.reject(new Error('nobody thought of this'));
  const get = async (): Promise<void> => {
    const { problem, body } = await lab.send('owner', 'GET /v1/users');
    expect([problem, body.includes('nobody thought')]).toEqual(['failed', false]);
  };
  for (let times = 0; times < 5; times++) await get();
  expect(lab.warnings).toEqual([expect.stringMatching(/nobody thought of this\n +at /)]);
  lab.clock.nowMs += 61_000;
  await get();
  expect(lab.warnings[1]).toMatch(/^a request to the API failed, 5 times: /);
});
