/** `tunwall demo` shows what it promises, and leaves nothing behind, however it ends. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { run } from '../../../src/lab/lab.ts';
import { obstacle, program } from '../support/firewall.ts';

async function demoNamespaces(): Promise<string[]> {
  const { stdout } = await run('ip', ['netns', 'list']);
  return stdout.split('\n').filter((line) => line.startsWith('twdemo-'));
}

async function untilGone(): Promise<string[]> {
  for (let tries = 0; tries < 100 && (await demoNamespaces()).length > 0; tries++) await sleep(100);
  return demoNamespaces();
}

describe.skipIf(obstacle !== undefined)('tunwall demo', () => {
  it('everything is as expected, and it ends by itself with --once', async () => {
    const { code, stdout } = await run(process.execPath, [program, 'demo', '--once', '--json']);
    const report = JSON.parse(stdout) as {
      ok: boolean;
      tries: { what: string; happened: string }[];
    };
    expect(report.ok).toBe(true);
    expect(report.tries).toHaveLength(18);
    const pings = report.tries.filter(({ what }) => what === 'ping 10.0.0.2');
    expect(pings.map(({ happened }) => happened)).toEqual(['passes', 'blocked']);
    expect(code).toBe(0);
    expect(await demoNamespaces()).toEqual([]);
  });

  it('shows the panel while it stays up: an address on this machine, user and password', async () => {
    const child = spawn(process.execPath, [program, 'demo'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let printed = '';
    child.stdout.on('data', (data: Buffer) => (printed += data.toString()));
    const ended = once(child, 'exit');
    try {
      const pattern = /(http:\/\/127\.0\.0\.1:\d+)\/\n {2}user (\S+), password (\S+)\n/;
      for (let tries = 0; tries < 1800 && !pattern.test(printed); tries++) await sleep(100);
      const [, url, user, password] = pattern.exec(printed)!;
      expect(await (await fetch(`${url}/`)).text()).toContain('<html');
      const login = await fetch(`${url}/v1/session`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', origin: url! },
        body: JSON.stringify({ name: user, password }),
      });
      expect(login.status).toBe(200);
      expect(login.headers.get('set-cookie')).toContain('tunwall');
    } finally {
      child.kill('SIGINT');
      await ended;
    }
    expect(await untilGone()).toEqual([]);
  });

  it.each(['SIGINT', 'SIGTERM', 'SIGKILL'] as const)(
    '%s in the middle removes everything',
    async (signal) => {
      const child = spawn(process.execPath, [program, 'demo'], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      let printed = '';
      child.stdout.on('data', (data: Buffer) => (printed += data.toString()));
      for (let tries = 0; tries < 200 && !printed.includes('inbound:'); tries++) await sleep(100);
      expect(await demoNamespaces()).toHaveLength(3);
      const ended = once(child, 'exit');
      child.kill(signal);
      // As a shell reports a program that Ctrl-C has ended; SIGKILL leaves no exit code.
      expect((await ended)[0]).toBe(signal === 'SIGKILL' ? null : 130);
      expect(await untilGone()).toEqual([]);
    },
  );
});
