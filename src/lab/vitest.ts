/** In vitest: `reportFailures(() => lab)` in a file, and each of its tests that fails names a report of the lab. */
import { afterEach } from 'vitest';
import type { Lab } from './lab.ts';

export function reportFailures<Name extends string>(lab: () => Lab<Name> | undefined): void {
  afterEach(async ({ task }) => {
    const errors = task.result?.errors ?? [];
    const own = lab();
    if (errors.length === 0 || own === undefined) return;
    const place = await own.report();
    for (const error of errors) error.message += `\n\nreport of the lab: ${place}`;
  });
}
