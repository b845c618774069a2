/** A thread that adds to a shared counter without atomics, under the lock: exact only if the lock excludes. */
import { workerData } from 'node:worker_threads';
import { SharedLock } from '../../src/dataplane/worker/shared-lock.ts';

const { words, counterAt, rounds } = workerData as {
  words: Int32Array;
  counterAt: number;
  rounds: number;
};
const lock = new SharedLock(words, 0);
for (let round = 0; round < rounds; round++) {
  lock.hold(() => {
    const before = words[counterAt]!;
    // Time enough for another thread to come between.
    for (let i = 0; i < 50; i++) words[counterAt + 1] = i;
    words[counterAt] = before + 1;
  });
}
