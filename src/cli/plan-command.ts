/** `tunwall plan` and `tunwall apply`: the policy of a directory against the one in force, and in its place. */
import type { ApiClient } from './api-client.ts';
import type { Changed, ReviewView } from './api-types.ts';
import { clientCommand, clientVerb, printChange } from './client-verb.ts';
import type { ClientFlags } from './client-verb.ts';
import type { Connections } from './connection.ts';
import { ExitCode } from './errors.ts';
import { filesIn } from './policy-files.ts';
import type { Verb } from './program.ts';
import { printReview } from './review-text.ts';
import { counted } from '../text/numbers.ts';

/** Something would change. */
const wouldChange = 2;

const whatItIs = 'the templates, sets and servers of a directory (a git checkout, say)';

interface ApplyFlags extends ClientFlags {
  readonly revision?: string;
}

type ChangeView = Changed & Pick<ReviewView, 'changed'>;

export function planCommand(connections: Connections): Verb {
  return clientVerb(connections, (program, { output, run }) => {
    clientCommand(program, {
      usage: 'plan <dir>',
      description:
        `what would change if ${whatItIs} came in the place of those in force:\n` +
        'files, what opens and closes, servers, live flows that end. Changes nothing.\n' +
        'Exit code 0: nothing differs; 2: something would change; 1: it would be refused.',
      examples: [
        ['tunwall plan ./policy', 'before a merge'],
        ['tunwall plan ./policy --json', 'with the revision that apply --revision takes'],
      ],
    }).action((directory: string, flags: ClientFlags) =>
      run(flags, async (client) => {
        const operations = [{ kind: 'replace-policy', files: policyIn(directory) }];
        const review = await client.change<ReviewView>('POST', '/review', { body: { operations } });
        if (flags.json === true) output.json(review);
        else printReview(review, output);
        return review.changed.length === 0 ? ExitCode.ok : wouldChange;
      }),
    );
  });
}

export function applyCommand(connections: Connections): Verb {
  return clientVerb(connections, (program, { output, run }) => {
    clientCommand(program, {
      changes: true,
      usage: 'apply <dir>',
      description:
        `put ${whatItIs} in the place of those in force,\n` +
        'byte for byte, as one change: all of it, or nothing. Users and gateway.yaml stay.',
      examples: [
        ['tunwall apply ./policy -m "$(git log -1 --format=%s)"', 'from CI'],
        ['tunwall apply ./policy --revision 4f…', 'only if nothing has changed since the plan'],
      ],
    })
      .option('--revision <revision>', 'only if the whole policy still has this revision')
      .action((directory: string, flags: ApplyFlags) =>
        run(flags, async (client) => {
          const answer = await apply(client, directory, flags.revision);
          if (flags.json === true) output.json(answer);
          else if (answer.changed.length === 0) output.print('nothing differs');
          else
            printChange(
              output,
              `${counted(answer.changed.length, 'thing')} changed`,
              answer.applied,
            );
        }),
      );
  });
}

function apply(
  client: ApiClient,
  directory: string,
  revision: string | undefined,
): Promise<ChangeView> {
  const operation = { kind: 'replace-policy', files: policyIn(directory), ifRevision: revision };
  return client.change<ChangeView>('POST', '/changes', { body: { operations: [operation] } });
}

function policyIn(directory: string): Readonly<Record<string, string>> {
  return Object.fromEntries(filesIn(directory));
}
