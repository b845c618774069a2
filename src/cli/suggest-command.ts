/** `tunwall suggest`: rules for what a server was seen to need while it observed. */
import { line } from '../text/line.ts';
import { counted, grouped } from '../text/numbers.ts';
import { peersKey } from '../text/rule-text.ts';
import { trafficText } from '../text/rule-text.ts';
import { alsoText } from '../text/suggestion-text.ts';
import { route } from './api-client.ts';
import type { SuggestionView } from './api-types.ts';
import { clientCommand, clientVerb } from './client-verb.ts';
import type { ClientFlags } from './client-verb.ts';
import type { Connections } from './connection.ts';
import { parseNumber } from './option-values.ts';
import type { Output } from './output.ts';
import type { Verb } from './program.ts';

interface Flags extends ClientFlags {
  readonly template?: string;
  readonly peers?: number;
  readonly atLeast?: number;
}

type Rule = SuggestionView['rules'][number];

/** Sentences that are printed of one rule. */
const shownAlso = 3;

export function suggestCommand(connections: Connections): Verb {
  return clientVerb(connections, (program, { output, run }) => {
    clientCommand(program, {
      usage: 'suggest <server>',
      description:
        'a short list of rules for what a server was seen to need while it observed,\n' +
        'what else they would admit, and the commands that add them. Nothing is changed',
      examples: [
        ['tunwall suggest db-1', 'after some days of tunwall server observe db-1 --for 7d'],
        ['tunwall suggest db-1 --at-least 3', 'without what came once or twice, as scanners do'],
        ['tunwall suggest db-1 --template db', 'into a template that other servers have, too'],
      ],
    })
      .option(
        '--template <template>',
        "one of the server's, where the rules are to go (default:\none that no other server has, else a new one)",
      )
      .option(
        '--peers <number>',
        'sources or destinations a rule has at most; more are widened\nto blocks, else to any (default: 16)',
        parseNumber('a number of peers', 1, 256),
      )
      .option(
        '--at-least <number>',
        'leave out what was seen less often (default: 1)',
        parseNumber('a number of flows', 1, 1_000_000),
      )
      .action((server: string, flags: Flags) =>
        run(flags, async (client) => {
          const { template, peers, atLeast } = flags;
          const path = route`/servers/${server}/suggestion`;
          const answer = await client.get<SuggestionView>(path, { template, peers, atLeast });
          if (flags.json === true) output.json(answer);
          else printSuggestion(answer, output);
        }),
      );
  });
}

function printSuggestion(answer: SuggestionView, output: Output): void {
  const { server, since, rules } = answer;
  if (since === undefined) {
    output.print(line`server ${server} has not observed on this gateway: nothing was seen`);
    output.print(line`to let it observe: tunwall server observe ${server} --for 2d`);
    return;
  }
  output.print(stateText(answer));
  for (const each of rules) printRule(each, output);
  if (rules.length === 0) output.print('nothing was seen that lacks a rule');
  printNotes(answer, output);
  if (rules.length === 0) return;
  output.print('');
  output.print('to add them:');
  for (const command of commandsOf(answer)) output.print(line`  ${command}`);
}

function stateText({ server, observing, until, since = '' }: SuggestionView): string {
  const state = observing ? `observes until ${until ?? ''}` : 'does not observe now';
  return `server ${server} ${state}; recorded since ${since}`;
}

function printRule(
  { direction, rule, text, flows, peers, last, alsoAdmits }: Rule,
  output: Output,
): void {
  const seen = `${counted(flows, 'flow', 'flows', grouped(flows))}, ${counted(peers, 'address', 'addresses')}, last ${last}`;
  output.print(line`${direction}  ${output.style('bold', text)}  (${seen})`);
  for (const each of alsoAdmits.slice(0, shownAlso)) {
    output.print(line`    ${output.style('yellow', alsoText(each, rule.ports))}`);
  }
  const more = alsoAdmits.length - shownAlso;
  if (more > 0) output.print(`    and ${counted(more, 'more sentence')} like this: --json has all`);
}

function printNotes(
  { allowed, leftOut, forgotten, lost, template }: SuggestionView,
  output: Output,
): void {
  const flows = (count: number): string => counted(count, 'flow', 'flows', grouped(count));
  if (allowed > 0) output.print(`a rule allows by now: ${flows(allowed)} of the record`);
  if (leftOut > 0) output.error(`left out: ${flows(leftOut)} that came less often, or to port 0`);
  if (forgotten > 0) {
    output.error(`not covered: ${flows(forgotten)}, forgotten because there were too many kinds`);
  }
  if (lost > 0) {
    output.error(`lost under load, and perhaps missing here: ${counted(lost, 'record')} of drops`);
  }
  if (template.otherServers.length > 0) {
    const others = template.otherServers.join(', ');
    output.error(line`the template ${template.name} counts for others, too: ${others}`);
  }
}

/** What a shell takes as it stands: names have no characters of its own. */
function commandsOf({ server, rules, template }: SuggestionView): string[] {
  const added = rules.map(({ direction, rule }) => {
    const peers = rule[peersKey(direction)];
    const option = direction === 'inbound' ? '--from' : '--to';
    const named = (peers ?? []).map((each) => ` ${option} ${quoted(each)}`).join('');
    return `tunwall template add-rule ${template.name} ${direction} ${quoted(trafficText(rule))}${named}`;
  });
  return [
    ...(template.exists ? [] : [`tunwall template create ${template.name} --assign ${server}`]),
    ...added,
  ];
}

function quoted(text: string): string {
  return /^[\w.:/=-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
