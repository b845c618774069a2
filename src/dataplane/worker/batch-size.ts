/** How large the batch of a packet thread is. */
import { answerBytes, answerSlots } from '../engine/answers.ts';
import { fragmentChunkLength } from '../flow/fragment-memory.ts';
import { maxFragments } from '../flow/fragments.ts';
import { defaultBatchSize } from '../tun/batch.ts';
import type { BatchSize } from '../tun/batch.ts';

/**
 * A batch with spare room for answers and for every fragment that it can release: each packet that is read completes one
 * datagram at most. The native side takes 65,536 slots at most; the largest memory of fragments has more chunks.
 */
export function batchSize(fragmentChunks: number): BatchSize {
  const { readSlots } = defaultBatchSize;
  return {
    ...defaultBatchSize,
    extraSlots: Math.min(fragmentChunks, readSlots * maxFragments) + readSlots + answerSlots,
    extraBytes: fragmentChunks * fragmentChunkLength + answerBytes,
  };
}
