/**
 * Where the API listens: an address, and the control socket.
 *
 * The control socket is a file that only its owner and group can open. Its clients may do everything, so it is never
 * accessible to others, not even while it is made.
 *
 * A firewall that was killed leaves its file behind. It is removed if no process answers on it; otherwise it belongs to
 * another firewall, and stays.
 */
import { once } from 'node:events';
import { link, lstat, stat, unlink } from 'node:fs/promises';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { networkNamespace, socketNameOf } from '../../system/network-namespace.ts';
import type { Listen } from '../../policy/types.ts';
import { reasonOf } from '../../text/system-errors.ts';
import type { Api } from '../api/api.ts';

const mode = 0o660;

/** @throws Error in words */
export async function listenOnSocket(api: Api, path: string): Promise<void> {
  // libuv calls a directory that is missing "permission denied".
  const directory = await stat(dirname(path)).catch(() => undefined);
  if (directory === undefined) throw new Error(`${path}: its directory does not exist`);
  await removeStale(path);
  const before = process.umask(0o777 & ~mode);
  try {
    await api.listen({ path });
  } catch (error) {
    throw new Error(`${path}: ${reasonOf(error)}`, { cause: error });
  } finally {
    process.umask(before);
  }
}

/** Another firewall has the socket. */
export class SocketTakenError extends Error {
  override name = 'SocketTakenError';
}

/**
 * The socket of a firewall that may not be the only one of the machine: beside the usual name it has one of its network namespace
 * and device, by which the command line finds it; where another firewall has the usual name, that one only.
 *
 * @returns the path that it has, and what takes its second name away
 * @throws Error in words
 */
export async function listenOnOwnSocket(
  api: Api,
  usual: string,
  device: string,
): Promise<{ readonly path: string; readonly remove: () => Promise<void> }> {
  const namespace = networkNamespace();
  if (namespace === undefined) {
    await listenOnSocket(api, usual);
    return { path: usual, remove: () => Promise.resolve() };
  }
  const own = join(dirname(usual), socketNameOf(namespace, device));
  try {
    await listenOnSocket(api, usual);
  } catch (error) {
    if (!(error instanceof SocketTakenError)) throw error;
    await listenOnSocket(api, own);
    return { path: own, remove: () => Promise.resolve() };
  }
  try {
    await removeStale(own);
    // Another name of the same socket: nobody answers by it, either, when this process is gone.
    await link(usual, own);
  } catch {
    // Not every file system has second names. Then this firewall is found by its usual one only.
    return { path: usual, remove: () => Promise.resolve() };
  }
  return { path: usual, remove: () => unlink(own).catch(() => undefined) };
}

/** @throws Error in words */
export async function listenOnTcp(api: Api, { host, port }: Listen): Promise<void> {
  try {
    await api.listen({ host, port });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const hint =
      code === 'EADDRINUSE' ? 'is another tunwall running?' : 'change it in gateway.yaml';
    throw new Error(`cannot listen on ${host}:${port} (${code ?? String(error)}): ${hint}`, {
      cause: error,
    });
  }
}

async function removeStale(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined) return;
  if (!found.isSocket()) throw new Error(`${path} is there already, and no socket`);
  const socket = connect(path);
  try {
    await once(socket, 'connect');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ECONNREFUSED') await unlink(path);
    else if (code !== 'ENOENT') throw new Error(`${path}: ${reasonOf(error)}`, { cause: error });
    return;
  } finally {
    socket.destroy();
  }
  throw new SocketTakenError(`${path} is the socket of another firewall that is running`);
}
