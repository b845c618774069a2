/** No allocation per packet: what a million packets of every kind allocate on the heap is zero, within noise. */
import { execFileSync } from 'node:child_process';
import { expect, it } from 'vitest';

const script = new URL('../../../support/heap-growth.ts', import.meta.url).pathname;

/** Bytes per packet that are noise. One view per fragmented datagram, which is one packet in 32 here, would be 6. */
const noise = 2;

it('judging a million packets allocates nothing', () => {
  const flags = ['--expose-gc', '--min-semi-space-size=128', '--max-semi-space-size=128'];
  const output = execFileSync(process.execPath, [...flags, '--import', 'tsx', script, '1000000'], {
    encoding: 'utf8',
  });
  console.log(`bytes of heap per packet: ${output}`);
  const { allocated, held } = JSON.parse(output) as Record<string, number>;
  expect(allocated).toBeLessThan(noise);
  expect(held).toBeLessThan(noise);
});
