/** The batch of a packet thread has room for what it may release, and is one that the native side takes. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { fragmentChunkLength } from '../../../../src/dataplane/flow/fragment-memory.ts';
import { maxFragments } from '../../../../src/dataplane/flow/fragments.ts';
import { batchSize } from '../../../../src/dataplane/worker/batch-size.ts';

const header = readFileSync(join(import.meta.dirname, '../../../../native/tunwall.h'), 'utf8');
const maxSlots = Number(/#define MAX_SLOTS (\d+)u/.exec(header)?.[1]);

// The default, and the largest that gateway.yaml may have.
it.each([4 << 20, 268_435_456])('with %i bytes of fragments', (bytes) => {
  const chunks = bytes / fragmentChunkLength;
  const { readSlots, extraSlots, extraBytes } = batchSize(chunks);
  expect(readSlots + extraSlots).toBeLessThanOrEqual(maxSlots);
  expect(extraBytes).toBeGreaterThanOrEqual(bytes);
  // Each packet of a batch may complete a datagram, of which all fragments leave.
  expect(extraSlots).toBeGreaterThanOrEqual(Math.min(chunks, readSlots * maxFragments));
});
