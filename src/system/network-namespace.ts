/** The network namespace of this process, and the names of sockets that tell firewalls of different ones apart. */
import { readlinkSync } from 'node:fs';

/** Its inode; `undefined` where /proc is not there. */
export function networkNamespace(): string | undefined {
  try {
    return /^net:\[(\d+)\]$/.exec(readlinkSync('/proc/self/ns/net'))?.[1];
  } catch {
    return undefined;
  }
}

/** `4026532201-fw0.sock`: of the firewall on that device of that namespace. */
export function socketNameOf(namespace: string, device: string): string {
  return `${namespace}-${device}.sock`;
}

/** What {@link socketNameOf} has put together. */
export function parseSocketName(
  name: string,
): { readonly namespace: string; readonly device: string } | undefined {
  const match = /^(\d+)-(.+)\.sock$/.exec(name);
  return match === null ? undefined : { namespace: match[1]!, device: match[2]! };
}
