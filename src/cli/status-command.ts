/** `tunwall status` and `tunwall audit`: the firewall's state, and the audit log. */
import { Option } from 'commander';
import { formatProblem } from '../policy/problem.ts';
import type { AuditPageView, StatusView } from './api-types.ts';
import { clientCommand, clientVerb } from './client-verb.ts';
import type { ClientFlags } from './client-verb.ts';
import type { Connections } from './connection.ts';
import { ExitCode } from './errors.ts';
import type { Output } from './output.ts';
import { parseNumber } from './option-values.ts';
import type { Verb } from './program.ts';
import { line } from '../text/line.ts';
import { whichGateway } from '../text/regions.ts';
import { rejectText } from '../text/reject-text.ts';
import { formatTable } from '../text/table.ts';
import { formatDuration } from '../text/duration.ts';
import { formatCount, counted, grouped } from '../text/numbers.ts';

export function statusCommand(connections: Connections): Verb {
  return clientVerb(connections, (program, { output, run }) => {
    clientCommand(program, {
      usage: 'status',
      description:
        'whether the firewall runs, and by what it judges.\n' +
        'Exit code 0: it runs, the configuration is in force, the gateway is not degraded; else 1.',
      examples: [
        ['tunwall status', 'of this machine'],
        ['tunwall status --url http://127.0.0.1:8740 --token-file token', 'over HTTP'],
      ],
    }).action((flags: ClientFlags) =>
      run(flags, async (client) => {
        const status = await client.get<StatusView>('/status');
        if (flags.json === true) output.json(status);
        else printStatus(status, client.target, output);
        const broken = status.problems.some(({ severity }) => severity === 'error');
        const { reloadError, watchError, listenError } = status;
        const fine = reloadError === null && (watchError ?? listenError) === undefined;
        const degraded = status.gateway?.state === 'degraded';
        return status.running && fine && !broken && !degraded ? ExitCode.ok : ExitCode.failed;
      }),
    );
  });
}

function storeText(store: NonNullable<StatusView['store']>): string {
  const { name, endpoint, connected, confirmedAgeSeconds: age, revision } = store;
  const when = age === undefined ? 'never confirmed' : `confirmed ${formatDuration(age)} ago`;
  return connected
    ? `${name} at ${endpoint}: change ${revision}, ${when}`
    : `${name} is not connected: change ${revision}, ${when}`;
}

function printStatus(status: StatusView, target: string, output: Output): void {
  const { running, version, epoch, policy, flows, uptimeSeconds, device, queues } = status;
  output.print(
    running
      ? line`tunwall ${version} is ${output.style('green', 'running')} (${target})`
      : line`${output.style('yellow', 'no firewall is running')}: this is what ${target} says`,
  );
  const rows: (readonly [string, string])[] = [
    ['configuration', status.configDirectory],
    [
      'policy',
      `epoch ${epoch}: ${counted(policy.templates, 'template')}, ${counted(policy.servers, 'server')}, ${counted(policy.rules, 'rule')}${policy.sets === 0 ? '' : `, ${counted(policy.sets, 'set')}`}`,
    ],
  ];
  if (status.name !== undefined || status.region !== undefined) {
    rows.push(['this gateway', whichGateway(status)]);
  }
  if (status.store !== undefined) rows.push(['store', storeText(status.store)]);
  rows.push(['rejects', rejectText(status.reject)]);
  if (device !== undefined) rows.push(['device', `${device}, ${counted(queues ?? 1, 'queue')}`]);
  if (flows !== undefined) {
    rows.push(['flows', `${flows.count} of ${flows.capacity} (${formatCount(flows.capacity)})`]);
  }
  if (status.history !== undefined) {
    rows.push(['charts', `${grouped(Math.ceil(status.history.bytes / 1024))} KiB of memory`]);
  }
  if (status.survival !== undefined) rows.push(['after restarts', survivalText(status.survival)]);
  if (status.fastPath !== undefined) rows.push(['fast path', fastPathText(status.fastPath)]);
  if (status.process !== undefined) rows.push(['process', processText(status.process)]);
  if (uptimeSeconds !== undefined) {
    rows.push(['up', `${formatDuration(uptimeSeconds)}, since ${status.startedAt ?? '?'}`]);
  }
  if (status.reloads !== undefined) {
    rows.push(['policy changes', `${status.reloads}, ${status.reloadFailures ?? 0} refused`]);
  }
  if (status.gateway !== undefined) rows.push(['gateway', gatewayText(status.gateway)]);
  for (const [name, value] of rows) output.print(`  ${name.padEnd(14)}  ${value}`);
  for (const { server, until } of status.observing ?? []) {
    output.error(
      line`${output.style('yellow', 'observed, not enforced')}: what no rule allows passes at server ${server} until ${until}; see tunwall drops --reason would-drop`,
    );
  }
  if (status.unconfirmed !== undefined) {
    const { revision, actor, secondsLeft, summary } = status.unconfirmed;
    const left = formatDuration(Math.round(secondsLeft));
    output.error(
      line`${output.style('yellow', 'not confirmed')}: revision ${revision} of ${actor} (${summary}) is undone in ${left}, unless you say: tunwall confirm`,
    );
  }
  for (const { what, wanted, found, hint } of status.gateway?.problems ?? []) {
    const where = line`${output.style('red', 'the gateway is degraded')}: ${what}`;
    output.error(
      line`${where} is ${found}, not ${wanted}${hint === undefined ? '' : ` (${hint})`}`,
    );
  }
  if (status.reloadError !== null) {
    output.error(
      line`${output.style('red', 'degraded')}: epoch ${status.epoch}, the last good policy, is in force; the configuration is refused: ${status.reloadError}`,
    );
  }
  if (status.watchError !== undefined) {
    const what = status.store === undefined ? 'edits of files are not seen' : 'the store is away';
    output.error(line`${output.style('red', what)}: ${status.watchError}`);
  }
  if (status.listenError !== undefined) {
    output.error(line`${output.style('red', 'not reachable everywhere')}: ${status.listenError}`);
  }
  if (status.process?.upgradeError !== undefined) {
    output.error(
      line`${output.style('yellow', 'the last upgrade has failed')}: ${status.process.upgradeError}`,
    );
  }
  for (const problem of status.problems) output.error(formatProblem(problem));
}

