/** `--wait`: a command ends when every gateway that runs has its change in force. Whatever changes something that gateways share has it. */
import type { Command } from 'commander';
import { setTimeout as sleep } from 'node:timers/promises';
import { fleetOf } from '../control/api/fleet.ts';
import type { PolicyStore } from '../control/store/store.ts';
import { line } from '../text/line.ts';
import { counted } from '../text/numbers.ts';
import type { FleetView } from './api-types.ts';
import { ExitCode } from './errors.ts';
import type { Output } from './output.ts';
import { parseNumber } from './option-values.ts';

const pollMs = 200;
const usualPatienceSeconds = 30;

export interface WaitFlags {
  /** Seconds; `true`: the usual patience. */
  readonly wait?: number | true;
}

export function addWaitOption(command: Command): Command {
  return command.option(
    '--wait [seconds]',
    `until all gateways that run have the change in force, at most ${usualPatienceSeconds} s; exit code 3: not all have`,
    parseNumber('seconds', 1, 3600),
  );
}

/** The gateways that a change concerns. */
export interface Fleet {
  readonly read: () => Promise<FleetView>;
  /** Number of the change; absent: the newest one, when the waiting begins. */
  readonly change?: number | undefined;
}

/**
 * What is said goes to stderr: stdout has the answer to the change.
 *
 * @returns the exit code
 */
export async function waitForFleet(
  { read, change: made }: Fleet,
  { wait }: WaitFlags,
  output: Output,
): Promise<number> {
  if (wait === undefined) return ExitCode.ok;
  const untilMs = performance.now() + (wait === true ? usualPatienceSeconds : wait) * 1000;
  let change = made;
  for (;;) {
    const { gateways, newest, problem } = await read();
    // A store in files has no numbers, and nobody else.
    if (problem === undefined && newest === undefined) return ExitCode.ok;
    change ??= newest;
    const running = gateways.filter(({ state }) => state !== 'stopped');
    const lacking = running.filter(({ revision = 0 }) => revision < (change ?? 0));
    if (problem === undefined && lacking.length === 0) {
      output.error(`change ${change!} is in force at ${counted(running.length, 'gateway')}`);
      return ExitCode.ok;
    }
    const refused = lacking.filter(
      ({ state, seen = 0 }) => state === 'refuses' && seen >= (change ?? 0),
    );
    if (performance.now() > untilMs || refused.length > 0) {
      for (const { name, problem: why = '' } of refused) {
        output.error(line`${output.style('red', name)} refuses it: ${why}`);
      }
      const names = lacking.map(({ name }) => name).join(', ');
      const where = problem ?? `${counted(lacking.length, 'gateway')}, ${names}`;
      const what = change === undefined ? 'the change' : `change ${change}`;
      output.error(
        line`${what} is stored, and ${output.style('red', 'not in force everywhere')}: ${where}`,
      );
      return ExitCode.pending;
    }
    await sleep(pollMs);
  }
}

/** The same for a verb that has changed the store itself. */
export async function waitForStore(
  store: Pick<PolicyStore, 'gateways'>,
  flags: WaitFlags,
  output: Output,
): Promise<number> {
  return await waitForFleet({ read: () => fleetOf(store, undefined) }, flags, output);
}
