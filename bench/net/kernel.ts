/**
 * The kernel itself: forwarding with a stateful nftables ruleset, and no TUN.
 *
 * Left alone it forwards in the sender's context, on the sender's core, while the other one idles. Receive packet steering moves
 * it to the subject's core, where the other subjects work too.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { subjectCore } from './cores.ts';
import { kernelCpu } from './cpu.ts';
import { asNftables } from './policy.ts';
import type { Rules } from './policy.ts';
import { openLab, steerToSubject, sysctl } from './rig.ts';
import type { Subject, SubjectKind, SubjectOptions } from './subject.ts';
import { run } from '../../src/lab/network.ts';

async function start({ rules, flows }: SubjectOptions): Promise<Subject> {
  const lab = await openLab();
  const file = join(lab.directory, 'rules.nft');
  const load = async (wanted: Rules): Promise<void> => {
    writeFileSync(file, asNftables(wanted));
    await lab.mustExec('gateway', ['nft', '-f', file], { timeoutMs: 120_000 });
  };
  await load(rules);
  await sysctl(lab, 'gateway', 'net.ipv4.ip_forward', '1');
  if (flows !== undefined)
    await sysctl(lab, 'gateway', 'net.netfilter.nf_conntrack_udp_timeout', '3600');
  await steerToSubject(lab);
  return {
    name: 'kernel nft',
    lab,
    cpu: () => kernelCpu(subjectCore),
    async discarded(): Promise<number> {
      const text = await lab.mustExec('gateway', [
        'nft',
        'list',
        'counter',
        'ip',
        'bench',
        'refused',
      ]);
      return Number(/packets (\d+)/.exec(text)![1]);
    },
    async flowCount(): Promise<number> {
      return Number(
        await lab.mustExec('gateway', ['cat', '/proc/sys/net/netfilter/nf_conntrack_count']),
      );
    },
    async replaceRules(wanted: Rules): Promise<number | undefined> {
      await load(wanted);
      return undefined;
    },
  };
}

export const kernel: SubjectKind = {
  name: 'kernel nft',
  async obstacle(): Promise<string | undefined> {
    const { code } = await run('sh', ['-c', 'command -v nft']);
    return code === 0 ? undefined : 'nft is not installed (Debian: apt-get install nftables)';
  },
  start,
};
