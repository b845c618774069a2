/** What every change can be told: why it is made (`-m`), and that somebody has to confirm it (`--confirm`). */
import { InvalidArgumentError } from 'commander';
import type { Command } from 'commander';
import { unconfirmedIn } from '../control/api/unconfirmed.ts';
import { maxWhy } from '../control/store/store.ts';
import type { ChangeOptions, Store } from '../control/store/store.ts';
import { formatDuration, parseDuration } from '../text/duration.ts';
import { line } from '../text/line.ts';
import type { ChangeWords } from './api-client.ts';
import type { Output } from './output.ts';

const confirmSeconds = { least: 5, most: 86_400 } as const;

/** `-m` and `--confirm`. */
export function addChangeOptions(command: Command): Command {
  return addMessageOption(command).option(
    '--confirm <time>',
    'undo it after this time (60s, 5m), unless somebody says tunwall confirm',
    parseConfirmTime,
  );
}

/** `-m` alone: for what cannot wait for a confirmation. @param readers whom it is for */
export function addMessageOption(
  command: Command,
  readers = 'the history and the audit log',
): Command {
  return command.option('-m, --message <text>', `why: for ${readers}`, parseMessage);
}

/** For verbs that change a store themselves. */
export function changeOptionsOf({
  message = '',
  confirm,
}: ChangeWords): Pick<ChangeOptions, 'why' | 'confirmWithinS'> {
  return {
    ...(message !== '' && { why: message }),
    ...(confirm !== undefined && { confirmWithinS: secondsOf(confirm) }),
  };
}

export function printUnconfirmed(
  output: Output,
  { secondsLeft, until }: { readonly secondsLeft: number; readonly until: string },
): void {
  output.error(
    line`${output.style('bold', `undone in ${formatDuration(Math.round(secondsLeft))}`)} (${until}), unless you say: tunwall confirm`,
  );
}

/** After a change of a store. @param store its newest state is asked for only if somebody wants to confirm */
export async function tellIfUnconfirmed(
  store: Pick<Store, 'unconfirmed'>,
  { confirm }: ChangeWords,
  output: Output,
): Promise<void> {
  if (confirm === undefined) return;
  const { unconfirmed } = await unconfirmedIn(store);
  if (unconfirmed !== undefined) printUnconfirmed(output, unconfirmed);
}

function parseMessage(text: string): string {
  const message = text.trim();
  if (message.length <= maxWhy) return message;
  throw new InvalidArgumentError(`expected at most ${maxWhy} characters.`);
}

/** As it was typed; the API takes seconds, too. */
function parseConfirmTime(text: string): string {
  const seconds = secondsOf(text);
  if (seconds >= confirmSeconds.least && seconds <= confirmSeconds.most) return text;
  throw new InvalidArgumentError('expected a time from 5s to 24h, like 60s or 5m.');
}

function secondsOf(text: string): number {
  return /^\d+$/.test(text) ? Number(text) : (parseDuration(text) ?? 0);
}
