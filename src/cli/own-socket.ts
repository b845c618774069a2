/**
 * The control socket of the firewall in this network namespace: several firewalls of one machine share the directory of the
 * sockets.
 */
import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { networkNamespace, parseSocketName } from '../system/network-namespace.ts';
import { UserError } from './errors.ts';
import { isListening } from './transport.ts';

/**
 * @param usual the socket of a machine with one firewall; the others lie beside it
 * @param warn called if the firewall that is found is of another namespace
 * @throws UserError if it is not clear which one is meant
 */
export async function ownSocket(
  usual: string,
  warn: (message: string) => void,
  namespace: string | undefined = networkNamespace(),
): Promise<string> {
  const directory = dirname(usual);
  const names = await readdir(directory).catch(() => []);
  const own: string[] = [];
  const foreign: { path: string; device: string }[] = [];
  for (const name of names) {
    const parsed = parseSocketName(name);
    const path = join(directory, name);
    if (parsed === undefined || (await isListening(path)) !== 'yes') continue;
    if (parsed.namespace === namespace) own.push(path);
    else foreign.push({ path, device: parsed.device });
  }
  if (own.length > 1) {
    throw new UserError(
      `several firewalls run in this network namespace: ${own.map((path) => basename(path)).join(', ')}`,
      `say which one: --socket ${own[0]!}`,
    );
  }
  if (own.length === 1) return own[0]!;
  const inode = await inodeOf(usual);
  for (const { path, device } of foreign) {
    if (inode === undefined || (await inodeOf(path)) !== inode) continue;
    warn(`no firewall runs in this network namespace; asking that of another one, on ${device}`);
  }
  return usual;
}

function inodeOf(path: string): Promise<number | undefined> {
  return stat(path).then(
    ({ ino }) => ino,
    () => undefined,
  );
}
