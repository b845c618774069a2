/** What the verbs of `tunwall store` share: the store that gateway.yaml names, refusals, and the question before something is replaced. */
import { join } from 'node:path';
import type { Command } from 'commander';
import type { EtcdStore } from '../control/store/etcd/etcd-store.ts';
import { StoreError } from '../control/store/store.ts';
import type { Actor } from '../control/store/store.ts';
import { UserError } from './errors.ts';
import type { Output } from './output.ts';
import { examples } from './program.ts';
import { defaultConfigDirectory } from './run-command.ts';

export interface StoreActions {
  /** `undefined` when gateway.yaml names no store. @param asOwner root goes on as the owner of the directory */
  readonly open: (directory: string, asOwner: boolean) => Promise<EtcdStore | undefined>;
  /** The user, for the audit log. */
  readonly actor: string;
  /** Asks a person; `undefined` when there is nobody to be asked. */
  readonly confirm: (question: string) => Promise<boolean | undefined>;
}

export interface StoreFlags {
  readonly config: string;
  readonly json?: boolean;
  readonly yes?: boolean;
  readonly dryRun?: boolean;
}

export interface Parts extends StoreActions {
  readonly output: Output;
  readonly finish: (outcome: Promise<number>) => Promise<void>;
}

export function verb(
  family: Command,
  usage: string,
  description: string,
  help: readonly (readonly [string, string])[],
): Command {
  return family
    .command(usage)
    .description(description)
    .option('--config <dir>', 'configuration directory of this gateway', defaultConfigDirectory)
    .addHelpText('after', examples(help));
}

export async function opened(
  { open }: Parts,
  { config }: StoreFlags,
  asOwner = true,
): Promise<EtcdStore> {
  const store = await open(config, asOwner);
  if (store !== undefined) return store;
  throw new UserError(
    `${join(config, 'gateway.yaml')} names no store`,
    'write store: { etcd: { endpoints: [...] } } into it; see docs/several-gateways.md',
  );
}

export function actorOf({ actor }: Parts): Actor {
  return { name: actor, via: 'cli' };
}

/** Refusals of the store as those of the command. */
export async function asUserError<T>(
  work: Promise<T>,
  hint = 'nothing was changed; see tunwall store status',
): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    throw new UserError(error.message, hint, { cause: error });
  }
}

export async function requireYes(
  { confirm }: Parts,
  { yes }: StoreFlags,
  question: string,
): Promise<void> {
  if (yes === true) return;
  const answer = await confirm(question);
  if (answer === true) return;
  const why = answer === undefined ? 'there is nobody to be asked' : 'you have not said yes';
  throw new UserError(`nothing was changed: ${why}`, 'with --yes it does not ask');
}
