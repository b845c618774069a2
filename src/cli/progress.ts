/**
 * A progress bar for long work: on standard error, and only on a terminal.
 *
 * It draws at most ten times a second and not in the first moments, so that quick work leaves nothing on the screen.
 * `finish` erases it; call it before printing anything else.
 */
import { visible } from '../text/controls.ts';
import type { Sink } from './output.ts';

export interface Progress {
  /** Sets the finished part of the whole. */
  update(done: number, total: number): void;
  finish(): void;
}

const drawEveryMs = 100;
const waitMs = 300;
const barWidth = 30;

/** @param nowMs a clock */
export function createProgress(label: string, sink: Sink, nowMs: () => number): Progress {
  const startedMs = nowMs();
  const shown = visible(label);
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
      sink.write(`\r${shown} [${bar}] ${Math.floor(part * 100)} %`);
    },
    finish() {
      // Back to the start of the line, and erase it.
      if (drawn) sink.write('\r\x1b[K');
      drawn = false;
    },
  };
}
