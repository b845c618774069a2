/** `tunwall drops`: recent drops and their reasons; with `--follow` also new ones. */
import { Option } from 'commander';
import { dropReasons } from '../control/api/live-words.ts';
import type { DropListView, DropView } from './api-types.ts';
import { readEvents } from '../text/event-stream.ts';
import { Line } from '../text/line.ts';
import type { Text } from '../text/line.ts';
import { clientCommand, clientVerb, parseNumber } from './client-verb.ts';
import type { ClientFlags } from './client-verb.ts';
import type { Connections } from './connection.ts';
import { UserError } from './errors.ts';
import type { Output } from './output.ts';
import type { Verb } from './program.ts';
import { endText } from '../text/packet-text.ts';

interface Flags extends ClientFlags {
  readonly follow?: boolean;
  readonly server?: string;
  readonly reason?: string;
  readonly limit?: number;
  readonly explain?: boolean;
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
      ],
    })
      .option('-f, --follow', 'go on with what is dropped from now on')
      .option('--server <server>', 'to or from this server')
      .addOption(new Option('--reason <reason>', 'for this reason').choices(dropReasons))
      .option('--limit <n>', 'so many of the last ones', parseNumber('a number', 0, 1000), 20)
      .option('-x, --explain', 'print below each packet the command that explains it')
      .action((flags: Flags) =>
        run(flags, async (client) => {
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
        }),
      );
  });
}

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
