/** `tunwall gateway watch`: what it says while it watches; the work is src/host's. */
import type { Command } from 'commander';
import type { WatchEvent, WatchOptions } from '../host/watch.ts';
import type { Logger } from '../control/log/logger.ts';
import { ExitCode } from './errors.ts';
import { examples } from './program.ts';

export interface WatchParts {
  readonly watch: (options: WatchOptions) => Promise<void>;
  /** @param asJson also on a terminal */
  readonly createLogger: (asJson: boolean) => Promise<Logger>;
  /** Aborted by SIGTERM and SIGINT. */
  readonly interrupted: () => AbortSignal;
  /** Tells the supervisor, if there is one. */
  readonly notify: (ready: boolean, status: string) => Promise<void>;
}

export interface WatchFlags {
  readonly reportOnly?: boolean;
  readonly json?: boolean;
}

/** Things that one line of the log names; more are counted. */
const namedAtOnce = 20;

/** Adds what only `watch` has to its command. */
export function describeWatch(command: Command): Command {
  return command
    .description(
      'repair what others change of the gateway, within a second (needs root; for a service).\n' +
        'That is rules, routes, the guard, sysctls and the device. Every repair is logged. It ends at\n' +
        'SIGTERM, and when the gateway is taken down. Its end changes nothing.',
    )
    .option('--report-only', 'log what is wrong, and repair nothing')
    .addHelpText(
      'after',
      examples([
        ['sudo tunwall gateway watch', 'after `gateway up`'],
        ['sudo tunwall gateway watch --report-only', 'only say what is changed'],
      ]),
    );
}

export async function runWatch(
  device: string | undefined,
  flags: WatchFlags,
  parts: WatchParts,
): Promise<number> {
  const log = await parts.createLogger(flags.json === true);
  const reportOnly = flags.reportOnly === true;
  const tell = (ready: boolean, status: string): void => {
    parts.notify(ready, status).catch((error: unknown) => {
      log.warn(`systemd was not notified: ${(error as Error).message}`);
    });
  };
  await parts.watch({
    device,
    reportOnly,
    signal: parts.interrupted(),
    onEvent(event) {
      logEvent(log, event, reportOnly);
      if (event.kind === 'started') tell(true, `watches the gateway on ${event.device}`);
      if (event.kind === 'problems') {
        const names = event.problems.map(({ what }) => what).slice(0, namedAtOnce);
        tell(false, names.length === 0 ? 'ok' : `degraded: ${names.join(', ')}`);
      }
    },
  });
  return ExitCode.ok;
}

function logEvent(log: Logger, event: WatchEvent, reportOnly: boolean): void {
  switch (event.kind) {
    case 'started':
      log.info({ device: event.device, reportOnly }, 'the gateway is watched');
      break;
    case 'repaired':
      log.warn(named('repairs', event.repairs), 'repaired');
      break;
    case 'problems':
      if (event.problems.length === 0) log.info('the gateway is as it should be');
      else log.warn(named('problems', event.problems), 'the gateway is degraded');
      break;
    case 'failed':
      log.error(event.message);
      break;
    case 'ended':
      log.info(`the watch has ended: ${event.why}`);
  }
}

function named(key: string, all: readonly unknown[]): Record<string, unknown> {
  const more = all.length - namedAtOnce;
  return { [key]: all.slice(0, namedAtOnce), ...(more > 0 && { more }) };
}
