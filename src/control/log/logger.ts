/** The process's log: pino, JSON lines on a pipe or file, pretty on a terminal. */
import { pino } from 'pino';
import type { DestinationStream, Logger } from 'pino';
import pretty from 'pino-pretty';
import { visible } from '../../text/controls.ts';

export type { Logger } from 'pino';

/**
 * Makes the logger. Lines are written synchronously: the last ones before an exit matter most.
 *
 * @param forPerson for a person; default: on a terminal
 */
export function createLogger(level: string, forPerson: boolean = process.stdout.isTTY): Logger {
  const options = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime };
  if (forPerson) {
    return pino(
      options,
      terminal(pretty({ sync: true, colorize: process.env.NO_COLOR === undefined })),
    );
  }
  return pino(options, pino.destination({ fd: 1, sync: true }));
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
