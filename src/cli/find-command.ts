/** `tunwall find`: the rules that name an address, a port or a text, with file and line. */
import { line } from '../text/line.ts';
import type { FoundView } from './api-types.ts';
import { clientCommand, clientVerb } from './client-verb.ts';
import type { ClientFlags } from './client-verb.ts';
import type { Connections } from './connection.ts';
import { ExitCode } from './errors.ts';
import type { Output } from './output.ts';
import type { Verb } from './program.ts';
import { printRule } from './reach-command.ts';
import { templateFiles } from './rule-places.ts';
import { counted } from '../text/numbers.ts';

interface Flags extends ClientFlags {
  readonly wider?: boolean;
}

const whatIsWider = { addresses: 'any address', ports: 'all ports', text: '' } as const;

export function findCommand(connections: Connections): Verb {
  return clientVerb(connections, (program, { output, run }) => {
    clientCommand(program, {
      usage: 'find <what>',
      description:
        'rules that name an address (also a block or a range; through servers and sets, too), a port or\n' +
        'a range of ports, or a text in their comment, description, template or peers.\n' +
        'Exit code 1: there is none.',
      examples: [
        ['tunwall find 10.2.0.0/16', 'whose addresses overlap it'],
        ['tunwall find 3389', 'whose ports have it'],
        ['tunwall find "set:office"', 'that say it'],
      ],
    })
      .option('--wider', 'also rules for any address, or for all ports')
      .action((what: string, flags: Flags) =>
        run(flags, async (client) => {
          const found = await client.get<FoundView>('/find', { q: what });
          if (flags.json === true) output.json(found);
          else printFound(found, flags, await templateFiles(client), output);
          const rules = found.rules.length + (flags.wider === true ? found.wider.length : 0);
          return rules > 0 ? ExitCode.ok : ExitCode.failed;
        }),
      );
  });
}

function printFound(
  { kind, rules, wider }: FoundView,
  flags: Flags,
  fileOf: (template: string) => string,
  output: Output,
): void {
  for (const rule of [...rules, ...(flags.wider === true ? wider : [])]) {
    printRule(rule, fileOf, output, kind === 'text' ? rule.comment : rule.by);
  }
  if (rules.length === 0) output.error(`no rule names it, as one of ${kind}`);
  if (wider.length > 0 && flags.wider !== true) {
    const others = counted(wider.length, 'rule');
    output.error(line`${others} for ${whatIsWider[kind]} not listed: --wider lists them`);
  }
}
