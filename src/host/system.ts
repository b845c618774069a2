/**
 * The doors to the kernel: programs (`ip`, `nft`: netlink, JSON, never a shell) and /proc/sys.
 *
 * Both act on the network namespace of this process. /proc/sys/net follows the process; /sys does not
 * under `nsenter --net` or a container's mount, so nothing here reads /sys.
 */
import { execFile } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { GatewayError } from './error.ts';

const execFileAsync = promisify(execFile);
const sysctlRoot = '/proc/sys/net/';
const netAdmin = 12n; // CAP_NET_ADMIN, include/uapi/linux/capability.h

/** Whether this process may change the network namespace (and read its nftables). */
export function hasNetAdmin(): boolean {
  const mask = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1];
  return ((BigInt(`0x${mask ?? '0'}`) >> netAdmin) & 1n) === 1n;
}

/** On Debian the PATH of an ordinary user has no sbin directory. */
export function childEnvironment(): NodeJS.ProcessEnv {
  return { ...process.env, LC_ALL: 'C', PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` };
}

/** Whether there is a command of this name. */
export function isInstalled(program: string): boolean {
  const { PATH = '' } = childEnvironment();
  return PATH.split(':').some((folder) => existsSync(join(folder, program)));
}

/** The Debian package of a command that has another name. */
const packages: Readonly<Record<string, string>> = {
  ip: 'iproute2',
  nft: 'nftables',
  tc: 'iproute2',
};

/**
 * Runs a program and gives its standard output.
 *
 * @throws GatewayError when it is missing or fails; the message carries the first line of its stderr.
 */
export async function runProgram(program: string, args: readonly string[]): Promise<string> {
  try {
    const { stdout } = await execFileAsync(program, args, {
      env: childEnvironment(),
      maxBuffer: 64 * 1024 * 1024,
    });
    return stdout;
  } catch (error) {
    const failure = error as NodeJS.ErrnoException & { stderr?: string };
    if (failure.code === 'ENOENT') {
      throw new GatewayError(
        `the command '${program}' is not installed`,
        `install it: apt-get install ${packages[program] ?? program}`,
        { cause: error },
      );
    }
    const said = (failure.stderr ?? '').trim().split('\n')[0] ?? '';
    throw new GatewayError(
      `'${[program, ...args].join(' ').slice(0, 200)}' failed: ${said === '' ? failure.message : said}`,
      'set TUNWALL_DEBUG=1 for the details',
      { cause: error },
    );
  }
}

/** Changes something through `ip`. */
export async function ip(args: readonly string[]): Promise<void> {
  await runProgram('ip', args);
}

/**
 * Asks `ip` for JSON. Numbers instead of names (-N), because /etc/iproute2 may give table 100 and protocol numbers any
 * names; details (-d) for the protocol of rules and the kind of links.
 */
export async function ipJson(args: readonly string[]): Promise<unknown[]> {
  const text = (await runProgram('ip', ['-N', '-j', '-d', ...args])).trim();
  return text === '' ? [] : (JSON.parse(text) as unknown[]);
}

/** `ip` prints the owner's name even under -N; `id` asks every source of users (NSS), not one file. */
export async function uidOf(user: string): Promise<number> {
  if (/^\d+$/.test(user)) return Number(user);
  return Number((await runProgram('id', ['-u', '--', user])).trim());
}

/**
 * Value of a sysctl, named by its path below /proc/sys/net (`ipv4/conf/eth0/rp_filter`), or undefined where the kernel
 * or the interface lacks it.
 */
export function readSysctl(path: string): string | undefined {
  try {
    return readFileSync(sysctlRoot + path, 'latin1').trim();
  } catch {
    return undefined;
  }
}

/**
 * Sets a sysctl. False when it does not exist (any more): interfaces may come and go meanwhile.
 *
 * @throws GatewayError when /proc/sys is read-only or forbidden.
 */
export function writeSysctl(path: string, value: string): boolean {
  try {
    writeFileSync(sysctlRoot + path, value);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return false;
    throw new GatewayError(
      `cannot set ${sysctlName(path)} to ${value}: ${code ?? String(error)}`,
      code === 'EROFS'
        ? '/proc/sys is mounted read-only; a container needs --privileged or a writable /proc/sys/net'
        : 'run this as root',
      { cause: error },
    );
  }
}

/** Names of the entries of a directory below /proc/sys/net; none when it is missing (IPv6 disabled). */
export function listSysctls(path: string): string[] {
  try {
    return readdirSync(sysctlRoot + path);
  } catch {
    return [];
  }
}

/** As sysctl(8) writes it: `/` and `.` change places, so that `eth0.100` reads `eth0/100`. */
export function sysctlName(path: string): string {
  return `net/${path}`.replace(/[./]/g, (separator) => (separator === '/' ? '.' : '/'));
}
