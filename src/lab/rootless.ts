/**
 * A place for labs: namespaces of users, mounts and processes in which a command is root, and sees what is outside all the same.
 *
 * Nothing is left behind: names of network namespaces and state files lie on a file system of this place alone, and all processes
 * in it end with the first one, which ends with this process, however it ends. The kernel does that. There is no other clean-up.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { LabError } from './lab-error.ts';
import { placeVariable, run } from './network.ts';

/**
 * The first process. Its number outside is what the outer /proc calls it. It stays and waits, because the kernel keeps signals from
 * a first process that does not ask for them.
 */
const firstProcess = `
set -e
read -r ${placeVariable} rest </proc/self/stat
export ${placeVariable}
mount -t proc proc /proc
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/netns
set +e
"$@"
exit $?
`;

function isRoot(): boolean {
  return process.getuid?.() === 0;
}

/** The order matters: a new user namespace makes the kernel forget with whom a process ends. */
function enter(command: readonly string[]): [string, ...string[]] {
  const user = isRoot() ? [] : ['unshare', '--user', '--map-root-user'];
  const others = ['unshare', '--mount', '--pid', '--fork', '--kill-child'];
  const all = [...user, 'setpriv', '--pdeathsig', 'KILL', ...others];
  return [...all, 'sh', '-c', firstProcess, 'sh', ...command] as [string, ...string[]];
}

/** Opens the device itself first: what `ip` says of one that it may not open does not name it. */
const probe = `
: 3</dev/net/tun
>/run/netns/probe
unshare --net=/run/netns/probe true
ip -n probe tuntap add dev probe mode tun multi_queue vnet_hdr
ip netns exec probe true
`;

/** Settings with which distributions forbid user namespaces, and what allows them. */
const switches = [
  { name: 'kernel.apparmor_restrict_unprivileged_userns', forbids: '1', allows: '0' },
  { name: 'kernel.unprivileged_userns_clone', forbids: '0', allows: '1' },
  { name: 'user.max_user_namespaces', forbids: '0', allows: '10000' },
] as const;

/** Why a command cannot be root in namespaces of its own here, with the remedy; else undefined. */
export async function whyNoPlace(): Promise<LabError | undefined> {
  const [program, ...args] = enter(['sh', '-ec', probe]);
  const { code, stderr } = await run(program, args);
  return code === 0 ? undefined : obstacleOf(stderr, readSetting);
}

/** @param said by the program that has failed */
export function obstacleOf(
  said: string,
  settingOf: (name: string) => string | undefined,
): LabError {
  const off = switches.find(({ name, forbids }) => settingOf(name) === forbids);
  if (off !== undefined && !isRoot()) {
    const setting = `${off.name}=${off.forbids}`;
    const message = `this machine forbids user namespaces to ordinary users (${setting})`;
    return new LabError(message, `sudo sysctl -w ${off.name}=${off.allows}, or run it with sudo`);
  }
  if (said.includes('/dev/net/tun')) {
    return new LabError('/dev/net/tun cannot be opened', 'sudo chmod 666 /dev/net/tun');
  }
  const last = said.trim().split('\n').at(-1) ?? '';
  const message = `namespaces cannot be made here: ${last === '' ? 'no reason given' : last}`;
  return new LabError(message, 'in a container: start it with --privileged; else run it with sudo');
}

function readSetting(name: string): string | undefined {
  try {
    return readFileSync(`/proc/sys/${name.replaceAll('.', '/')}`, 'latin1').trim();
  } catch {
    return undefined;
  }
}

/**
 * Runs a command as root in namespaces of its own, with the terminal of this process. Returns its exit code.
 *
 * @throws LabError where that cannot be
 */
export async function execInPlace(command: readonly string[]): Promise<number> {
  const obstacle = await whyNoPlace();
  if (obstacle !== undefined) throw obstacle;
  const [program, ...args] = enter(command);
  const child = spawn(program, args, { stdio: 'inherit' });
  // Ctrl-C reaches the command itself, which may have something to say.
  process.on('SIGINT', () => undefined);
  let told: NodeJS.Signals | undefined;
  for (const signal of ['SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      told = signal;
      child.kill('SIGKILL');
    });
  }
  const [code, killedBy] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
  return code ?? 128 + constants.signals[told ?? killedBy!];
}
