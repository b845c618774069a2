/**
 * A progress bar for work that may take a while: on standard error, and only where a person looks at it.
 *
 * It draws at most ten times a second and not in the first moments, so that quick work leaves nothing on the screen.
 * `finish` wipes it; call it before anything else is printed.
 */
import type { Sink } from './output.ts';

export interface Progress {
  /** So much of the whole is done. */
  update(done: number, total: number): void;
  finish(): void;
}

const drawEveryMs = 100;
const waitMs = 300;
const barWidth = 30;

/** @param nowMs a clock */
export function createProgress(label: string, sink: Sink, nowMs: () => number): Progress {
  const startedMs = nowMs();
  let drawnMs = startedMs + waitMs - drawEveryMs;
  let drawn = false;
  return {
    update(done, total) {
      if (sink.isTTY !== true || total <= 0) return;
      const now = nowMs();
      if (now - drawnMs < drawEveryMs) return;
      drawnMs = now;
      drawn = true;
      const part = Math.min(1, done / total);
      const full = Math.round(part * barWidth);
      const bar = '#'.repeat(full) + '-'.repeat(barWidth - full);
      sink.write(`\r${label} [${bar}] ${Math.floor(part * 100)} %`);
    },
    finish() {
      // Back to the start of the line, and erase it.
      if (drawn) sink.write('\r\x1b[K');
      drawn = false;
    },
  };
}
