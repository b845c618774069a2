/** A short run of `scripts/fuzz --api`. */
import { afterAll, expect, it } from 'vitest';
import { ApiFuzzer } from '../../../fuzz/api-fuzzer.ts';
import { seededRandom } from '../../../support/seed.ts';

const fuzzer = new ApiFuzzer(seededRandom());
afterAll(async () => {
  await fuzzer.close();
});

it('no request makes the API fail, tell a stack, or hang', async () => {
  for (let request = 0; request < 600; request++) expect(await fuzzer.next()).toBeUndefined();
  // It gets somewhere: all routes are asked, some do what they are for, some refuse.
  expect([...fuzzer.routes].sort()).toEqual([...fuzzer.allRoutes].sort());
  expect(fuzzer.allRoutes).toContain('get /v1/status');
  const kinds = new Set([...fuzzer.statuses.keys()].map((status) => Math.floor(status / 100)));
  expect([...kinds].sort()).toEqual(expect.arrayContaining([2, 4]));
});
