/** Labs without root: as nobody, `tunwall demo` and `tunwall lab exec`. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { childrenOf, nobodyCommand, obstacle } from '../support/firewall.ts';

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function tunwall(...args: string[]): { child: ChildProcess; ended: Promise<Ended> } {
  return started(nobodyCommand([process.execPath, '/mnt/tunwall/dist/main.js', ...args]));
}

function started(command: readonly string[]): { child: ChildProcess; ended: Promise<Ended> } {
  const child = spawn('unshare', ['--mount', ...command], {
    cwd: '/',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (data: Buffer) => (stdout += data.toString()));
  child.stderr.on('data', (data: Buffer) => (stderr += data.toString()));
  const ended = once(child, 'close').then(([code]) => ({
    code: code as number | null,
    stdout,
    stderr,
  }));
  return { child, ended };
}

/** A process and all that it has started, by their ids outside. */
function familyOf(pid: number): number[] {
  return [pid, ...childrenOf(pid).flatMap(familyOf)];
}

/** A process that runs; one that has ended and waits for its parent counts as gone. */
function isAlive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) [ZX]/s.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return false;
  }
}

describe.skipIf(obstacle !== undefined)('without root', () => {
  it('the demonstration runs, and leaves nothing behind', async () => {
    const { code, stdout, stderr } = await tunwall('demo', '--once', '--json').ended;
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const { ok, tries } = JSON.parse(stdout) as { ok: boolean; tries: object[] };
    expect({ ok, tries: tries.length }).toEqual({ ok: true, tries: 18 });
  });

  it('a command is root in namespaces of its own, and its exit code is that of all', async () => {
    const script = 'id -u; cat /proc/self/uid_map; ls /run /run/netns; exit 7';
    const { code, stdout, stderr } = await tunwall('lab', 'exec', '--', 'sh', '-c', script).ended;
    const lines = stdout.split('\n').map((line) => line.trim().replaceAll(/\s+/g, ' '));
    expect({ code, stderr }).toEqual({ code: 7, stderr: '' });
    expect(lines).toEqual(['0', '0 65534 1', '/run:', 'netns', '', '/run/netns:', '']);
  });

  it('the remedy is named where the device may not be opened', async () => {
    const node = [process.execPath, '/mnt/tunwall/dist/main.js'];
    const { code, stderr } = await started(
      nobodyCommand([...node, 'lab', 'exec', '--', 'true'], '0600'),
    ).ended;
    expect(stderr).toContain('/dev/net/tun cannot be opened');
    expect(stderr).toContain('sudo chmod 666 /dev/net/tun');
    expect(code).toBe(1);
  });

  it.each(['SIGTERM', 'SIGKILL'] as const)(
    '%s ends all in it, also what has made itself independent',
    async (signal) => {
      const script = 'setsid sleep 3600 & setsid setsid sleep 3600 & echo ready; wait';
      const { child, ended } = tunwall('lab', 'exec', '--', 'sh', '-c', script);
      await once(child.stdout!, 'data');
      let family: number[] = [];
      // unshare, sleep, sleep, the shells and the program itself.
      while (family.length < 6) {
        await sleep(50);
        family = familyOf(child.pid!);
      }
      child.kill(signal);
      expect((await ended).code).toBe(signal === 'SIGKILL' ? null : 143);
      while (family.some(isAlive)) await sleep(50);
    },
  );
});
