/**
 * A machine of its own: systemd as its first process, in the network of a lab's host, on a copy of this machine's root. What is
 * written there lies in memory, apart from what was there before; so what an installation leaves behind can be counted.
 *
 * Life: it boots in `start`, and ends with the lab. There is no udev, so nobody but `start` sets the mode of /dev/net/tun.
 */
import { existsSync, readFileSync } from 'node:fs';
import { copyFile, mkdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from '../../../src/lab/network.ts';
import type { Network } from '../../../src/lab/network.ts';
import type { Finished } from '../../../src/lab/types.ts';
import { childrenOf } from './firewall.ts';

const systemd = '/usr/lib/systemd/systemd';

/** $1: an empty directory; $2: a name for its control group. Ends in systemd. */
const boot = `
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$1"
cd "$1"
mkdir groups
mount -t cgroup2 cgroup2 groups
mkdir "groups/$2"
echo $$ > "groups/$2/cgroup.procs"
umount groups
exec unshare --cgroup --uts --ipc --pid --fork --kill-child sh -ec '
  mkdir upper work root
  mount -t overlay -o lowerdir=/,upperdir=upper,workdir=work overlay root
  cd root
  rm -rf etc/systemd/system/*.wants var/lib/man-db/auto-update usr/sbin/policy-rc.d
  echo "APT::Install-Recommends false;" >etc/apt/apt.conf.d/99-nothing-from-the-network
  mount -t proc proc proc
  # What sysctl.d sets outside of the network is the whole machine'"'"'s.
  mount --bind proc/sys proc/sys
  mount --bind proc/sys/net proc/sys/net
  mount -o remount,ro,bind proc/sys
  mount -t sysfs -o ro sysfs sys
  mount -t cgroup2 cgroup2 sys/fs/cgroup
  mount -t tmpfs -o mode=755 tmpfs dev
  mkdir dev/net dev/shm dev/pts
  for node in "null 1 3" "zero 1 5" "full 1 7" "random 1 8" "urandom 1 9" "tty 5 0" "net/tun 10 200"; do
    set -- $node
    mknod -m 666 dev/$1 c $2 $3
  done
  mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
  ln -s pts/ptmx dev/ptmx
  mount -t tmpfs -o mode=755 tmpfs run
  mount -t tmpfs -o mode=1777 tmpfs tmp
  mkdir -p run/systemd/system
  for unit in systemd-udevd systemd-udev-trigger systemd-sysctl systemd-networkd systemd-timesyncd systemd-resolved; do
    ln -s /dev/null run/systemd/system/$unit.service
  done
  ln -s /dev/null run/systemd/system/systemd-udevd-kernel.socket
  ln -s /dev/null run/systemd/system/systemd-udevd-control.socket
  mkdir run/outside
  mount --bind .. run/outside
  pivot_root . mnt
  umount -l /mnt
  exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin ${systemd} --unit=basic.target
'
`;

/** Why our package cannot be installed in it; undefined where it can. */
export async function whyNoPackagedNode(): Promise<string | undefined> {
  const { code, stdout } = await run('dpkg-query', ['-W', '-f', '${Version}', 'nodejs']);
  if (code !== 0) return 'Node.js was not installed as a package of Debian';
  const { code: enough } = await run('dpkg', ['--compare-versions', stdout, 'ge', '20.19']);
  if (enough !== 0) return `the package nodejs is ${stdout}, and the test needs 20.19`;
  return undefined;
}

/** Why there can be none here; undefined where there can. */
export async function whyNoMachine(): Promise<string | undefined> {
  if (!existsSync(systemd)) return `${systemd} is missing (Debian: systemd)`;
  const overlay =
    'mount -t tmpfs tmpfs /mnt && cd /mnt && mkdir u w && mount -t overlay -o lowerdir=/,upperdir=u,workdir=w overlay /mnt';
  const groups = 'mount -t cgroup2 cgroup2 /mnt && mkdir /mnt/$$ && rmdir /mnt/$$';
  for (const [what, probe] of [
    ['an overlay of /', overlay],
    ['control groups (version 2)', groups],
  ] as const) {
    const tried = await run('unshare', ['--mount', 'sh', '-ec', probe]);
    if (tried.code !== 0) return `${what} cannot be made: ${tried.stderr.trim()}`;
  }
  return undefined;
}

/** The shells before it have other children, for a moment. */
function isSystemd(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8') === 'systemd\n';
  } catch {
    return false;
  }
}

export class DebianMachine {
  readonly #pid: number;

  static async start(lab: Network, host: string): Promise<DebianMachine> {
    const base = join(lab.directory, `machine-${host}`);
    await mkdir(base);
    const child = lab.spawn(host, ['unshare', '--mount', 'sh', '-ec', boot, 'sh', base, lab.tag]);
    let pid: number | undefined;
    while ((pid = childrenOf(child.pid!).find(isSystemd)) === undefined) {
      if (child.exitCode !== null) throw new Error('the machine did not boot');
      await sleep(50);
    }
    const machine = new DebianMachine(pid);
    const booted = /^(running|degraded)\n/;
    while (!booted.test((await machine.exec('systemctl', 'is-system-running')).stdout)) {
      if (child.exitCode !== null) throw new Error('the machine has ended');
      await sleep(50);
    }
    return machine;
  }

  private constructor(pid: number) {
    this.#pid = pid;
  }

  /** Runs a program in it, to its end. */
  async exec(...command: readonly string[]): Promise<Finished> {
    const environment = [
      'env',
      '-i',
      '-C',
      '/',
      'PATH=/usr/sbin:/usr/bin:/sbin:/bin',
      'HOME=/root',
    ];
    const into = ['-t', String(this.#pid), '--all'];
    return await run('nsenter', [...into, ...environment, ...command], { timeoutMs: 120_000 });
  }

  /** The same; throws when it fails. */
  async must(...command: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.exec(...command);
    if (code === 0) return stdout;
    const journal = await this.exec('journalctl', '--no-pager', '-n', '15', '-o', 'cat');
    throw new Error(
      `${command.join(' ')} failed with ${code}: ${stdout}${stderr}${journal.stdout}`,
    );
  }

  /** Lays a file of outside into it; returns its path there, which {@link changed} does not tell. */
  async put(path: string): Promise<string> {
    const inside = `/run/outside/${basename(path)}`;
    await copyFile(path, `/proc/${this.#pid}/root${inside}`);
    return inside;
  }

  /** Every file that differs from this machine's own root, or lies in /run. */
  async changed(): Promise<string[]> {
    const list =
      'cd /run/outside/upper && find . ! -type d -printf "/%P\\n"; find /run -path /run/outside -prune -o ! -type d -print';
    return (await this.must('sh', '-c', list)).trim().split('\n').sort();
  }

  /** After the lab was closed: removes its control groups. */
  static async removeGroups(tag: string): Promise<void> {
    const script =
      'mount -t cgroup2 cgroup2 /mnt && find "/mnt/$1" -depth -type d -exec rmdir {} +';
    for (let tries = 0; tries < 600; tries++) {
      if ((await run('unshare', ['--mount', 'sh', '-ec', script, 'sh', tag])).code === 0) return;
      await sleep(100);
    }
    throw new Error(`the control groups of ${tag} are in use`);
  }
}
