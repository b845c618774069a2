/** What `gateway up`, which loads the kernel's program of the fast path, and the firewall, which fills its maps, agree on. */
import { loadAddon } from './addon.ts';
import { networkNamespace } from './network-namespace.ts';

/** `auto`: where nothing of others is bypassed by it. `force`: also there. */
export const fastPathModes = ['off', 'auto', 'force'] as const;
export type FastPathMode = (typeof fastPathModes)[number];

export const defaultFastPath: FastPathMode = 'off';

/** Where `gateway up` keeps what it must remember. */
export const gatewayStateDirectory = '/run/tunwall';

/** Names of what is pinned. The number changes with the layout of the maps (carried-flows.ts, native/bpf/carry.bpf.c). */
export const pinned = {
  program: 'carry-2',
  flows: 'carried-1',
  control: 'control-1',
  /** Root's alone: the firewall's user does not decide what may be bypassed. */
  approved: 'approved-1',
} as const;

/**
 * Processes with the host's mounts: the first one, and, as some hosts let nobody look at that, the kernel's threads. A shell of `ip
 * netns exec` has mounts of its own, which end with it.
 */
export const hostProcesses = ['1', '2'] as const;

/** Where the file system of pins is, below the state directory. Only root may look at what others have mounted. */
export function pinRoots(stateDirectory: string): string[] {
  const roots = ['', ...hostProcesses.map((pid) => `/proc/${pid}/root`)];
  return roots.map((root) => `${root}${stateDirectory}/bpf`);
}

/** The folder of this network namespace in there: its inode, and what is not given twice. Undefined before Linux 5.14. */
export function pinFolder(): string | undefined {
  const cookie = loadAddon().networkNamespace();
  return cookie === '' ? undefined : `${networkNamespace() ?? 'net'}-${cookie.replace(/\W/g, '_')}`;
}
