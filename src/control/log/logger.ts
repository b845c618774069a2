/** The process's log: pino, JSON lines on a pipe or file, pretty on a terminal. */
import { pino } from 'pino';
import type { DestinationStream, Logger } from 'pino';
import { visible } from '../../text/controls.ts';

export type { Logger } from 'pino';

/**
 * Opens the log. Lines are written synchronously: the last ones before an exit matter most.
 *
 * @param forPerson for a person; default: on a terminal
 * @returns makes the logger, of a level
 */
export async function openLog(
  forPerson: boolean = process.stdout.isTTY,
): Promise<(level: string) => Logger> {
  const destination = forPerson ? await forTerminal() : pino.destination({ fd: 1, sync: true });
  return (level) =>
    pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, destination);
}

/** Loaded for a terminal only: a service need not wait for it. */
async function forTerminal(): Promise<DestinationStream> {
  const { default: pretty } = await import('pino-pretty');
  return terminal(pretty({ sync: true, colorize: process.env.NO_COLOR === undefined }));
}

/**
 * What pino-pretty prints of a record can neither steer the terminal nor look like another record: pretty itself writes the text
 * of messages, of errors and of file names as it is.
 */
export function terminal(destination: { write(line: string): unknown }): DestinationStream {
  return {
    write(record) {
      const readable = JSON.parse(record, (key, value: unknown) => {
        if (typeof value !== 'string') return value;
        // The lines of a stack that are frames stay lines.
        return key === 'stack' ? value.split(frame).map(visible).join('\n    at ') : visible(value);
      }) as unknown;
      destination.write(`${JSON.stringify(readable)}\n`);
    },
  };
}

const frame = /\n\s+at /;
