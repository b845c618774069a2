import { defineConfig } from 'vitest/config';

/** Namespaces, devices and traffic: one scenario at a time, each with time to spare. */
const scenarios = { fileParallelism: false, testTimeout: 120_000, hookTimeout: 120_000 };

/** What does not depend on the number of queues; and the tests that need two. */
const withoutQueues = [
  'api',
  'command-line',
  'control-plane',
  'demo',
  'gateway',
  'kernel-oracle',
  'nft-export',
  'replay',
  'run-command',
].map((name) => `test/netns/${name}.test.ts`);
const twoQueues = 'test/netns/queues.test.ts';

export default defineConfig({
  root: new URL('../..', import.meta.url).pathname,
  test: {
    pool: 'forks',
    reporters: ['default'],
    projects: [
      {
        extends: true,
        test: { name: 'unit', include: ['test/unit/**/*.test.ts'], testTimeout: 60_000 },
      },
      {
        extends: true,
        test: {
          name: 'netns',
          include: ['test/netns/**/*.test.ts'],
          exclude: [twoQueues],
          ...scenarios,
        },
      },
      {
        extends: true,
        test: {
          name: 'netns-2-queues',
          include: ['test/netns/**/*.test.ts'],
          exclude: withoutQueues,
          env: { TUNWALL_TEST_QUEUES: '2' },
          ...scenarios,
        },
      },
    ],
  },
});
