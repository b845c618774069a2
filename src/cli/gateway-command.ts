/** `tunwall gateway up|down|status|watch`: options, printing and exit codes; the work is src/host's. */
import { InvalidArgumentError, Option, type Command } from 'commander';
import type {
  DownOptions,
  GatewayItem,
  GatewayOptions,
  GatewayReport,
  GatewayStatus,
} from '../host/gateway.ts';
import { ExitCode } from './errors.ts';
import type { Output } from './output.ts';
import { describeWatch, runWatch, type WatchFlags, type WatchParts } from './gateway-watch.ts';
import { examples, type Verb } from './program.ts';
import { fastPathModes, type FastPathMode } from '../system/fast-path.ts';
import { line } from '../text/line.ts';
import type { Line } from '../text/line.ts';
import { formatTable } from '../text/table.ts';

export interface GatewayActions {
  readonly up: (options: GatewayOptions) => Promise<GatewayReport>;
  readonly down: (options: DownOptions) => Promise<GatewayReport>;
  readonly status: (options: GatewayOptions) => Promise<GatewayStatus>;
  readonly watch: WatchParts;
  /** The device settings in a directory's gateway.yaml. */
  readonly configured: (directory: string) => Promise<ConfiguredDevice>;
}

export interface ConfiguredDevice {
  readonly device: string;
  readonly txQueueLength: number;
  readonly fastPath: FastPathMode;
  readonly flowCapacity: number;
}

interface Flags {
  readonly device?: string;
  readonly config?: string;
  readonly user?: string;
  readonly txqueuelen?: number;
  readonly guard?: boolean;
  readonly integrate?: boolean;
  readonly fastPath?: FastPathMode;
  readonly keepClosed?: boolean;
  readonly json?: boolean;
}

export function gatewayCommand(actions: GatewayActions): Verb {
  return (program, output, finish) => {
    const gateway = program
      .command('gateway')
      .description('lead what this network namespace forwards through the TUN')
      .addHelpText(
        'after',
        '\nActs on the network namespace that it is run in: ip netns exec NAME tunwall gateway up',
      );
    addUp(gateway, actions, output, finish);
    addDown(gateway, actions, output, finish);
    addStatus(gateway, actions, output, finish);
    addWatch(gateway, actions, finish);
  };
}

type Finish = Parameters<Verb>[2];

function addCommon(command: Command): Command {
  return command
    .option('--device <name>', 'the TUN device (default: the one that is up, else fw0)')
    .addOption(
      new Option(
        '--config <dir>',
        'take device, queue length and fast path from gateway.yaml there',
      ).conflicts('device'),
    )
    .option('--json', 'print JSON');
}

async function gatewayOptions(flags: Flags, actions: GatewayActions): Promise<GatewayOptions> {
  const configured =
    flags.config === undefined ? undefined : await actions.configured(flags.config);
  return {
    device: flags.device ?? configured?.device,
    user: flags.user,
    guard: flags.guard,
    integrate: flags.integrate,
    fastPath: flags.fastPath ?? configured?.fastPath,
    flowCapacity: configured?.flowCapacity,
    txQueueLength: flags.txqueuelen ?? configured?.txQueueLength,
  };
}

function addUp(gateway: Command, actions: GatewayActions, output: Output, finish: Finish): void {
  addCommon(gateway.command('up'))
    .description(
      'set up the guard, the persistent TUN, routing rules, routes and sysctls (needs root).\n' +
        'Run it again to repair. From then on everything forwarded is dropped until `tunwall run`;\n' +
        'also when `up` fails: then `gateway down` opens.',
    )
    .option(
      '--user <user>',
      'user that may run the firewall on the device (default: the caller of sudo, else root)',
    )
    .option('--txqueuelen <packets>', 'length of the device queue (default: 4000)', queueLength)
    .option(
      '--integrate',
      'keep judged packets accepted in DOCKER-USER, the chain that Docker leaves us',
    )
    .addOption(
      new Option(
        '--fast-path <mode>',
        'let the kernel carry established flows past the TUN; auto: unless that would bypass\n' +
          "rules of others; force: also then (default: as it is up, else gateway.yaml's)",
      ).choices(fastPathModes),
    )
    .option('--guard', 'with the guard again, after --no-guard')
    .option('--no-guard', 'do without nftables: one line of defence less')
    .addHelpText(
      'after',
      examples([
        ['sudo tunwall gateway up --user tunwall', 'set up for a service user'],
        ['sudo tunwall gateway up --device fw1', 'use another device name'],
      ]),
    )
    .action((flags: Flags) =>
      finish(
        gatewayOptions(flags, actions).then(async (options) => {
          const report = await actions.up(options);
          printReport(report, flags, output, `gateway is up on ${report.device}`);
          return ExitCode.ok;
        }),
      ),
    );
}

