/** `tunwall replay`: runs a capture file through a configuration and reports what would have passed. */
import { InvalidArgumentError } from 'commander';
import type { PacketReport, ReplayConfig } from '../interop/captures/replay.ts';
import { noteOf } from '../interop/captures/replay-file.ts';
import type { ReplayFileOptions, ReplayResult } from '../interop/captures/replay-file.ts';
import { formatTime } from '../interop/captures/timestamps.ts';
import type { PacketTime } from '../interop/captures/timestamps.ts';
import { formatProblem } from '../policy/problem.ts';
import type { Problem } from '../policy/types.ts';
import { ExitCode, UserError, printError } from './errors.ts';
import type { Output } from './output.ts';
import { examples, type Verb } from './program.ts';
import type { Progress } from './progress.ts';
import { replayHints, replaySummary, summaryLines } from './replay-summary.ts';
import { configOption, defaultConfigDirectory } from './run-command.ts';
import { visible } from '../text/controls.ts';
import { Line, line } from '../text/line.ts';
import type { Text } from '../text/line.ts';

/** Lines are printed in batches, one system call each. */
const linesAtOnce = 256;

export interface ReplayParts {
  readonly readConfig: (
    directory: string,
  ) => Promise<ReplayConfig & { readonly problems: readonly Problem[] }>;
  readonly replay: (options: ReplayFileOptions) => Promise<ReplayResult>;
  readonly version: string;
  readonly progress: (label: string) => Progress;
}

interface Flags {
  readonly config: string;
  readonly json?: boolean;
  readonly packets?: boolean;
  readonly limit?: number;
  readonly write?: string;
  readonly ignoreChecksums?: boolean;
}

export function replayCommand(parts: ReplayParts): Verb {
  return (program, output, finish) => {
    program
      .command('replay <file>')
      .description(
        'run a capture (pcap or pcapng) through a configuration, offline, and tell what would pass.\n' +
          'Flows time out by the times of the packets. A packet that was captured twice is judged\n' +
          'twice, so capture on one interface.',
      )
      .addOption(configOption())
      .option('-v, --packets', 'print a line for each packet')
      .option('--limit <n>', 'end after n packets of the file', parseCount)
      .option('--write <file>', 'write the packets, with verdicts as comments, into a pcapng file')
      .option('--ignore-checksums', 'take every checksum for right (captures of the sending host)')
      .option('--json', 'print JSON; with --packets one object a line, the summary last')
      .addHelpText(
        'after',
        examples([
          ['tunwall replay eth0.pcap', `through ${defaultConfigDirectory}`],
          ['tunwall replay eth0.pcap --config ./new -v', 'what a new configuration would do'],
          ['tunwall replay eth0.pcap --write out.pcapng', 'then look at it in Wireshark'],
          ['tcpdump -c 1000 -w - | tunwall replay /dev/stdin', 'what is going on now'],
        ]),
      )
      .action((file: string, flags: Flags) => finish(replay(file, flags, parts, output)));
  };
}

function parseCount(text: string): number {
  const count = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(count) && count > 0) return count;
  throw new InvalidArgumentError('Expected a number from 1 up.');
}

async function replay(
  file: string,
  flags: Flags,
  parts: ReplayParts,
  output: Output,
): Promise<number> {
  const config = await readConfig(flags.config, parts, output);
  const printer = flags.packets === true ? packetPrinter(flags.json === true, output) : undefined;
  // No progress bar between packet lines on one terminal.
  const progress = printer === undefined ? parts.progress('replay') : undefined;
  let result: ReplayResult;
  try {
    result = await parts.replay({
      file,
      config,
      limit: flags.limit,
      write: flags.write,
      ignoreChecksums: flags.ignoreChecksums === true,
      application: `tunwall ${parts.version}`,
      onPacket: printer?.add,
      onProgress: progress && ((done, total) => progress.update(done, total)),
    });
  } finally {
    progress?.finish();
    printer?.flush();
  }
  if (flags.json !== true) {
    output.print(summaryLines(file, result));
    for (const hint of replayHints(result))
      output.print(line`${output.style('yellow', 'note:')} ${hint}`);
  } else if (printer === undefined) output.json(replaySummary(file, result));
  else output.print(JSON.stringify({ summary: replaySummary(file, result) }));
  if (result.error === undefined) return ExitCode.ok;
  printError(output, result.error);
  return ExitCode.failed;
}

async function readConfig(
  directory: string,
  parts: ReplayParts,
  output: Output,
): Promise<ReplayConfig> {
  const config = await parts.readConfig(directory);
  const errors = config.problems.filter(({ severity }) => severity === 'error');
  if (errors.length > 0) {
    throw new UserError(
      [`${directory} has errors:`, ...errors.map((each) => visible(formatProblem(each)))].join(
        '\n',
      ),
      'mend them; tunwall check tells whether all is well',
    );
  }
  for (const warning of config.problems) output.error(formatProblem(warning));
  return config;
}

/** Prints packets, in batches. */
function packetPrinter(
  json: boolean,
  output: Output,
): { add: NonNullable<ReplayFileOptions['onPacket']>; flush: () => void } {
  const lines: Text[] = [];
  const flush = (): void => {
    if (lines.length > 0) output.print(lines);
    lines.length = 0;
  };
  const add = (report: PacketReport, number: number, time: PacketTime): void => {
    lines.push(
      json
        ? JSON.stringify({ packet: number, time: formatTime(time), ...report })
        : packetLine(report, time, output),
    );
    if (lines.length >= linesAtOnce) flush();
  };
  return { add, flush };
}

/** `2026-01-02T03:04:05.678901Z inbound tcp 198.51.100.2:4000 > 10.0.0.2:80 S 60 pass (new flow by web inbound[0])`. */
function packetLine(report: PacketReport, time: PacketTime, output: Output): Line {
  const { verdict, reason, direction, protocol, from, to, detail, length } = report;
  const note = noteOf(report);
  const colour = verdict === 'drop' ? 'red' : verdict === 'pass' ? 'green' : 'yellow';
  const parts = [
    formatTime(time),
    direction === 'none' ? '-' : direction,
    protocol,
    `${from} > ${to}`,
    ...(detail === '' ? [] : [detail]),
    String(length),
    output.style(colour, verdict),
    ...(reason === undefined ? [] : [reason]),
    ...(note === undefined ? [] : [`(${note})`]),
  ];
  return Line.join(parts, ' ');
}
