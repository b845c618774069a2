/** What a real TUN device says to super-packets that it does not take, and to fewer offloads than it was opened with. */
import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { obstacle } from '../support/firewall.ts';
import { scriptCommand } from '../support/scripts.ts';

describe.skipIf(obstacle !== undefined)('a TUN device', () => {
  it('refuses super-packets, which are counted by kind, and lets each kind be turned off', () => {
    const command = scriptCommand('refusedSuperPackets', 'refusing0');
    const run = spawnSync('unshare', ['--net', ...command], { encoding: 'utf8' });
    expect(run.stdout, run.stderr).not.toBe('');
    const result = JSON.parse(run.stdout) as { counted: object[]; sets: number[] };
    // The fourth packet is none of IPv4: refused as well, but not as a super-packet.
    const refused = { writeFailures: 4, tcpRefused: 2, udpRefused: 1 };
    expect(result.counted).toEqual([refused, refused]);
    expect(result.sets).toHaveLength(3);
  });
});
