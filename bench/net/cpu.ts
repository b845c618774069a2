/** CPU time of a process (all of its threads) or of a core, from /proc. */
import { readFileSync } from 'node:fs';

/** Seconds since the start of the process or of the machine. */
export interface CpuTime {
  readonly user: number;
  readonly system: number;
}

/** USER_HZ: 100 on every Linux that Node runs on, whatever the kernel's own tick is. */
const ticksPerSecond = 100;

/**
 * The sum is exact to a tick: the kernel counts run time in nanoseconds. How it divides into user and system is sampled at every
 * tick of the kernel's clock, so it needs a second or more to mean something.
 */
export function processCpu(pid: number): CpuTime {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The second field is the name in parentheses, which may hold blanks.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { user: Number(fields[11]) / ticksPerSecond, system: Number(fields[12]) / ticksPerSecond };
}

/** All that a core has done, interrupts included; sampled at every tick. */
export function coreCpu(core: number): CpuTime {
  const line = new RegExp(`^cpu${core} (.*)$`, 'm').exec(readFileSync('/proc/stat', 'utf8'))![1]!;
  const [user, nice, system, , , hardIrq, softIrq] = line.split(' ').map(Number);
  return {
    user: (user! + nice!) / ticksPerSecond,
    system: (system! + hardIrq! + softIrq!) / ticksPerSecond,
  };
}

/** Resident memory of a process in bytes, shared memory included. */
export function residentBytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)![1]) * 1024;
}
