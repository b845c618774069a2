/** The process's log: pino, JSON lines on a pipe or file, pretty on a terminal. */
import { pino } from 'pino';
import type { Logger } from 'pino';
import pretty from 'pino-pretty';

export type { Logger } from 'pino';

/** Makes the logger. Lines are written synchronously: the last ones before an exit matter most. */
export function createLogger(level: string): Logger {
  const options = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime };
  if (process.stdout.isTTY) {
    return pino(options, pretty({ sync: true, colorize: process.env.NO_COLOR === undefined }));
  }
  return pino(options, pino.destination({ fd: 1, sync: true }));
}
