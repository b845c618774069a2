/** Listeners that cannot be opened yet: they are tried again until they can, and it is said once. */
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Listeners } from '../../../../src/control/service/listeners.ts';

let said: string[];
let listeners: Listeners;
beforeEach(() => {
  vi.useFakeTimers();
  said = [];
  const tell = (message: string): void => void said.push(message);
  listeners = new Listeners({ warn: tell, info: tell });
});
afterEach(() => vi.useRealTimers());

/** Fails with these messages, one a try, and then listens. */
function failing(...messages: string[]): () => Promise<void> {
  return () => {
    const message = messages.shift();
    return message === undefined ? Promise.resolve() : Promise.reject(new Error(message));
  };
}

it('one that opens at once is not spoken of', async () => {
  await listeners.open('API', failing());
  expect([said, listeners.failures, listeners.error]).toEqual([[], 0, undefined]);
});

it('is tried again until it opens; the same reason is told once', async () => {
  await listeners.open('API', failing('in use', 'in use', 'not allowed'));
  await listeners.open('control socket', failing());
  expect([listeners.failures, listeners.error]).toEqual([1, 'in use']);
  await vi.advanceTimersByTimeAsync(10_000);
  expect([listeners.failures, listeners.error]).toEqual([3, 'not allowed']);
  await vi.advanceTimersByTimeAsync(5000);
  expect([listeners.failures, listeners.error]).toEqual([3, undefined]);
  expect(said).toEqual([
    'no API: in use; it is tried again every 5 seconds',
    'no API: not allowed; it is tried again every 5 seconds',
    'API is open now',
  ]);
});

it('is not tried again after the end', async () => {
  await listeners.open('API', failing('in use', 'in use'));
  listeners.close();
  await vi.advanceTimersByTimeAsync(60_000);
  expect([listeners.failures, vi.getTimerCount()]).toEqual([1, 0]);
});
