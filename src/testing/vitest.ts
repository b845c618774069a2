/** The matchers, in vitest: `import 'tunwall/testing/vitest'` in a test or a setup file. */
import { expect } from 'vitest';
import { matchers } from './matchers.ts';
import type { DropReasonName } from './outcome.ts';

interface FirewallMatchers<R> {
  /** Every packet that was sent has passed. */
  toPass(): R;
  /** A packet that was sent has been dropped; for this reason, if one is given. */
  toDrop(reason?: DropReasonName): R;
  /** The last fragment that was sent waits for more of its datagram. */
  toBeHeld(): R;
}

declare module 'vitest' {
  // eslint-disable-next-line @typescript-eslint/no-empty-object-type
  interface Matchers<T> extends FirewallMatchers<T> {}
}

expect.extend(matchers);
