/**
 * CPU time of what is measured, from /proc.
 *
 * A process's time is the sum over its threads of their run time, which the kernel counts in nanoseconds (schedstat), and that of
 * ksoftirqd on the subject's core, to which the kernel hands packets when it has done enough of them in the process's context.
 *
 * How a thread's time divides into user and system the kernel only samples, at each tick of its clock (utime and stime in stat),
 * and tells in hundredths of a second: over a second or more that is good to a few per cent.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { subjectCore } from './cores.ts';

/** A clock tick of /proc in ns. USER_HZ is 100 on every Linux that Node runs on, whatever the kernel's own tick is. */
const clockTickNs = 1e7;

export interface ThreadTime {
  /** All of it, in ns. */
  readonly runNs: number;
  readonly userNs: number;
}

/** What was spent until a moment, by thread. */
export type CpuReading = ReadonlyMap<string, ThreadTime>;

export interface CpuTime {
  /** All threads. */
  readonly totalNs: number;
  /** User time of the thread that has worked most: the one that handles packets. */
  readonly userNs: number;
}

function threadTime(task: string): ThreadTime {
  const runNs = Number(readFileSync(`${task}/schedstat`, 'utf8').split(' ')[0]);
  const stat = readFileSync(`${task}/stat`, 'utf8');
  // The second field is the name in parentheses, which may hold blanks.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { runNs, userNs: Number(fields[11]) * clockTickNs };
}

function softirqThread(core: number): string {
  const name = `ksoftirqd/${core}`;
  const pid = readdirSync('/proc').find((each) => {
    if (!/^\d+$/.test(each)) return false;
    try {
      return readFileSync(`/proc/${each}/comm`, 'utf8').trim() === name;
    } catch {
      return false;
    }
  });
  if (pid === undefined) throw new Error(`there is no thread ${name}`);
  return `/proc/${pid}`;
}

const ksoftirqd: string = softirqThread(subjectCore);

export function processCpu(pid: number): CpuReading {
  const tasks = readdirSync(`/proc/${pid}/task`).map((tid) => `/proc/${pid}/task/${tid}`);
  return new Map([...tasks, ksoftirqd].map((task) => [task, threadTime(task)]));
}

/** CPU time of a process so far, in ms. */
export function cpuMsOf(pid: number): number {
  const tasks = readdirSync(`/proc/${pid}/task`).map((tid) => `/proc/${pid}/task/${tid}`);
  return tasks.reduce((sum, task) => sum + threadTime(task).runNs, 0) / 1e6;
}

/**
 * What the kernel has done on a core: time that passed, without that in which the core was idle or ran user code. The columns for
 * system and softirq would not do: they are sampled at ticks, and an idle core that wakes up for a packet has none.
 */
export function kernelCpu(core: number): CpuReading {
  const line = new RegExp(`^cpu${core} (.*)$`, 'm').exec(readFileSync('/proc/stat', 'utf8'))![1]!;
  const [user, nice, , idle, ioWait] = line.split(' ').map((ticks) => Number(ticks) * clockTickNs);
  const elsewhereNs = user! + nice! + idle! + ioWait!;
  return new Map([['kernel', { runNs: performance.now() * 1e6 - elsewhereNs, userNs: 0 }]]);
}

/** Threads that have begun in between count from 0, those that have ended do not count. */
export function cpuBetween(before: CpuReading, after: CpuReading): CpuTime {
  let totalNs = 0;
  let busiest: ThreadTime = { runNs: 0, userNs: 0 };
  for (const [task, { runNs, userNs }] of after) {
    const since = before.get(task) ?? { runNs: 0, userNs: 0 };
    const thread = { runNs: runNs - since.runNs, userNs: userNs - since.userNs };
    totalNs += thread.runNs;
    if (thread.runNs > busiest.runNs) busiest = thread;
  }
  return { totalNs, userNs: busiest.userNs };
}

/** Resident memory of a process in bytes, shared memory included. */
export function residentBytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)![1]) * 1024;
}
