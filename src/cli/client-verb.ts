/** Shared by the verbs that talk to the API: their options, and the life-cycle of their connection. */
import type { Command } from 'commander';
import type { ApiClient } from './api-client.ts';
import type { AppliedView, FleetView } from './api-types.ts';
import { addChangeOptions, printUnconfirmed } from './change-words.ts';
import { addConnectionOptions } from './connection.ts';
import type { ConnectionFlags, Connections } from './connection.ts';
import { ExitCode } from './errors.ts';
import { addWaitOption, waitForFleet } from './fleet-wait.ts';
import type { WaitFlags } from './fleet-wait.ts';
import type { Output } from './output.ts';
import { examples, type Verb } from './program.ts';
import { line } from '../text/line.ts';

export interface ClientFlags extends ConnectionFlags, WaitFlags {
  readonly json?: boolean;
}

export interface ClientParts {
  readonly output: Output;
  /** Runs a verb's work with the API that its options name. Exit code: 0, unless the work returns another one. */
  readonly run: (
    flags: ClientFlags,
    work: (client: ApiClient) => Promise<number> | Promise<void>,
  ) => Promise<void>;
}

/** A verb, or a family of them, for {@link ClientParts}. */
export function clientVerb(
  connections: Connections,
  add: (program: Command, parts: ClientParts) => void,
): Verb {
  return (program, output, finish) => {
    const work = async (
      flags: ClientFlags,
      task: (client: ApiClient) => Promise<number> | Promise<void>,
    ): Promise<number> => {
      const client = await connections.connect(flags);
      try {
        const code = (await task(client)) ?? ExitCode.ok;
        if (code !== ExitCode.ok) return code;
        const read = (): Promise<FleetView> => client.get<FleetView>('/gateways');
        return await waitForFleet({ read, change: client.lastChange }, flags, output);
      } finally {
        await client.close();
      }
    };
    add(program, { output, run: (flags, task) => finish(work(flags, task)) });
  };
}

export interface CommandText {
  /** `show <template>`; names of arguments determine their completion (see completion-model.ts). */
  readonly usage: string;
  readonly description: string;
  readonly examples: readonly (readonly [command: string, meaning: string])[];
  /** It changes the policy: with `--message`, `--confirm` and `--wait`. */
  readonly changes?: true;
  /** It changes what else gateways share: with `--wait`. */
  readonly waits?: true;
}

const argumentTexts: Readonly<Record<string, string>> = {
  template: 'name of a template',
  templates: 'names of templates',
  server: 'name of a server',
  set: 'name of a set',
  addresses: 'addresses, blocks, ranges',
  servers: 'names of servers',
  user: 'name of a user',
  preset: 'name of a preset',
  token: 'name of a token',
  id: 'first column of tunwall flows',
  name: 'the new name',
  what: 'an address, a block, a range, a port, a text',
};

/** A command with the options of the connection, `--json` and examples. */
export function clientCommand(parent: Command, text: CommandText): Command {
  const command = parent
    .command(text.usage)
    .description(text.description)
    .option('--json', 'print JSON')
    .addHelpText('after', examples(text.examples));
  if (text.changes === true) addChangeOptions(command);
  for (const argument of command.registeredArguments) {
    argument.description = argumentTexts[argument.name()] ?? argument.description;
  }
  if (text.changes === true || text.waits === true) addWaitOption(command);
  return addConnectionOptions(command);
}

/** Prints what was done, `template "web" created`, and whether it is in force. */
export function printChange(
  output: Output,
  what: string,
  {
    applied,
    epoch,
    pending,
    pendingGateways = [],
    warnings = [],
    opens = [],
    unconfirmed,
  }: AppliedView,
): void {
  const elsewhere =
    pendingGateways.length === 0 ? '' : ` here, not yet at ${pendingGateways.join(', ')}`;
  output.print(
    applied
      ? line`${what}; in force${elsewhere} with epoch ${epoch}`
      : line`${what}; ${output.style('yellow', 'not in force')}: ${pending ?? `epoch ${epoch} is`}`,
  );
  for (const sentence of opens) output.error(line`${output.style('bold', 'opens')} ${sentence}`);
  for (const warning of warnings) {
    output.error(line`${output.style('yellow', 'warning:')} ${warning}`);
  }
  if (unconfirmed !== undefined) printUnconfirmed(output, unconfirmed);
}
