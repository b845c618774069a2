/** `tunwall capture`: packets that pass or drop, live, as a pcapng file with their verdicts. */
import { Option } from 'commander';
import type { Readable, Writable } from 'node:stream';
import { clientVerb } from './client-verb.ts';
import type { Connections } from './connection.ts';
import { addConnectionOptions } from './connection.ts';
import type { ConnectionFlags } from './connection.ts';
import { UserError } from './errors.ts';
import { parseNumber } from './option-values.ts';
import { BlockSplitter } from '../interop/captures/block-splitter.ts';
import { examples, type Verb } from './program.ts';
import { counted } from '../text/numbers.ts';

interface Flags extends ConnectionFlags {
  readonly write: string;
  readonly dropped?: boolean;
  readonly passed?: boolean;
  readonly server?: string;
  readonly snaplen?: number;
  readonly count?: number;
}

export interface CaptureActions {
  readonly connections: Connections;
  /** Where a file is written; `-` is standard output. */
  readonly openFile: (path: string) => Promise<Writable>;
  readonly interrupted: () => AbortSignal;
}

export function captureCommand(actions: CaptureActions): Verb {
  return clientVerb(actions.connections, (program, { output, run }) => {
    const command = program
      .command('capture')
      .description(
        'write packets, with verdict and reason as comments, into a pcapng file, until Ctrl-C.\n' +
          'Wireshark opens it. Needs the owner role. A reader that is too slow loses packets,\n' +
          'and the file says how many.',
      )
      .addHelpText(
        'after',
        examples([
          ['tunwall capture -w dropped.pcapng --dropped --server web-1', 'why does it not work?'],
          ['tunwall capture -w - | tshark -r - -T fields -e frame.comment', 'look at it live'],
        ]),
      )
      .requiredOption('-w, --write <file>', 'the file; - is standard output')
      .addOption(new Option('--dropped', 'only what is dropped').conflicts('passed'))
      .addOption(new Option('--passed', 'only what passes'))
      .option('--server <server>', 'to or from this server')
      .option('--snaplen <bytes>', 'keep so much of each packet', parseNumber('bytes', 1, 65_535))
      .option('--count <n>', 'end after n packets', parseNumber('a number', 1));
    addConnectionOptions(command).action((flags: Flags) =>
      run(flags, async (client) => {
        const signal = actions.interrupted();
        const { dropped, passed, server, snaplen, count } = flags;
        const verdict = dropped === true ? 'dropped' : passed === true ? 'passed' : undefined;
        const query = { verdict, server, snaplen, limit: count };
        const stream = await client.stream('/capture', query, 'application/x-pcapng', signal);
        // Opened only now, so that a refused capture does not overwrite an existing file.
        const file = await actions.openFile(flags.write).catch((error: unknown) => {
          stream.destroy();
          throw error;
        });
        const end = flags.write === '-' ? flush : close;
        const packets = await copyBlocks(stream, file, end, signal);
        output.error(`${counted(packets, 'packet')} captured`);
      }),
    );
  });
}

type End = (file: Writable, done: (error?: Error | null) => void) => void;

/** Standard output stays open: it is not ours. */
const flush: End = (file, done) => void file.write('', done);
const close: End = (file, done) => void file.end(done);

/** Copies whole blocks, so that the file is valid wherever the stream ends; returns the number of packets. */
async function copyBlocks(
  stream: Readable,
  file: Writable,
  end: End,
  signal: AbortSignal,
): Promise<number> {
  const blocks = new BlockSplitter();
  let failure: NodeJS.ErrnoException | undefined;
  file.on('error', (error: NodeJS.ErrnoException) => {
    failure ??= error;
    stream.destroy();
  });
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      const whole = blocks.add(chunk);
      if (whole.length > 0 && !file.write(whole)) await drained(file);
    }
  } catch (error) {
    if (!signal.aborted && failure === undefined) throw error;
  }
  await new Promise<void>((resolve) => {
    end(file, (error) => {
      if (error) failure ??= error;
      resolve();
    });
  });
  // It is no failure if the reader of a pipe closes it.
  if (failure === undefined || failure.code === 'EPIPE') return blocks.packets;
  throw new UserError(`the capture cannot be written: ${failure.message}`, 'is there room?', {
    cause: failure,
  });
}

/** Resolves when there is room again, or the stream is closed. */
function drained(file: Writable): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      file.off('drain', done).off('error', done);
      resolve();
    };
    file.on('drain', done).on('error', done);
  });
}
