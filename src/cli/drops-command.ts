/** `tunwall drops`: recent drops and their reasons; with `--follow` also new ones; with `--by` how many of each kind. */
import { InvalidArgumentError, Option } from 'commander';
import type { Command } from 'commander';
import { dropFields, dropReasons } from '../control/api/live-words.ts';
import type { DropField } from '../control/api/live-words.ts';
import type { ApiClient } from './api-client.ts';
import type { DropGroupView, DropGroupsView, DropListView, DropView } from './api-types.ts';
import { readEvents } from '../text/event-stream.ts';
import { Line } from '../text/line.ts';
import type { Text } from '../text/line.ts';
import { clientCommand, clientVerb } from './client-verb.ts';
import type { ClientFlags } from './client-verb.ts';
import type { Connections } from './connection.ts';
import { UserError } from './errors.ts';
import type { Output } from './output.ts';
import { parseNumber } from './option-values.ts';
import type { Verb } from './program.ts';
import { endText } from '../text/packet-text.ts';
import { formatCount } from '../text/numbers.ts';
import { formatTable } from '../text/table.ts';

interface Flags extends ClientFlags {
  readonly follow?: boolean;
  readonly server?: string;
  readonly reason?: string;
  readonly limit?: number;
  readonly explain?: boolean;
  readonly by?: readonly string[];
  readonly sort?: string;
}

export interface DropsActions {
  readonly connections: Connections;
  /** Aborted by Ctrl-C. */
  readonly interrupted: () => AbortSignal;
}

export function dropsCommand({ connections, interrupted }: DropsActions): Verb {
  return clientVerb(connections, (program, { output, run }) => {
    clientCommand(program, {
      usage: 'drops',
      description: 'the packets that were dropped last: when, why, from where to where',
      examples: [
        ['tunwall drops --follow --server web-1', 'go on until Ctrl-C'],
        ['tunwall drops --explain', 'with the command that says which rule was nearest'],
        ['tunwall drops --follow --json | jq .reason', 'one object a line'],
        ['tunwall drops --by source,port', 'how many of each, the most frequent first'],
      ],
    })
      .option('-f, --follow', 'go on with what is dropped from now on')
      .option('--server <server>', 'to or from this server')
      .addOption(new Option('--reason <reason>', 'for this reason').choices(dropReasons))
      .option('--limit <n>', 'so many of the last ones', parseNumber('a number', 0, 1000), 20)
      .option('-x, --explain', 'print below each packet the command that explains it')
      .option('--by <fields>', `group them: ${dropFields.join(', ')}, or some of these`, readFields)
      .addOption(
        new Option('--sort <order>', 'with --by: what comes first (default: count)').choices([
          ...['count', 'last'],
        ]),
      )
      .action((flags: Flags, command: Command) => {
        if (flags.by === undefined && flags.sort !== undefined) {
          command.error('error: --sort needs --by');
        }
        if (flags.by !== undefined && (flags.follow === true || flags.explain === true)) {
          command.error('error: --by cannot be used with --follow or --explain');
        }
        return run(flags, async (client) => {
          if (flags.by !== undefined) {
            await printGroups(client, flags.by, flags, output);
            return;
          }
          const { server, reason, limit } = flags;
          const query = { server, reason, limit };
          const print = (drop: DropView): void => output.print(dropText(drop, flags, output));
          if (flags.follow !== true) {
            const { drops } = await client.get<DropListView>('/drops', query);
            if (flags.json === true) output.json({ drops });
            else drops.forEach(print);
            return;
          }
          const signal = interrupted();
          try {
            const stream = await client.stream('/drops', query, 'text/event-stream', signal);
            for await (const { event, data } of readEvents(stream)) {
              if (event === 'drop') print(JSON.parse(data) as DropView);
            }
          } catch (error) {
            if (signal.aborted) return;
            throw error;
          }
          if (!signal.aborted)
            throw new UserError('the firewall has ended the stream', 'has it stopped?');
        });
      });
  });
}

function readFields(text: string): string[] {
  const fields = text.split(',').map((field) => field.trim());
  const wrong = fields.find((field) => !dropFields.some((each) => each === field));
  if (wrong === undefined) return fields;
  throw new InvalidArgumentError(`expected some of ${dropFields.join(', ')}.`);
}

async function printGroups(
  client: ApiClient,
  by: readonly string[],
  flags: Flags,
  output: Output,
): Promise<void> {
  const { server, reason, sort, limit } = flags;
  const query = { by: by.join(','), server, reason, sort, limit: Math.max(1, limit ?? 1) };
  const answer = await client.get<DropGroupsView>('/drops/groups', query);
  if (flags.json === true) {
    output.json(answer);
    return;
  }
  const { groups, total, forgotten } = answer;
  const shown = dropFields.filter((field) => by.includes(field));
  output.print(
    formatTable(
      ['drops', 'bytes', 'last', ...shown],
      groups.map((group) => [
        String(group.count),
        formatCount(group.bytes),
        group.last,
        ...shown.map((field) => fieldTexts[field](group)),
      ]),
    ),
  );
  if (total > groups.length) {
    output.error(`${groups.length} of ${total} groups: --limit shows more, filters find some`);
  }
  if (forgotten > 0) {
    output.error(`${forgotten} drops are in no group any more: there were too many kinds`);
  }
}

const fieldTexts: Readonly<Record<DropField, (group: DropGroupView) => Text>> = {
  source: ({ source = '', sourceServer }) => endText(source, undefined, sourceServer),
  destination: ({ destination = '', destinationServer }) =>
    endText(destination, undefined, destinationServer),
  port: ({ protocol = '', destinationPort }) =>
    destinationPort === undefined ? protocol : `${protocol}/${destinationPort}`,
  reason: ({ reason = '' }) => reason,
};

/** `2030-01-31T12:00:00.000Z no-inbound-rule inbound tcp 198.51.100.7:4000 > 10.0.0.2:22 (web-1) S 60`. */
function dropText(drop: DropView, flags: Flags, output: Output): Text[] {
  if (flags.json === true) return [JSON.stringify(drop)];
  const { at, reason, direction, protocol, bytes, tcpFlags, icmpType, icmpCode } = drop;
  const detail =
    tcpFlags ?? (icmpType === undefined ? '' : `type ${icmpType} code ${icmpCode ?? 0}`);
  const parts = [
    at,
    output.style('red', reason),
    ...(direction === 'none' ? [] : [direction]),
    protocol,
    `${endText(drop.source, drop.sourcePort, drop.sourceServer)} >`,
    endText(drop.destination, drop.destinationPort, drop.destinationServer),
    ...(detail === '' ? [] : [detail]),
    String(bytes),
  ];
  const command = flags.explain === true ? explainCommandOf(drop) : undefined;
  return [Line.join(parts, ' '), ...(command === undefined ? [] : [`  ${command}`])];
}

/** The `tunwall explain` call for this drop; none if no rule can allow such a packet. */
function explainCommandOf(drop: DropView): string | undefined {
  const { protocol, source, destination, sourcePort, destinationPort, icmpType } = drop;
  if (protocol === 'icmp') {
    const type = icmpType === undefined || icmpType === 8 ? '' : ` --icmp-type ${icmpType}`;
    return `tunwall explain --from ${source} --to ${destination} --proto icmp${type}`;
  }
  if (destinationPort === undefined || (protocol !== 'tcp' && protocol !== 'udp')) return undefined;
  return `tunwall explain --from ${source}:${sourcePort ?? 0} --to ${destination}:${destinationPort} --proto ${protocol}`;
}
