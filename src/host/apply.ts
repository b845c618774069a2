/** Makes one change of the namespace. */
import type { Change } from './item.ts';
import { nft } from './nft.ts';
import { runProgram, writeSysctl } from './system.ts';

/** False: the interface vanished meanwhile. */
export async function apply(change: Change): Promise<boolean> {
  if (change.kind === 'sysctl') return writeSysctl(change.path, change.value);
  if (change.kind === 'nft') await nft(change.commands);
  else await runProgram(change.kind, change.args);
  return true;
}