function fastPathText({ on, interfaces, why, flows }: NonNullable<StatusView['fastPath']>): string {
  return on
    ? `on at ${interfaces.join(', ')}: ${counted(flows, 'flow')}`
    : `off: ${why ?? 'not known'}`;
}

function processText(own: NonNullable<StatusView['process']>): string {
  const { pid, parent, parentStartedAt, restarts, upgrades, died, gapMs, upgrading } = own;
  const before =
    restarts + upgrades > 0
      ? `: ${counted(restarts, 'restart')}, ${counted(upgrades, 'upgrade')}`
      : '';
  const parts = [
    `${pid}, of parent ${parent} since ${parentStartedAt}${before}`,
    ...(gapMs === undefined ? [] : [`took over after ${gapMs} ms`]),
    ...(died === undefined ? [] : [`the one before died: ${died}`]),
    ...(upgrading ? ['the next one is being started'] : []),
  ];
  return parts.join('; ');
}

function survivalText(survival: NonNullable<StatusView['survival']>): string {
  const { kept, adopted, cut, expired, refused, problem } = survival;
  const goOn = kept ? 'flows go on' : 'flows are lost';
  const counts = [
    [adopted, 'adopted'],
    [cut, 'cut by the policy'],
    [expired, 'expired'],
    [refused, 'refused'],
  ] as const;
  const found = counts.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`);
  const before = found.length === 0 ? '' : `; of the process before: ${found.join(', ')}`;
  return `${goOn}${before}${problem === undefined ? '' : ` (${problem})`}`;
}

function gatewayText({ state, watch }: NonNullable<StatusView['gateway']>): string {
  switch (watch) {
    case 'running':
      return `${state}, watched`;
    case 'report-only':
      return `${state}, watched, but nothing is repaired (--report-only)`;
    case 'stale':
      return `${state}, the watch is silent`;
    case 'absent':
      return `${state}, not watched: the guard is not seen here, and nothing is repaired`;
  }
}

interface AuditFlags extends ClientFlags {
  readonly limit?: number;
  readonly before?: string;
  readonly actor?: string;
  readonly action?: string;
  readonly target?: string;
  readonly result?: string;
  readonly since?: string;
  readonly until?: string;
}

export function auditCommand(connections: Connections): Verb {
  return clientVerb(connections, (program, { output, run }) => {
    clientCommand(program, {
      usage: 'audit',
      description: 'who did what, newest first; what was denied or refused, too',
      examples: [
        ['tunwall audit --action template --since 2030-01-31', 'changes of templates'],
        ['tunwall audit --target web-1', 'what was done to a server'],
        ['tunwall audit --result denied --json', 'for a script'],
      ],
    })
      .option('--limit <n>', 'at most so many (default: 100)', parseNumber('a number', 1, 1000))
      .option('--before <id>', 'older than this record: the next page')
      .option('--actor <name>', 'by this user')
      .option('--action <action>', 'an action (template.create), or its first part')
      .option('--target <name>', 'on this template, server, set or user')
      .addOption(
        new Option('--result <result>', 'how it ended').choices([
          'ok',
          'denied',
          'refused',
          'failed',
        ]),
      )
      .option('--since <time>', 'from this time on (ISO 8601)')
      .option('--until <time>', 'up to this time')
      .action((flags: AuditFlags) =>
        run(flags, async (client) => {
          const { limit, before, actor, action, target, result, since, until } = flags;
          const page = await client.get<AuditPageView>('/audit', {
            ...{ limit, before, actor, action, target, result },
            ...{ since: asTime(since), until: asTime(until) },
          });
          if (flags.json === true) output.json(page);
          else printAudit(page, output);
        }),
      );
  });
}

/** A date, or a time without seconds, is also an ISO time; the API requires the full form. */
function asTime(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  const time = new Date(text);
  return Number.isNaN(time.getTime()) ? text : time.toISOString();
}

function printAudit({ records, next }: AuditPageView, output: Output): void {
  const rows = records.map(({ at, actor, action, result, target = [], summary = '', why }) => [
    at,
    `${actor.name} (${[actor.via, actor.token, actor.address].filter((part) => part !== undefined).join(' ')})`,
    action,
    result === 'ok' ? result : output.style('red', result),
    target.join(', '),
    why === undefined ? summary : `${summary} (${why})`,
  ]);
  output.print(formatTable(['at', 'who', 'action', 'result', 'target', 'summary'], rows));
  if (next !== undefined) output.error(`there is more: --before ${next}`);
}
