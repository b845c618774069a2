/** `tunwall confirm`: a change that was made with `--confirm` is kept, or undone at once. */
import { addMessageOption } from './change-words.ts';
import type { Changed, ConfirmedView } from './api-types.ts';
import { clientCommand, clientVerb, printChange } from './client-verb.ts';
import type { ClientFlags } from './client-verb.ts';
import type { Connections } from './connection.ts';
import type { Verb } from './program.ts';
import { line } from '../text/line.ts';

interface ConfirmFlags extends ClientFlags {
  readonly revert?: boolean;
}

export function confirmCommand(connections: Connections): Verb {
  return clientVerb(connections, (program, { output, run }) => {
    const confirm = clientCommand(program, {
      waits: true,
      usage: 'confirm',
      description:
        'keep the change that waits for confirmation: the one that was made with --confirm.\n' +
        'If nobody does in time, the firewall goes back to the policy before it, by itself.',
      examples: [
        [
          'tunwall template remove-rule web inbound 2 --confirm 60s',
          'a change that may lock you out',
        ],
        ['tunwall confirm', 'you are still there: it stays'],
        ['tunwall confirm --revert', 'back at once, without waiting'],
      ],
    });
    addMessageOption(confirm)
      .option('--revert', 'undo it now')
      .action((flags: ConfirmFlags) =>
        run(flags, async (client) => {
          if (flags.revert === true) {
            const answer = await client.change<Changed>('POST', '/changes/revert');
            if (flags.json === true) output.json(answer);
            else printChange(output, 'the policy is as it was before', answer.applied);
            return;
          }
          const answer = await client.change<ConfirmedView>('POST', '/changes/confirm');
          const { revision, summary } = answer.confirmed;
          if (flags.json === true) output.json(answer);
          else output.print(line`revision ${revision} stays: ${summary}`);
        }),
      );
  });
}
