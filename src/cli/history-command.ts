/** `tunwall history`, `diff` and `rollback`: the changes of the whole policy, and the way back. */
import { Argument } from 'commander';
import type { Changed, ChangesView, ReviewView } from './api-types.ts';
import { clientCommand, clientVerb, printChange } from './client-verb.ts';
import type { ClientFlags } from './client-verb.ts';
import type { ApiClient } from './api-client.ts';
import type { Connections } from './connection.ts';
import { UserError } from './errors.ts';
import type { Output } from './output.ts';
import { parseNumber } from './option-values.ts';
import type { Verb } from './program.ts';
import { colouredDiff } from './resource-history.ts';
import { printReview } from './review-text.ts';
import { line } from '../text/line.ts';
import { formatTable } from '../text/table.ts';

const parseRevision = parseNumber('a revision');
const revision = (name: string, words: string): Argument =>
  new Argument(name, words).argParser(parseRevision);

/** Something would change. */
const wouldChange = 2;

interface HistoryFlags extends ClientFlags {
  readonly limit: number;
}

interface RollbackFlags extends ClientFlags {
  readonly dryRun?: boolean;
}

export function historyCommand(connections: Connections): Verb {
  return clientVerb(connections, (program, { output, run }) => {
    clientCommand(program, {
      usage: 'history',
      description: 'every change of the policy, by hand too: when, who, what, why; newest first',
      examples: [
        ['tunwall history', 'the newest 20'],
        ['tunwall history --limit 1000', 'all that is kept'],
      ],
    })
      .option('--limit <count>', 'so many', parseNumber('a count', 1, 1000), 20)
      .action((flags: HistoryFlags) =>
        run(flags, async (client) => {
          const view = await client.get<ChangesView>('/history', { limit: flags.limit });
          if (flags.json === true) output.json(view);
          else printChanges(view.changes, output);
          if (view.next !== undefined && flags.json !== true) {
            output.error(line`older ones are left out: --limit ${flags.limit * 2} lists more`);
          }
        }),
      );
  });
}

function printChanges(changes: ChangesView['changes'], output: Output): void {
  const rows = changes.map(({ number, at, actor, via, summary, why = '' }) => {
    return [String(number), at, `${actor} (${via})`, summary, why];
  });
  output.print(formatTable(['revision', 'at', 'who', 'what', 'why'], rows));
}

export function diffCommand(connections: Connections): Verb {
  return clientVerb(connections, (program, { output, run }) => {
    clientCommand(program, {
      usage: 'diff',
      description: 'what changed in the files of the policy from one revision to another',
      examples: [
        ['tunwall diff', 'the last change'],
        ['tunwall diff 12', 'from revision 12 to the newest'],
        ['tunwall diff 12 15', 'from revision 12 to revision 15'],
      ],
    })
      .addArgument(revision('[from]', 'revision (default: the one before)'))
      .addArgument(revision('[to]', 'revision (default: the newest)'))
      .action((from: number | undefined, to: number | undefined, flags: ClientFlags) =>
        run(flags, async (client) => {
          const diff = await client.text('/history/diff', { from, to });
          if (flags.json === true) output.json({ from, to, diff });
          else if (diff !== '') output.print(colouredDiff(diff.trimEnd(), output));
        }),
      );
  });
}

export function rollbackCommand(connections: Connections): Verb {
  return clientVerb(connections, (program, { output, run }) => {
    clientCommand(program, {
      changes: true,
      usage: 'rollback',
      description:
        'back to the whole policy as it was after a revision, as one change: all of it, or nothing.\n' +
        'What was changed since then is undone, and is said. Exit code 2 with --dry-run: something would change.',
      examples: [
        ['tunwall rollback 12 --dry-run', 'what this would do'],
        ['tunwall rollback 12 -m "the new rules were wrong"', 'templates, sets and servers'],
      ],
    })
      .addArgument(revision('<revision>', 'number in tunwall history'))
      .option('--dry-run', 'say what it would do, and change nothing')
      .action((number: number, flags: RollbackFlags) =>
        run(flags, (client) => rollback(client, number, flags, output)),
      );
  });
}

async function rollback(
  client: ApiClient,
  number: number,
  flags: RollbackFlags,
  output: Output,
): Promise<number> {
  const { changes } = await client.get<ChangesView>('/history', { limit: 1000 });
  const newest = changes[0]?.number;
  if (newest === undefined) throw new UserError('there is no history yet');
  const undone = changes.filter((each) => each.number > number);
  const operations = [{ kind: 'restore-policy', number, newest }];
  if (flags.dryRun === true) {
    const review = await client.change<ReviewView>('POST', '/review', { body: { operations } });
    if (flags.json === true) output.json({ undone, ...review });
    else {
      printUndone(undone, 'would be undone', output);
      printReview(review, output);
    }
    return review.changed.length === 0 ? 0 : wouldChange;
  }
  const answer = await client.change<Changed>('POST', '/changes', { body: { operations } });
  if (flags.json === true) output.json({ undone, ...answer });
  else {
    printUndone(undone, 'is undone', output);
    printChange(output, `the policy is as after revision ${number}`, answer.applied);
  }
  return 0;
}

function printUndone(undone: ChangesView['changes'], words: string, output: Output): void {
  for (const { number, actor, at, summary } of undone) {
    output.error(line`revision ${number} of ${actor} at ${at} ${words}: ${summary}`);
  }
}
