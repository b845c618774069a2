/** Whether a thread of this process still runs, asked of the kernel: it needs no event loop. */
import { existsSync, readlinkSync } from 'node:fs';

/** The kernel's number of the calling thread; 0 where /proc does not tell. */
export function ownThread(): number {
  try {
    // PID/task/TID. Synchronous calls are made by the thread itself.
    return Number(readlinkSync('/proc/thread-self').split('/').at(-1));
  } catch {
    return 0;
  }
}

/** Whether that thread of this process has ended; false where /proc does not tell. */
export function hasEnded(thread: number): boolean {
  return thread !== 0 && existsSync('/proc/self/task') && !existsSync(`/proc/self/task/${thread}`);
}
