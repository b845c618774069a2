/** Whether two processes judge by the same policy. */
import { createHash } from 'node:crypto';
import { Header } from '../dataplane/match/matcher.ts';

/** Equal for compiled policies that allow the same: their epochs and the slots of their servers are each process's own. */
export function policyDigest(words: Int32Array): string {
  const copy = words.slice();
  copy[Header.epoch] = 0;
  // One word for each server, behind as many words that say where their programs are.
  const slots = copy[Header.serverSlots]!;
  copy.fill(0, slots, 2 * slots - copy[Header.serverPrograms]!);
  const { buffer, byteOffset, byteLength } = copy;
  return createHash('sha256')
    .update(new Uint8Array(buffer, byteOffset, byteLength))
    .digest('hex');
}
