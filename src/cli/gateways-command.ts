/** `tunwall gateways`: what each gateway on this policy has in force. */
import { formatDuration } from '../text/duration.ts';
import { line } from '../text/line.ts';
import { formatCount } from '../text/numbers.ts';
import { formatTable } from '../text/table.ts';
import type { FleetView } from './api-types.ts';
import { clientCommand, clientVerb } from './client-verb.ts';
import type { ClientFlags } from './client-verb.ts';
import type { Connections } from './connection.ts';
import { ExitCode } from './errors.ts';
import type { Output } from './output.ts';
import type { Verb } from './program.ts';

type Member = FleetView['gateways'][number];

export function gatewaysCommand(connections: Connections): Verb {
  return clientVerb(connections, (program, { output, run }) => {
    clientCommand(program, {
      usage: 'gateways',
      description:
        'the gateways that share this policy, and what each has in force.\n' +
        'Exit code 0: all that run have the newest change; else 1.',
      examples: [
        ['tunwall gateways', 'of the store that gateway.yaml names'],
        ['tunwall gateways --json', 'for a script'],
      ],
    }).action((flags: ClientFlags) =>
      run(flags, async (client) => {
        const fleet = await client.get<FleetView>('/gateways');
        if (flags.json === true) output.json(fleet);
        else printFleet(fleet, output);
        const isFine =
          fleet.problem === undefined &&
          fleet.gateways.every(({ state }) => state !== 'behind' && !isBroken(state));
        return isFine ? ExitCode.ok : ExitCode.failed;
      }),
    );
  });
}

function isBroken(state: Member['state']): boolean {
  return state === 'refuses' || state === 'failed' || state === 'degraded';
}

function printFleet({ gateways, newest, problem }: FleetView, output: Output): void {
  const nowMs = Date.now();
  const rows = gateways.map((each) => [
    `${each.name}${each.isThis ? ' *' : ''}`,
    each.region ?? '',
    each.version,
    output.style(
      isBroken(each.state) ? 'red' : each.state === 'ok' ? 'green' : 'yellow',
      each.state,
    ),
    changeText(each),
    each.state === 'stopped' ? '' : formatCount(each.flows),
    each.state === 'stopped' ? '' : formatCount(each.packetsPerSecond),
    sinceText(each, nowMs),
  ]);
  const head = ['name', 'region', 'version', 'state', 'change', 'flows', 'packets/s', 'since'];
  output.print(formatTable(head, rows));
  if (newest !== undefined)
    output.print(`the newest change is ${newest}; * is the one that answers`);
  for (const each of gateways) {
    if (each.problem !== undefined && each.state !== 'stopped') {
      output.error(line`${output.style('red', each.name)}: ${each.problem}`);
    }
  }
  if (problem !== undefined) {
    output.error(line`${output.style('red', 'the other gateways are not known')}: ${problem}`);
  }
}

function changeText({ revision, behind = 0 }: Member): string {
  if (revision === undefined) return '';
  return behind === 0 ? String(revision) : `${revision}, ${behind} behind`;
}

function sinceText({ state, startedAt, reportedAt }: Member, nowMs: number): string {
  const ago = (at: string): string => formatDuration(Math.max(0, nowMs - Date.parse(at)) / 1000);
  return state === 'stopped' ? `last seen ${ago(reportedAt)} ago` : ago(startedAt);
}
