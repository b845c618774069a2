/**
 * Time of a tight loop, as CPU time of the process.
 *
 * Wall-clock time would go on while another process has the core. The kernel counts run time in nanoseconds, so slices of
 * some milliseconds are exact. What the collector and the compiler do on other threads counts, because it is part of the price.
 */

/** CPU time of this process so far, in ns. */
export function cpuNs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) * 1000;
}

/** How long a measurement takes, in ms of CPU time. */
export interface Duration {
  readonly warmUpMs: number;
  readonly measureMs: number;
}

/** A loop body, and what of it is not to be measured. */
export interface Work {
  /** Prepares a batch and works on it; returns the operations in it. */
  step(): number;
  /** Prepares a batch of the same kind, and nothing else. */
  prepare(): number;
}

/** Steps between two looks at the clock: some milliseconds of the quickest work, and few enough for the slowest. */
const sliceNs = 10e6;

/** CPU time of one operation in ns: slices of all of it and slices of the preparation take turns, the difference is meant. */
export function perOperation(work: Work, { warmUpMs, measureMs }: Duration): number {
  let steps = 1;
  for (const end = cpuNs() + warmUpMs * 1e6; cpuNs() < end;) {
    const before = cpuNs();
    for (let step = 0; step < steps; step++) work.step();
    if (cpuNs() - before < sliceNs) steps *= 2;
    for (let step = 0; step < steps; step++) work.prepare();
  }
  const whole = { ns: 0, operations: 0 };
  const preparation = { ns: 0, operations: 0 };
  while (whole.ns < measureMs * 1e6) {
    const start = cpuNs();
    for (let step = 0; step < steps; step++) whole.operations += work.step();
    const middle = cpuNs();
    for (let step = 0; step < steps; step++) preparation.operations += work.prepare();
    whole.ns += middle - start;
    preparation.ns += cpuNs() - middle;
  }
  return whole.ns / whole.operations - preparation.ns / preparation.operations;
}
