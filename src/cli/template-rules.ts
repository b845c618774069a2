/** `tunwall template add-rule` and the like: templates rule by rule. */
import { Argument, Option } from 'commander';
import type { Command } from 'commander';
import type { RuleTraffic } from '../policy/rule-notation.ts';
import { route } from './api-client.ts';
import type { Changed, PrunedView, TemplateView } from './api-types.ts';
import { clientCommand, printChange } from './client-verb.ts';
import type { ClientFlags, ClientParts } from './client-verb.ts';
import { collect, parseNumber } from './option-values.ts';
import { line } from '../text/line.ts';
import { directions, ruleText } from '../text/rule-text.ts';
import type { RuleDirection } from '../text/rule-text.ts';
import { parseLength, parseNotation, writtenRule } from './rules.ts';
import type { RuleFlags } from './rules.ts';
import { counted } from '../text/numbers.ts';

interface Flags extends ClientFlags, RuleFlags {
  readonly at?: number;
  readonly revision?: string;
}

const parseIndex = parseNumber("a rule's number");

function directionArgument(): Argument {
  return new Argument('<direction>', 'inbound or outbound').choices(directions);
}

function ruleArgument(): Argument {
  return new Argument('<rule>', 'ALL, ICMP, "TCP: ALL", "TCP: 443", "UDP: 53,8000-8100"').argParser(
    parseNotation,
  );
}

function indexArgument(name: string, description: string): Argument {
  return new Argument(name, description).argParser(parseIndex);
}

/** Options for the fields of a rule that are not in its notation. */
function withRuleOptions(command: Command): Command {
  return command
    .option(
      '--from <peers>',
      'sources of an inbound rule; again, or with commas, for more',
      collect,
    )
    .option('--to <peers>', 'destinations of an outbound rule, likewise', collect)
    .option('--except <peers>', 'taken away from the sources or destinations', collect)
    .option('--until <time>', 'when the rule ends: 2030-01-31T18:00:00Z')
    .addOption(
      new Option('--for <duration>', 'how long it counts from now on: 30m, 2h, 7d, 1w')
        .argParser(parseLength)
        .conflicts('until'),
    )
    .option('--off', 'write the rule, but let it allow nothing yet')
    .option('--log', 'tell in the flow log when a flow of this rule begins')
    .option('--comment <text>', 'what it is for');
}

/** Sources belong to inbound rules, destinations to outbound ones. */
function checkPeers(direction: RuleDirection, flags: RuleFlags, command: Command): void {
  if (direction === 'inbound' && flags.to !== undefined) {
    command.error('error: an inbound rule has sources: use --from');
  }
  if (direction === 'outbound' && flags.from !== undefined) {
    command.error('error: an outbound rule has destinations: use --to');
  }
}

type Answer = TemplateView & Changed;

export function addRuleCommands(family: Command, parts: ClientParts): void {
  addWritingCommands(family, parts);
  addPlaceCommands(family, parts);
  addPruneCommand(family, parts);
}

interface PruneFlags extends ClientFlags {
  readonly dryRun?: boolean;
}

function addPruneCommand(family: Command, { output, run }: ClientParts): void {
  clientCommand(family, {
    changes: true,
    usage: 'prune [templates...]',
    description: 'remove the rules that have expired, of these templates or of all of them',
    examples: [
      ['tunwall template prune --dry-run', 'which rules these are'],
      ['tunwall template prune db', 'of one template'],
    ],
  })
    .option('--dry-run', 'remove nothing')
    .action((templates: string[], flags: PruneFlags) =>
      run(flags, async (client) => {
        const dryRun = flags.dryRun === true;
        const pruned = await client.change<PrunedView>('POST', '/templates/prune', {
          body: { ...(templates.length > 0 && { templates }), dryRun },
        });
        const { rules, applied } = pruned;
        if (flags.json === true) {
          output.json(pruned);
          return;
        }
        for (const { template, direction, index, rule } of rules) {
          const what = `${template} ${direction}[${index}] ${ruleText(direction, rule)}`;
          output.print(line`${dryRun ? 'would be removed' : 'removed'}: ${what}`);
        }
        const count = counted(rules.length, 'expired rule');
        if (rules.length === 0) output.print('no rule has expired');
        else if (applied === undefined) output.print(`${count}; nothing was changed`);
        else printChange(output, `${count} removed`, applied);
      }),
    );
}

