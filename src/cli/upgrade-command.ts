/** `tunwall upgrade`: another process of the program as it is on disk takes over, while packets wait in the device. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { StatusView } from './api-types.ts';
import { clientCommand, clientVerb } from './client-verb.ts';
import type { ClientFlags } from './client-verb.ts';
import type { Connections } from './connection.ts';
import { UserError } from './errors.ts';
import type { Verb } from './program.ts';
import { line } from '../text/line.ts';
import { counted } from '../text/numbers.ts';

/** How often the firewall is asked whether it is another one by now, and for how long. */
const lookMs = 50;
const patienceMs = 300_000;

export function upgradeCommand(connections: Connections): Verb {
  return clientVerb(connections, (program, { output, run }) => {
    clientCommand(program, {
      usage: 'upgrade',
      description:
        'let a new process take over: of the program as it is on disk, with all of the configuration.\n' +
        'It is made ready beside the old one; flows go on, and packets wait for it. If it cannot start, the old one goes on.',
      examples: [
        ['tunwall upgrade', 'after an installation, or a change of gateway.yaml'],
        ['tunwall upgrade --json', 'its process, and how long packets have waited'],
      ],
    }).action((flags: ClientFlags) =>
      run(flags, async (client) => {
        const { pid } = await client.change<{ pid: number }>('POST', '/upgrade');
        const status = await untilAnother(pid, connections, flags);
        const { version, survival, process: its } = status;
        const adopted = survival?.adopted ?? 0;
        if (flags.json === true) {
          output.json({ version, pid: its.pid, gapMs: its.gapMs, adopted });
        } else {
          output.print(
            line`tunwall ${version} is in force: process ${its.pid}, ${counted(adopted, 'flow')} adopted, packets waited for ${its.gapMs ?? 0} ms`,
          );
        }
      }),
    );
  });
}

type RunningStatus = StatusView & { readonly process: NonNullable<StatusView['process']> };

/** @throws UserError if the process stays the same */
async function untilAnother(
  pid: number,
  connections: Connections,
  flags: ClientFlags,
): Promise<RunningStatus> {
  const deadlineMs = performance.now() + patienceMs;
  for (;;) {
    const status = await look(connections, flags);
    const found = status?.process;
    if (status !== undefined && found !== undefined) {
      if (found.pid !== pid) return { ...status, process: found };
      if (!found.upgrading && found.upgradeError !== undefined) {
        throw new UserError(
          `the upgrade has failed, process ${pid} goes on: ${found.upgradeError}`,
          'see all that is wrong: tunwall check, and the log',
        );
      }
    }
    if (performance.now() > deadlineMs) {
      throw new UserError('the upgrade takes very long', 'look at the log, and at tunwall status');
    }
    await sleep(lookMs);
  }
}

/** Nothing, while neither process answers. */
async function look(connections: Connections, flags: ClientFlags): Promise<StatusView | undefined> {
  try {
    const client = await connections.firewall(flags);
    try {
      return await client?.get<StatusView>('/status');
    } finally {
      await client?.close();
    }
  } catch {
    return undefined;
  }
}
