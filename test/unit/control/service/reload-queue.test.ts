/** One reload at a time, each with the newest state, for everybody who asks. */
import { expect, it } from 'vitest';
import { ReloadQueue } from '../../../../src/control/service/reload-queue.ts';

/** A reload that takes until it is let go; it answers with what the store said when it began. */
function slowReloads(): {
  queue: ReloadQueue<number>;
  store: { value: number };
  begun: number[];
  finish: (error?: Error) => void;
} {
  const store = { value: 0 };
  const begun: number[] = [];
  let finish: (error?: Error) => void = () => undefined;
  const queue = new ReloadQueue(() => {
    const { value } = store;
    begun.push(value);
    return new Promise<number>((resolve, reject) => {
      finish = (error) => {
        if (error === undefined) resolve(value);
        else reject(error);
      };
    });
  });
  return { queue, store, begun, finish: (error) => finish(error) };
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

it('a request during a reload gets the next reload, and shares it', async () => {
  const { queue, store, begun, finish } = slowReloads();
  const first = queue.run();
  await settled();
  store.value = 1;
  const second = queue.run();
  store.value = 2;
  const third = queue.run();
  await settled();
  expect(begun).toEqual([0]);
  finish();
  await settled();
  expect(begun).toEqual([0, 2]);
  finish();
  expect(await Promise.all([first, second, third])).toEqual([0, 2, 2]);
});

it('goes on after one that failed', async () => {
  const { queue, finish } = slowReloads();
  const first = queue.run();
  await settled();
  const second = queue.run();
  finish(new Error('no'));
  await expect(first).rejects.toThrow('no');
  await settled();
  finish();
  expect(await second).toBe(0);
});
