import { defineConfig } from 'vitest/config';

/** Namespaces, devices and traffic, with time to spare. */
const scenarios = { testTimeout: 120_000, hookTimeout: 120_000 };

/** Commands and API: they do not depend on the number of queues, and can be tested side by side. */
const commands = [
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
/** What needs two queues. */
const twoQueues = 'test/netns/queues.test.ts';

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
          // By default one core is left free.
          maxWorkers: '100%',
        },
      },
      {
        extends: true,
        test: {
          name: 'netns',
          include: ['test/netns/**/*.test.ts'],
          exclude: [twoQueues, ...commands],
          fileParallelism: false,
          sequence: { groupOrder: 1 },
          ...scenarios,
        },
      },
      {
        extends: true,
        test: {
          name: 'netns-commands',
          include: commands,
          maxWorkers: 2,
          sequence: { groupOrder: 2 },
          ...scenarios,
        },
      },
      {
        extends: true,
        test: {
          name: 'netns-2-queues',
          include: ['test/netns/**/*.test.ts'],
          // What rules mean, and what a process leaves that dies, has nothing to do with queues either.
          exclude: [...commands, 'test/netns/rules.test.ts', 'test/netns/fails-closed.test.ts'],
          fileParallelism: false,
          env: { TUNWALL_TEST_QUEUES: '2' },
          ...scenarios,
        },
      },
      {
        extends: true,
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          maxWorkers: 2,
          sequence: { groupOrder: 2 },
          ...scenarios,
        },
      },
    ],
  },
});
