/** Numbers, bytes, rates and times in words. Numbers are grouped as the browser's language does it; texts are English. */
import { counted } from '../../text/numbers.ts';

const whole = new Intl.NumberFormat();
const dateTime = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: 'medium', hourCycle: 'h23' });
const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });

/** `1,234`. */
export function formatNumber(value: number): string {
  return whole.format(value);
}

/** `1 server`, `2 servers`. */
export function count(value: number, one: string, many = `${one}s`): string {
  return counted(value, one, many, formatNumber(value));
}

function scaled(value: number, units: readonly string[], base: number): string {
  let unit = 0;
  let rest = value;
  while (rest >= base && unit < units.length - 1) {
    rest /= base;
    unit++;
  }
  const digits = unit === 0 || rest >= 100 ? 0 : 1;
  return `${rest.toFixed(digits)} ${units[unit]!}`;
}

/** `1.5 KiB`. */
export function formatBytes(bytes: number): string {
  return scaled(bytes, ['B', 'KiB', 'MiB', 'GiB', 'TiB'], 1024);
}

/** From bytes a second: `12.5 Mbit/s`. */
export function formatBits(bytesPerSecond: number): string {
  return scaled(8 * bytesPerSecond, ['bit/s', 'kbit/s', 'Mbit/s', 'Gbit/s'], 1000);
}

/** `1.2 kpps`. */
export function formatPackets(packetsPerSecond: number): string {
  return scaled(packetsPerSecond, ['pps', 'kpps', 'Mpps'], 1000);
}

/** `Jan 31, 2030, 12:00:00 PM`. */
export function formatTime(at: string): string {
  return dateTime.format(new Date(at));
}

/** `12:00:00`. */
export function formatClock(at: string): string {
  return clock.format(new Date(at));
}

const steps: readonly (readonly [Intl.RelativeTimeFormatUnit, number])[] = [
  ['year', 31_536_000],
  ['month', 2_592_000],
  ['day', 86_400],
  ['hour', 3600],
  ['minute', 60],
];

/** `2 hours ago`. */
export function formatAgo(at: string, nowMs: number): string {
  const seconds = (new Date(at).getTime() - nowMs) / 1000;
  for (const [unit, length] of steps) {
    if (Math.abs(seconds) >= length) return relative.format(Math.round(seconds / length), unit);
  }
  return Math.abs(seconds) < 5 ? 'just now' : relative.format(Math.round(seconds), 'second');
}
