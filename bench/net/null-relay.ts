/** The null relay: tunwall's plumbing, with a program behind it that does not look at packets. */
import { openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { processCpu } from './cpu.ts';
import { openLab, spawnSubject, tunwallCommand, until } from './rig.ts';
import type { Subject, SubjectKind, SubjectOptions } from './subject.ts';
import { tool } from './tools.ts';

async function start(options: SubjectOptions): Promise<Subject> {
  const lab = await openLab();
  await lab.mustExec('gateway', tunwallCommand('gateway', 'up'));
  const logFile = join(lab.directory, 'null-relay.log');
  const command = [tool('null-relay'), ...(options.discards === true ? ['--discard'] : [])];
  const pid = spawnSubject(lab, options, command, openSync(logFile, 'a'));
  await until('the null relay is ready', () =>
    Promise.resolve(readFileSync(logFile, 'utf8').startsWith('ready')),
  );
  return {
    name: 'null relay',
    lab,
    cpu: () => processCpu(pid),
    async discarded(): Promise<number> {
      // What it has read: it counts nothing while it runs, the device does.
      const text = await lab.ip('gateway', '-s', '-j', 'link', 'show', 'dev', 'fw0');
      const [link] = JSON.parse(text) as [{ stats64: { tx: { packets: number } } }];
      return link.stats64.tx.packets;
    },
  };
}

export const nullRelay: SubjectKind = {
  name: 'null relay',
  obstacle: () => Promise.resolve(undefined),
  start,
};
