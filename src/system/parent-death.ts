/**
 * A process that does not outlive its parent. The kernel kills it, whatever it is busy with; and it forgets that whenever the
 * effective user or group of the process changes, so that who changes them says it again.
 */
import { loadAddon } from './addon.ts';

let parent: number | undefined;

/** From now on this process ends with `pid`, its parent. */
export function endWithParent(pid: number): void {
  parent = pid;
  endWithParentStill();
}

/** To be called after a change of the effective user or group. */
export function endWithParentStill(): void {
  // The parent may have ended in between.
  if (parent !== undefined && !loadAddon().endWithParent(parent))
    process.kill(process.pid, 'SIGKILL');
}
