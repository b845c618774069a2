/** The subjects that are compared. What is ours comes first, as in the figures. */
import type { Benchmark } from '../lib/benchmark.ts';
import { kernel } from './kernel.ts';
import { nullRelay } from './null-relay.ts';
import { openVswitch, openVswitchTso } from './open-vswitch.ts';
import type { SubjectKind } from './subject.ts';
import { fastPath, tunwall } from './tunwall.ts';

export const everyKind: readonly SubjectKind[] = [
  tunwall,
  nullRelay,
  kernel,
  openVswitch,
  openVswitchTso,
];

/** What a workload compares, and how. */
export interface Field {
  readonly kinds: readonly SubjectKind[];
  /** Flows of datagrams are answered once, at their begin: then they are established for all subjects. */
  readonly answered: boolean;
}

export const throughDevice: Field = { kinds: everyKind, answered: false };

/** The kernel carries flows that are established. */
const pastDevice: Field = { kinds: [fastPath, tunwall, kernel, openVswitchTso], answered: true };

/** A workload once more, with the fast path first. */
export function onFastPath(workload: (field: Field) => Benchmark): Benchmark {
  const prefix = 'fast-path-';
  const benchmark = workload(pastDevice);
  return {
    name: `${prefix}${benchmark.name}`,
    describe: `with the fast path: ${benchmark.describe}`,
    run: (context) =>
      benchmark.run({
        ...context,
        record: (figure) =>
          context.record({
            ...figure,
            id: `${prefix}${figure.id}`,
            title: `fast path: ${figure.title}`,
          }),
      }),
  };
}
