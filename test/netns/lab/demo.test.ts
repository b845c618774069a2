/** `tunwall demo` shows what it promises, and leaves nothing behind, however it ends. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { run } from '../../../src/lab/network.ts';
import { obstacle, program } from '../support/firewall.ts';

/** A demonstration that runs. Others may run beside it: its namespaces have its process in their names. */
class Demo {
  readonly child: ChildProcess;
  readonly ended: Promise<[code: number | null]>;
  printed = '';

  constructor(...flags: string[]) {
    this.child = spawn(process.execPath, [program, 'demo', ...flags], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.child.stdout!.on('data', (data: Buffer) => (this.printed += data.toString()));
    // Not `exit`: all of what it printed is wanted.
    this.ended = once(this.child, 'close') as Promise<[number | null]>;
  }

  async namespaces(): Promise<string[]> {
    const { stdout } = await run('ip', ['netns', 'list']);
    const prefix = `twdemo-${this.child.pid!.toString(36)}`;
    return stdout.split('\n').filter((line) => line.startsWith(prefix));
  }

  async untilGone(): Promise<string[]> {
    for (let tries = 0; tries < 100 && (await this.namespaces()).length > 0; tries++) {
      await sleep(100);
    }
    return this.namespaces();
  }

  async until(pattern: RegExp): Promise<RegExpExecArray> {
    for (let tries = 0; tries < 1800 && !pattern.test(this.printed); tries++) await sleep(100);
    return pattern.exec(this.printed)!;
  }
}

describe.skipIf(obstacle !== undefined)('tunwall demo', () => {
  it('everything is as expected, and it ends by itself with --once', async () => {
    const demo = new Demo('--once', '--json');
    const [code] = await demo.ended;
    const report = JSON.parse(demo.printed) as {
      ok: boolean;
      tries: { what: string; happened: string }[];
    };
    expect(report.ok).toBe(true);
    expect(report.tries).toHaveLength(18);
    const pings = report.tries.filter(({ what }) => what === 'ping 10.0.0.2');
    expect(pings.map(({ happened }) => happened)).toEqual(['passes', 'blocked']);
    expect(code).toBe(0);
    expect(await demo.namespaces()).toEqual([]);
  });

  it('shows the panel while it stays up: an address on this machine, user and password', async () => {
    const demo = new Demo();
    try {
      const pattern = /(http:\/\/127\.0\.0\.1:\d+)\/\n {2}user (\S+), password (\S+)\n/;
      const [, url, user, password] = await demo.until(pattern);
      expect(await (await fetch(`${url}/`)).text()).toContain('<html');
      const login = await fetch(`${url}/v1/session`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', origin: url! },
        body: JSON.stringify({ name: user, password }),
      });
      expect(login.status).toBe(200);
      expect(login.headers.get('set-cookie')).toContain('tunwall');
    } finally {
      demo.child.kill('SIGINT');
      await demo.ended;
    }
    expect(await demo.untilGone()).toEqual([]);
  });

  it.each(['SIGINT', 'SIGTERM', 'SIGKILL'] as const)(
    '%s in the middle removes everything',
    async (signal) => {
      const demo = new Demo();
      await demo.until(/inbound:/);
      expect(await demo.namespaces()).toHaveLength(3);
      demo.child.kill(signal);
      // As a shell reports a program that Ctrl-C has ended; SIGKILL leaves no exit code.
      expect((await demo.ended)[0]).toBe(signal === 'SIGKILL' ? null : 130);
      expect(await demo.untilGone()).toEqual([]);
    },
  );
});
