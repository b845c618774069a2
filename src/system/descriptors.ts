/** The limit of open descriptors of this process. Node raises the soft limit at its start, but does not expose it. */
import { readFileSync } from 'node:fs';

/** The default of Linux. */
const usualLimit = 1024;

export function descriptorLimit(): number {
  try {
    return parseDescriptorLimit(readFileSync('/proc/self/limits', 'utf8'));
  } catch {
    return usualLimit;
  }
}

/** @param limits as in /proc/PID/limits */
export function parseDescriptorLimit(limits: string): number {
  const match = /^Max open files +(\d+|unlimited) /m.exec(limits);
  if (match === null) return usualLimit;
  return match[1] === 'unlimited' ? Infinity : Number(match[1]);
}
