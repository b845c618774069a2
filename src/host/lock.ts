/**
 * One gateway command at a time in a network namespace.
 *
 * The lock is a file that names its holder by pid and start time (a pid alone may belong to another process by now). It
 * appears complete, through link(2), so a reader never sees half of it. A lock whose holder is gone is taken over.
 */
import { linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { GatewayError } from './error.ts';

/**
 * Runs `work` while holding the lock file `path`.
 *
 * @throws GatewayError when another command holds it.
 */
export async function withLock<T>(path: string, work: () => Promise<T>): Promise<T> {
  take(path);
  try {
    return await work();
  } finally {
    rmSync(path, { force: true });
  }
}

function take(path: string): void {
  const own = `${path}.${process.pid}`;
  rmSync(own, { force: true });
  writeFileSync(own, `${process.pid} ${startTime(process.pid) ?? ''}`, { flag: 'wx', mode: 0o644 });
  try {
    for (let attempt = 0; ; attempt++) {
      try {
        linkSync(own, path);
        return;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || attempt > 0) throw error;
      }
      const holder = livingHolder(path);
      if (holder !== undefined) {
        throw new GatewayError(
          `another 'tunwall gateway' command (pid ${holder}) is at work in this network namespace`,
          'wait until it has finished',
        );
      }
      rmSync(path, { force: true });
    }
  } finally {
    rmSync(own, { force: true });
  }
}

function livingHolder(path: string): number | undefined {
  try {
    const [pid = '', started = ''] = readFileSync(path, 'latin1').split(' ');
    return startTime(Number(pid)) === started ? Number(pid) : undefined;
  } catch {
    return undefined;
  }
}

/** Field 22 of /proc/PID/stat, counted behind the command name, which may hold blanks. */
function startTime(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}
