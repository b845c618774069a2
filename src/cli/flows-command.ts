/** `tunwall flows`: lists flows, and ends some of them. */
import { Option } from 'commander';
import type { Command } from 'commander';
import { flowStates } from '../control/api/live-words.ts';
import { ApiProblem, route } from './api-client.ts';
import type { ApiClient, Query } from './api-client.ts';
import type { FlowPageView, FlowView } from './api-types.ts';
import { clientCommand, clientVerb } from './client-verb.ts';
import type { ClientFlags, ClientParts } from './client-verb.ts';
import { addConnectionOptions } from './connection.ts';
import type { Connections } from './connection.ts';
import { ExitCode, UserError } from './errors.ts';
import type { Output } from './output.ts';
import { parseNumber } from './option-values.ts';
import { examples, type Verb } from './program.ts';
import { formatTable } from '../text/table.ts';
import { formatDuration } from '../text/duration.ts';
import { formatCount, counted } from '../text/numbers.ts';
import { endText } from '../text/packet-text.ts';

/** Page size when all matching flows are requested. */
const pageSize = 1000;

interface FilterFlags extends ClientFlags {
  readonly server?: string;
  readonly address?: string;
  readonly port?: number;
  readonly proto?: string;
  readonly state?: string;
  readonly rule?: string;
}

interface ListFlags extends FilterFlags {
  readonly sort: string;
  readonly limit: number;
}

function addFilterOptions(command: Command): Command {
  return command
    .option('--server <server>', 'of this server')
    .option('--address <address>', 'with this address at either end')
    .option('--port <port>', 'with this port at either end', parseNumber('a port', 0, 65_535))
    .addOption(new Option('--proto <protocol>', 'protocol').choices(['tcp', 'udp', 'icmp']))
    .addOption(new Option('--state <state>', 'in this state').choices(flowStates))
    .option(
      '--rule <template[/direction/number]>',
      'allowed by a rule of this template, or by one: web/inbound/0',
    );
}

function filterOf({ server, address, port, proto, state, rule }: FilterFlags): Query {
  return { server, address, port, protocol: proto, state, rule };
}

export function flowsCommand(connections: Connections): Verb {
  return clientVerb(connections, (program, parts) => {
    const { output, run } = parts;
    const family = program
      .command('flows')
      .description('live flows, largest first')
      .option('--json', 'print JSON')
      .addHelpText(
        'after',
        examples([
          ['tunwall flows --server web-1', 'of one server'],
          ['tunwall flows --port 22 --sort age', 'oldest SSH connections first'],
          ['tunwall flows kill --address 198.51.100.7', 'end all flows of an address'],
        ]),
      );
    addFilterOptions(addConnectionOptions(family))
      .addOption(
        new Option('--sort <order>', 'what comes first')
          .choices(['bytes', 'packets', 'age'])
          .default('bytes'),
      )
      .option('--limit <n>', 'at most so many', parseNumber('a number', 1, pageSize), 50)
      .enablePositionalOptions()
      .action((flags: ListFlags) =>
        run(flags, async (client) => {
          const { sort, limit } = flags;
          const page = await client.get<FlowPageView>('/flows', {
            ...filterOf(flags),
            sort,
            limit,
          });
          if (flags.json === true) output.json(page);
          else printFlows(page, output);
        }),
      );
    addKillCommand(family, parts);
  });
}

function addKillCommand(family: Command, { output, run }: ClientParts): void {
  const command = clientCommand(family, {
    usage: 'kill [id...]',
    description:
      'end flows: those named, or all that match. Packets of an ended flow are dropped;\n' +
      'a new connection is judged by the rules as ever.',
    examples: [
      ['tunwall flows kill 4711-3 4712-9', 'by the first column of tunwall flows'],
      ['tunwall flows kill --server web-1 --port 22', 'all that match'],
    ],
  });
  addFilterOptions(command).action((ids: string[], flags: FilterFlags) => {
    const filter = filterOf(flags);
    const isFiltered = Object.values(filter).some((value) => value !== undefined);
    if (isFiltered === ids.length > 0) {
      command.error('error: expected ids of flows, or options that say which');
    }
    return run(flags, async (client) => {
      const chosen = isFiltered ? await idsOf(client, filter) : ids;
      const gone: string[] = [];
      for (const id of chosen) {
        if (!(await kill(client, id))) gone.push(id);
      }
      const killed = chosen.length - gone.length;
      if (flags.json === true) output.json({ killed, gone });
      else output.print(`${counted(killed, 'flow')} ended`);
      // A flow that was just listed may have ended by itself; one that the user named should exist.
      if (isFiltered || gone.length === 0) return ExitCode.ok;
      const message = `there is no flow ${gone.join(', ')}`;
      if (flags.json === true) throw new UserError(message);
      output.error(message);
      return ExitCode.failed;
    });
  });
}

async function kill(client: ApiClient, id: string): Promise<boolean> {
  try {
    await client.change('DELETE', route`/flows/${id}`);
    return true;
  } catch (error) {
    if (error instanceof ApiProblem && error.kind === 'not-found') return false;
    throw error;
  }
}

async function idsOf(client: ApiClient, filter: Query): Promise<string[]> {
  const ids: string[] = [];
  let after: string | undefined;
  do {
    const page = await client.get<FlowPageView>('/flows', {
      ...filter,
      ...{ sort: 'age', limit: pageSize, after },
    });
    ids.push(...page.flows.map(({ id }) => id));
    after = page.next;
  } while (after !== undefined);
  return ids;
}

function printFlows({ flows, total }: FlowPageView, output: Output): void {
  const rows = flows.map((flow) => [
    flow.id,
    flow.protocol,
    flow.carried === true ? `${flow.state}, carried` : flow.state,
    endText(flow.source, flow.sourcePort, flow.sourceServer),
    endText(flow.destination, flow.destinationPort, flow.destinationServer),
    `${formatCount(flow.original.packets)}/${formatCount(flow.reply.packets)}`,
    `${formatCount(flow.original.bytes)}/${formatCount(flow.reply.bytes)}`,
    formatDuration(flow.ageSeconds),
    formatDuration(flow.idleSeconds),
    formatDuration(flow.expiresSeconds),
    icmpText(flow),
  ]);
  const headings = [
    ...['id', 'protocol', 'state', 'from', 'to', 'packets', 'bytes', 'age', 'idle', 'ends in'],
    rows.some((row) => row.at(-1) !== '') ? 'icmp' : '',
  ];
  output.print(formatTable(headings, rows));
  if (total > flows.length) {
    output.error(`${flows.length} of ${total} flows: --limit shows more, filters find some`);
  }
}

function icmpText({ icmpType, icmpId }: FlowView): string {
  return icmpType === undefined ? '' : `type ${icmpType} id ${icmpId ?? 0}`;
}