function addDown(gateway: Command, actions: GatewayActions, output: Output, finish: Finish): void {
  addCommon(gateway.command('down'))
    .description('set back everything that `up` changed (needs root)')
    .option('--keep-closed', 'leave the guard: nothing is forwarded until the next `up` or `down`')
    .addHelpText(
      'after',
      examples([
        ['sudo tunwall gateway down', 'go back to what was before'],
        ['sudo tunwall gateway down --keep-closed', 'likewise, but forward nothing'],
      ]),
    )
    .action((flags: Flags) =>
      finish(
        gatewayOptions(flags, actions).then(async (options) => {
          const report = await actions.down({ ...options, keepClosed: flags.keepClosed });
          printReport(report, flags, output, `gateway is down`);
          return ExitCode.ok;
        }),
      ),
    );
}

function addStatus(
  gateway: Command,
  actions: GatewayActions,
  output: Output,
  finish: Finish,
): void {
  addCommon(gateway.command('status'))
    .description('compare the namespace with what it should be; exit code 1 unless all is right')
    .option('--user <user>', 'expected owner of the device (default: the user given to `up`)')
    .addHelpText(
      'after',
      examples([
        ['tunwall gateway status', 'a table of everything that has to be right'],
        ['tunwall gateway status --json | jq .ok', 'for a monitor'],
      ]),
    )
    .action((flags: Flags) =>
      finish(
        gatewayOptions(flags, actions).then(async (options) => {
          const status = await actions.status(options);
          if (flags.json === true) output.json(status);
          else printStatus(status, output);
          return status.ok ? ExitCode.ok : ExitCode.failed;
        }),
      ),
    );
}

function addWatch(gateway: Command, actions: GatewayActions, finish: Finish): void {
  describeWatch(addCommon(gateway.command('watch'))).action((flags: Flags & WatchFlags) =>
    finish(
      gatewayOptions(flags, actions).then(({ device }) => runWatch(device, flags, actions.watch)),
    ),
  );
}

function queueLength(text: string): number {
  const packets = Number(text);
  if (/^\d+$/.test(text) && packets >= 1 && packets <= 1_000_000) return packets;
  throw new InvalidArgumentError('expected a number of packets from 1 to 1000000.');
}

function printReport(report: GatewayReport, flags: Flags, output: Output, result: string): void {
  if (flags.json === true) {
    output.json(report);
    return;
  }
  output.print(report.changed.map((change) => `  ${change}`));
  const state = report.changed.length === 0 ? ' (nothing to change)' : '';
  output.print(line`${output.style('green', result)}${state}`);
  printWarnings(report.warnings, output);
}

function printWarnings(warnings: readonly string[], output: Output): void {
  for (const warning of warnings) {
    output.error(line`${output.style('yellow', 'note:')} ${warning}`);
  }
}

function printStatus(status: GatewayStatus, output: Output): void {
  const mark = ({ ok }: GatewayItem): Line =>
    ok ? output.style('green', 'ok') : output.style('red', 'NO');
  const rows = status.items.map((item) => [mark(item), item.item, item.expected, item.found]);
  output.print(formatTable(['ok', 'what', 'expected', 'found'], rows));
  const wrong = status.items.filter(({ ok }) => !ok).length;
  const repairable = status.problems.some((problem) => problem.repairable);
  output.print('');
  for (const { what, hint } of status.problems) {
    if (hint !== undefined) output.print(`${what}: ${hint}`);
  }
  if (status.closed) output.print('gateway is down, and closed: the guard drops what is forwarded');
  else if (!status.recorded) output.print(`gateway is down: 'tunwall gateway up' was not run here`);
  else if (wrong > 0)
    output.print(
      `${wrong} not as they should be${repairable ? ': tunwall gateway up repairs what is ours' : ''}`,
    );
  else output.print('gateway is up, everything is as it should be');
  if (status.recorded && status.attachedQueues === 0) {
    output.print(`no firewall is attached to ${status.device}: everything forwarded is dropped`);
  }
  if (status.recorded && status.fastPath.mode !== 'off') {
    const { interfaces, why } = status.fastPath;
    output.print(
      interfaces.length > 0
        ? `the fast path is on: ${interfaces.join(', ')}`
        : `the fast path is off: ${why.join('; ')}`,
    );
  }
  if (status.bypass !== undefined && status.bypass.packets > 0) {
    output.print(
      `the guard has dropped ${status.bypass.packets} packets that went around the firewall`,
    );
  }
  printWarnings(status.warnings, output);
}
