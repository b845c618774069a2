import { statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { defineConfig } from 'vitest/config';

/** As statfs calls a file system in memory. */
const tmpfs = 0x01021994;

/** Where temporary files of unit tests lie: in memory, where there is room. Stores wait for a disk with each of their changes. */
function directoryForUnitTests(): string {
  const memory = '/dev/shm';
  try {
    const { type, bavail, bsize } = statfsSync(memory);
    return type === tmpfs && bavail * bsize >= 1 << 30 ? memory : tmpdir();
  } catch {
    return tmpdir();
  }
}

/**
 * Namespaces, devices and traffic, with time to spare. Several files at a time: they wait often, and each has a network of its
 * own. The limits are for what hangs: on a machine with a load of 40 a scenario has taken more than two minutes.
 */
const scenarios = {
  testTimeout: 300_000,
  hookTimeout: 300_000,
  maxWorkers: 3,
  sequence: { groupOrder: 1 },
};

/** Commands and API: they do not depend on the number of queues. */
const commands = [
  'control/api',
  'control/root',
  'cli/command-line',
  'control/control-plane',
  'lab/demo',
  'lab/lab',
  'lab/rootless',
  'host/gateway',
  'host/gateway-lock',
  'dataplane/kernel-oracle',
  'dataplane/carry-program',
  'interop/import-oracle',
  'interop/nft-export',
  'interop/replay',
  'cli/run-command',
  'cli/package',
  'cli/debian-package',
].map((name) => `test/netns/${name}.test.ts`);
/** Once more with the fast path: what ends flows that the kernel carries, and what it must not bypass. */
const withFastPath = [
  'dataplane/path-mtu',
  'dataplane/reject',
  'dataplane/reload',
  'host/beside-nat',
].map((name) => `test/netns/${name}.test.ts`);
/** What needs two queues. */
const twoQueues = 'test/netns/dataplane/queues.test.ts';

// Vitest goes through projects by their names, and through the files of each from the largest on: gateway.test.ts, which
// lasts longest, starts first, so the run does not wait for it alone at the end.
export default defineConfig({
  root: new URL('../..', import.meta.url).pathname,
  test: {
    pool: 'forks',
    reporters: ['default'],
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['test/unit/**/*.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          // By default one core is left free.
          maxWorkers: '100%',
          env: { TMPDIR: directoryForUnitTests() },
        },
      },
      {
        extends: true,
        test: { name: 'commands', include: commands, ...scenarios },
      },
      {
        extends: true,
        test: { name: 'e2e', include: ['test/e2e/**/*.test.ts'], ...scenarios },
      },
      {
        extends: true,
        test: {
          name: 'netns',
          include: ['test/netns/**/*.test.ts'],
          exclude: [twoQueues, ...commands],
          ...scenarios,
        },
      },
      {
        extends: true,
        test: {
          name: 'netns-2-queues',
          // Host and control plane do not depend on the number of queues, but what is read from all threads; nor does what rules mean.
          include: ['test/netns/dataplane/**/*.test.ts', 'test/netns/control/observe.test.ts'],
          exclude: [
            ...commands,
            ...['rules', 'groups'].map((name) => `test/netns/dataplane/${name}.test.ts`),
          ],
          env: { TUNWALL_TEST_QUEUES: '2' },
          ...scenarios,
        },
      },
      {
        extends: true,
        test: {
          name: 'netns-fast-path',
          include: withFastPath,
          env: { TUNWALL_TEST_FAST_PATH: 'auto' },
          ...scenarios,
        },
      },
    ],
  },
});
