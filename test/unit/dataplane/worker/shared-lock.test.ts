/** The lock that packet threads share: it lets one in, and a holder that ends blocks no other thread for good. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import {
  LockLostError,
  SharedLock,
  lockWords,
} from '../../../../src/dataplane/worker/shared-lock.ts';
import { hasEnded, ownThread } from '../../../../src/dataplane/worker/thread-life.ts';

const contend = new URL('../../../support/contend.ts', import.meta.url);
const holdLock = new URL('../../../support/hold-lock.ts', import.meta.url);

/** Behind the lock: words for what a test's threads tell each other. */
const wordsFor = (extra: number): Int32Array =>
  new Int32Array(new SharedArrayBuffer((lockWords + extra) * 4));

/** Starts a thread; it knows no TypeScript by itself. */
function startThread({ href }: URL, workerData: object): Worker {
  const start = `import('tsx/esm/api').then(({ tsImport }) => tsImport('${href}', '${href}'))`;
  return new Worker(start, { eval: true, workerData });
}

it('is free after every use', () => {
  const words = wordsFor(0);
  const lock = new SharedLock(words, 0);
  for (let i = 0; i < 3; i++) {
    lock.hold(() => expect(words[0]).toBe(1));
    expect([...words]).toEqual([0, 0, 0]);
  }
});

it('lets one thread in at a time, and no wake-up is lost', async () => {
  const threads = 4;
  const rounds = 50_000;
  const words = wordsFor(2);
  const data = { words, counterAt: lockWords, rounds };
  const ended = Array.from({ length: threads }, () => once(startThread(contend, data), 'exit'));
  expect((await Promise.all(ended)).map(([code]) => code as number)).toEqual([0, 0, 0, 0]);
  expect(words[lockWords]).toBe(threads * rounds);
  expect(words[0]).toBe(0);
});

it('is lost after work that has thrown', () => {
  const words = wordsFor(0);
  const lock = new SharedLock(words, 0);
  const fail = (): never => {
    throw new Error('half done');
  };
  expect(() => lock.hold(fail)).toThrow('half done');
  expect(() => new SharedLock(words, 0).hold(() => undefined)).toThrow(LockLostError);
});

describe('a thread that waits while the holder ends', () => {
  const saysAt = lockWords;
  const throwAt = lockWords + 1;
  it.each<[string, (worker: Worker, words: Int32Array) => void]>([
    [
      'by throwing',
      (_, words) => {
        Atomics.store(words, throwAt, 1);
        Atomics.notify(words, throwAt);
      },
    ],
    ['without a chance to throw', (worker) => void worker.terminate()],
  ])('%s is reported, and does not wait for ever', async (_how, end) => {
    const words = wordsFor(2);
    const worker = startThread(holdLock, { words, saysAt, throwAt });
    worker.on('error', () => undefined);
    const exit = new Promise((resolve) => worker.on('exit', resolve));
    while (Atomics.load(words, saysAt) === 0) Atomics.wait(words, saysAt, 0, 10);
    end(worker, words);
    // This thread runs no event loop from here on: it learns of the end by itself.
    expect(() => new SharedLock(words, 0).hold(() => undefined)).toThrow(LockLostError);
    await exit;
  });
});

it('the life of a thread is known by its number', async () => {
  expect(hasEnded(ownThread())).toBe(false);
  expect(hasEnded(0)).toBe(false);
  const worker = new Worker(
    `require('node:worker_threads').parentPort.postMessage(
       require('node:fs').readlinkSync('/proc/thread-self').split('/').at(-1))`,
    { eval: true },
  );
  const [reported] = (await once(worker, 'message')) as [string];
  await once(worker, 'exit');
  expect(Number(reported)).not.toBe(ownThread());
  expect(hasEnded(Number(reported))).toBe(true);
});