function addWritingCommands(family: Command, { output, run }: ClientParts): void {
  const add = clientCommand(family, {
    changes: true,
    usage: 'add-rule <template>',
    description: 'add an allow rule. Without addresses it is for any',
    examples: [
      [
        'tunwall template add-rule web inbound "TCP: 443" --from 10.0.0.0/8 --comment HTTPS',
        'a port',
      ],
      ['tunwall template add-rule web inbound icmp', 'ping and the like from anywhere'],
      ['tunwall template add-rule web outbound "udp:53" --to 192.0.2.1,192.0.2.2', 'to resolvers'],
      [
        'tunwall template add-rule db inbound "TCP: 5432" --from label:role=web --except server:web-9 --for 2h',
        'servers by label, but one, for two hours',
      ],
    ],
  });
  withRuleOptions(add.addArgument(directionArgument()).addArgument(ruleArgument()))
    .option('--at <number>', 'its number; the rest move down (default: the last)', parseIndex)
    .option('--revision <revision>', 'only if the template still has this revision')
    .action(
      (
        name: string,
        direction: RuleDirection,
        traffic: RuleTraffic,
        flags: Flags,
        command: Command,
      ) => {
        checkPeers(direction, flags, command);
        const rule = writtenRule(direction, traffic, flags);
        return run(flags, async (client) => {
          const path = route`/templates/${name}/rules/${direction}`;
          const { at, revision } = flags;
          const answer = await client.change<Answer>('POST', path, {
            query: { index: at },
            body: rule,
            revision,
          });
          if (flags.json === true) output.json(answer);
          else {
            const number = at ?? answer[direction].length - 1;
            const what = `${name} ${direction}[${number}] added: ${ruleText(direction, answer[direction][number] ?? rule)}`;
            printChange(output, what, answer.applied);
          }
        });
      },
    );

  const replace = clientCommand(family, {
    changes: true,
    usage: 'replace-rule <template>',
    description: 'replace a rule; the new one says all that it is to be',
    examples: [['tunwall template replace-rule web inbound 0 "TCP: 80,443"', 'see template show']],
  });
  replace
    .addArgument(directionArgument())
    .addArgument(indexArgument('<number>', 'number of the rule'))
    .addArgument(ruleArgument());
  withRuleOptions(replace)
    .option('--revision <revision>', 'only if the template still has this revision')
    .action(
      (
        name: string,
        direction: RuleDirection,
        index: number,
        traffic: RuleTraffic,
        flags: Flags,
        command: Command,
      ) => {
        checkPeers(direction, flags, command);
        const rule = writtenRule(direction, traffic, flags);
        return run(flags, async (client) => {
          const path = route`/templates/${name}/rules/${direction}/${index}`;
          const { revision } = flags;
          const answer = await client.change<Answer>('PUT', path, { body: rule, revision });
          if (flags.json === true) output.json(answer);
          else {
            const what = `${name} ${direction}[${index}] replaced: ${ruleText(direction, answer[direction][index] ?? rule)}`;
            printChange(output, what, answer.applied);
          }
        });
      },
    );
}

function addPlaceCommands(family: Command, { output, run }: ClientParts): void {
  clientCommand(family, {
    changes: true,
    usage: 'remove-rule <template>',
    description: 'remove a rule; flows that only it allowed are cut, as gateway.yaml says',
    examples: [
      ['tunwall template remove-rule web inbound 0', 'see template show'],
      [
        'tunwall template remove-rule web inbound 0 --revision 5f0c',
        'only if it has not changed since',
      ],
    ],
  })
    .addArgument(directionArgument())
    .addArgument(indexArgument('<number>', 'number of the rule'))
    .option('--revision <revision>', 'only if the template still has this revision')
    .action((name: string, direction: RuleDirection, index: number, flags: Flags) =>
      run(flags, async (client) => {
        const path = route`/templates/${name}/rules/${direction}/${index}`;
        const answer = await client.change<Answer>('DELETE', path, { revision: flags.revision });
        if (flags.json === true) output.json(answer);
        else printChange(output, `${name} ${direction}[${index}] removed`, answer.applied);
      }),
    );

  clientCommand(family, {
    changes: true,
    usage: 'move-rule <template>',
    description: 'move a rule to another place. Rules only allow: the order is for the reader',
    examples: [['tunwall template move-rule web inbound 3 0', 'number 3 becomes the first']],
  })
    .addArgument(directionArgument())
    .addArgument(indexArgument('<number>', 'number of the rule'))
    .addArgument(indexArgument('<to>', 'its number afterwards'))
    .option('--revision <revision>', 'only if the template still has this revision')
    .action((name: string, direction: RuleDirection, index: number, to: number, flags: Flags) =>
      run(flags, async (client) => {
        const path = route`/templates/${name}/rules/${direction}/${index}/move`;
        const { revision } = flags;
        const answer = await client.change<Answer>('POST', path, { body: { to }, revision });
        if (flags.json === true) output.json(answer);
        else {
          const what = `${name} ${direction}[${index}] moved to ${direction}[${to}]`;
          printChange(output, what, answer.applied);
        }
      }),
    );
}
