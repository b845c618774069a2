/** A thread that adds to a shared counter without atomics, under the lock: exact only if the lock excludes. */
import { workerData } from 'node:worker_threads';
import { SharedLock } from '../../src/dataplane/worker/shared-lock.ts';

const { words, rounds } = workerData as { words: Int32Array; rounds: number };
const lock = new SharedLock(words, 0);
for (let round = 0; round < rounds; round++) {
  lock.acquire();
  const before = words[1]!;
  // Time enough for another thread to come between.
  for (let i = 0; i < 50; i++) words[2] = i;
  words[1] = before + 1;
  lock.release();
}
