/**
 * Checks before `gateway up` changes anything: the privilege, the device node, the user. Nothing here changes anything.
 */
import { statSync } from 'node:fs';
import { execFile } from 'node:child_process';
import { GatewayError } from './error.ts';
import type { NftState } from './nft.ts';
import { isDeviceName } from './record.ts';
import { hasNetAdmin, runProgram, uidOf } from './system.ts';

const tunNode = '/dev/net/tun';

/** @throws GatewayError unless this process may change the network namespace. */
export function requireNetAdmin(verb: string): void {
  if (hasNetAdmin()) return;
  throw new GatewayError(
    `'tunwall gateway ${verb}' needs root: it changes routes, rules, sysctls and nftables (CAP_NET_ADMIN)`,
    `run it as root: sudo tunwall gateway ${verb}`,
  );
}

/** @throws GatewayError when the name cannot be an interface's. */
export function requireDeviceName(device: string): void {
  if (isDeviceName(device)) return;
  throw new GatewayError(
    `'${device}' is not a usable device name`,
    'use 1 to 15 of the characters a-z A-Z 0-9 _ . - (not all, default or lo), for example fw0',
  );
}

/** @throws GatewayError when the kernel offers no TUN here. */
export function requireTunNode(): void {
  try {
    if (statSync(tunNode).isCharacterDevice()) return;
  } catch {
    // Reported below.
  }
  throw new GatewayError(
    `${tunNode} is missing, so there are no TUN devices here`,
    `load the module (modprobe tun), or in a container pass the device on (--device ${tunNode})`,
  );
}

/**
 * @throws GatewayError when the guard is wanted and nftables are not there.
 */
export function requireNft(nft: NftState, wantsGuard: boolean): void {
  if (!wantsGuard || nft.state !== 'missing') return;
  throw new GatewayError(
    `there is no nftables here, so nothing guards the gateway while its rules or routes are gone: ${nft.why}`,
    'install nftables (apt-get install nftables), or do without the guard: tunwall gateway up --no-guard',
  );
}

/**
 * The uid of `--user`; without it that of the user behind sudo, else our own.
 *
 * @throws GatewayError when there is no such user.
 */
export async function resolveOwner(user: string | undefined): Promise<number> {
  const name = user ?? process.env['SUDO_UID'] ?? String(process.geteuid?.() ?? 0);
  try {
    return await uidOf(name);
  } catch (error) {
    throw new GatewayError(
      `there is no user '${name}'`,
      `make it (useradd --system ${name}), or name another with --user`,
      { cause: error },
    );
  }
}

/**
 * A warning when that user cannot open /dev/net/tun for reading and writing: `tunwall run` as that
 * user would fail. A child process that runs as that user asks the kernel (file modes, ACLs and mount options all
 * count), so it only works for root; undefined otherwise.
 */
export async function tunNodeWarning(uid: number): Promise<string | undefined> {
  if (uid === 0 || process.geteuid?.() !== 0) return undefined;
  const { gid, mode } = statSync(tunNode);
  const groups = await groupsOf(uid);
  // A child that Node starts has no supplementary groups: give it the one that may matter.
  const childGid = groups.includes(gid) ? gid : (groups[0] ?? 65_534);
  const allowed = await new Promise<boolean>((resolve) => {
    const args = ['-r', tunNode, '-a', '-w', tunNode];
    execFile('/usr/bin/test', args, { uid, gid: childGid }, (error) => resolve(error === null));
  });
  if (allowed) return undefined;
  const octal = (mode & 0o777).toString(8).padStart(4, '0');
  return (
    `user ${uid} cannot open ${tunNode} (mode ${octal}), so \`tunwall run\` will not start as that user: ` +
    `chmod 0666 ${tunNode}, install scripts/systemd/60-tunwall.rules for udev, or with systemd ` +
    `DeviceAllow=${tunNode} rw in addition`
  );
}

/** Groups of a user, the primary one first; none for a bare number without account. */
async function groupsOf(uid: number): Promise<number[]> {
  try {
    return (await runProgram('id', ['-G', '--', String(uid)])).trim().split(/\s+/).map(Number);
  } catch {
    return [];
  }
}
