/**
 * A thread that takes a lock, says so, and waits for a word. At 1 it throws under the lock; it may also be terminated while
 * it waits, and then runs neither `catch` nor `finally`.
 */
import { workerData } from 'node:worker_threads';
import { SharedLock } from '../../src/dataplane/worker/shared-lock.ts';

const { words, saysAt, throwAt } = workerData as {
  words: Int32Array;
  saysAt: number;
  throwAt: number;
};

new SharedLock(words, 0).hold(() => {
  Atomics.store(words, saysAt, 1);
  Atomics.notify(words, saysAt);
  Atomics.wait(words, throwAt, 0);
  throw new Error('thrown under the lock');
});
