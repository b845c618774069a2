/** `tunwall reach`: who can open what, by the rules of the policy in force. */
import { Option } from 'commander';
import { line } from '../text/line.ts';
import { placeText, trafficText } from '../text/rule-text.ts';
import type { PlacedRuleView, ReachView } from './api-types.ts';
import { clientVerb } from './client-verb.ts';
import type { ClientFlags } from './client-verb.ts';
import { addConnectionOptions } from './connection.ts';
import type { Connections } from './connection.ts';
import type { Output } from './output.ts';
import { examples, type Verb } from './program.ts';
import { templateFiles } from './rule-places.ts';
import { counted } from '../text/numbers.ts';

interface Flags extends ClientFlags {
  readonly from?: string;
  readonly to?: string;
  readonly proto?: string;
}

type Row = ReachView['rows'][number];
type End = Row['from'];

/** Addresses that are printed of one end. */
const shownAddresses = 8;

export function reachCommand(connections: Connections): Verb {
  return clientVerb(connections, (program, { output, run }) => {
    const command = program
      .command('reach')
      .description(
        'who can open what, as exact sets, with the rules that say so. Between two servers both sides\n' +
          'must allow it, and both are asked. An end is a server, an address, a block, a range, any, or\n' +
          'a group as in a rule (label:role=web, set:office).',
      )
      .option('--to <end[:ports]>', 'who can open this')
      .option('--from <end>', 'what this can open')
      .addOption(new Option('--proto <protocol>', 'protocol').choices(['tcp', 'udp', 'icmp']))
      .option('--json', 'print JSON')
      .addHelpText(
        'after',
        examples([
          ['tunwall reach --to db-1:5432', 'who can connect to the database'],
          ['tunwall reach --from web-1', 'what a server can open'],
          ['tunwall reach --from any --to label:role=web:22 --proto tcp', 'SSH to all web servers'],
        ]),
      );
    addConnectionOptions(command).action((flags: Flags) => {
      const { from, to, proto } = flags;
      if (from === undefined && to === undefined) {
        command.error('error: expected --to, --from, or both');
      }
      return run(flags, async (client) => {
        const answer = await client.get<ReachView>('/reach', { from, to, protocol: proto });
        if (flags.json === true) output.json(answer);
        else printRows(answer, await templateFiles(client), output);
      });
    });
  });
}

function printRows({ rows, more }: ReachView, fileOf: FileOf, output: Output): void {
  if (rows.length === 0) output.print('nobody: no rule lets that through');
  rows.forEach((row, index) => {
    if (index > 0) output.print('');
    const traffic = output.style('bold', trafficText(row));
    output.print(line`${endText(row.from)} -> ${endText(row.to)}  ${traffic}`);
    for (const rule of [...row.outbound, ...row.inbound]) printRule(rule, fileOf, output);
  });
  if (more !== undefined) output.error(`${counted(more, 'more row')}: ask for less`);
}

type FileOf = (template: string) => string;

/** A rule in a line: its direction, what it says, and where it stands. */
export function printRule(rule: PlacedRuleView, fileOf: FileOf, output: Output, by?: string): void {
  const { template, direction, index, text, comment, line: at } = rule;
  const place = placeText(fileOf(template), at, direction, index);
  const remark = by ?? comment;
  output.print(
    line`  ${output.style('green', text)}  ${place}${remark === undefined ? '' : ` (${remark})`}`,
  );
}

/** `web-1, web-2 (10.0.0.2, 10.0.0.3)`, `192.0.2.0/24 (no server)`. */
function endText({ servers, addresses, more = 0 }: End): string {
  const rest = addresses.length - shownAddresses + more;
  const list =
    addresses.slice(0, shownAddresses).join(', ') + (rest > 0 ? ` and ${rest} more` : '');
  return servers.length === 0 ? `${list} (no server)` : `${servers.join(', ')} (${list})`;
}
