/** The control socket: its permissions, what a killed firewall leaves behind, and what is not ours. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { stat, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Api } from '../../../../src/control/api/api.ts';
import {
  listenOnOwnSocket,
  listenOnSocket,
} from '../../../../src/control/service/control-socket.ts';
import { networkNamespace, socketNameOf } from '../../../../src/system/network-namespace.ts';
import { ApiLab } from '../../../support/api.ts';

let lab: ApiLab;
let path: string;
const opened: Api[] = [];
beforeEach(async () => {
  lab = await ApiLab.create();
  path = join(lab.directory.path, 'control.sock');
});
afterEach(async () => {
  for (const api of opened.splice(0)) await api.close();
  await lab.close();
});

async function listen(at = path): Promise<void> {
  const api = await lab.build('socket');
  opened.push(api);
  await listenOnSocket(api, at);
}

async function statusOver(socketPath: string): Promise<number | undefined> {
  const sent = request({ socketPath, path: '/v1/session' }).end();
  const [answer] = (await once(sent, 'response')) as [IncomingMessage];
  answer.resume();
  return answer.statusCode;
}

it('is for its owner and group, whatever the umask, and goes with the server', async () => {
  const before = process.umask(0);
  try {
    await listen();
    expect(process.umask(0)).toBe(0);
  } finally {
    process.umask(before);
  }
  expect((await stat(path)).mode & 0o777).toBe(0o660);
  expect(await statusOver(path)).toBe(200);
  await opened.pop()!.close();
  await expect(stat(path)).rejects.toThrow('ENOENT');
});

it('takes the place of one whose firewall was killed', async () => {
  const script = 'require("net").createServer().listen(process.argv[1], () => console.log("up"))';
  const child = spawn(process.execPath, ['-e', script, path]);
  await once(child.stdout, 'data');
  child.kill('SIGKILL');
  await once(child, 'exit');
  expect((await stat(path)).isSocket()).toBe(true);
  await listen();
  expect(await statusOver(path)).toBe(200);
});

it('leaves that of another firewall, and what is no socket, as they are', async () => {
  await listen();
  await expect(listen()).rejects.toThrow('another firewall that is running');
  expect(await statusOver(path)).toBe(200);
  const file = join(lab.directory.path, 'file');
  await writeFile(file, 'mine');
  await expect(listen(file)).rejects.toThrow('no socket');
  expect(await lab.directory.text('file')).toBe('mine');
  await expect(listen(join(lab.directory.path, 'no/where'))).rejects.toThrow(
    'its directory does not exist',
  );
});

it('has a second name, of its namespace and device; a second firewall has only that', async () => {
  const own = async (device: string): Promise<{ path: string; remove: () => Promise<void> }> => {
    const api = await lab.build('socket');
    opened.push(api);
    return listenOnOwnSocket(api, path, device);
  };
  const named = (device: string): string =>
    join(lab.directory.path, socketNameOf(networkNamespace()!, device));
  const first = await own('fw0');
  expect(first.path).toBe(path);
  expect((await stat(named('fw0'))).ino).toBe((await stat(path)).ino);
  expect(await statusOver(named('fw0'))).toBe(200);
  const second = await own('fw1');
  expect(second.path).toBe(named('fw1'));
  expect(await statusOver(second.path)).toBe(200);
  await first.remove();
  await expect(stat(named('fw0'))).rejects.toThrow('ENOENT');
  // Two on one device cannot be told apart.
  await expect(own('fw1')).rejects.toThrow('is the socket of another firewall');
});
