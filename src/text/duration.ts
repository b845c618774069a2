/** Lengths of time as people write them. */

const unitSeconds = { s: 1, m: 60, min: 60, h: 3600, d: 86_400, w: 604_800 } as const;

export const durationWords = 'a length of time like 30m, 2h, 1h30m, 7d or 1w';

/**
 * Reads `90s`, `30m`, `2h`, `1h30m`, `7d`, `1w`, and what {@link formatDuration} writes.
 *
 * @returns seconds, at least 1; undefined for anything else
 */
export function parseDuration(text: string): number | undefined {
  const parts = /^(\d{1,9}\s*(?:s|min|m|h|d|w)\s*)+$/;
  const compact = text.trim().toLowerCase();
  if (!parts.test(compact)) return undefined;
  let seconds = 0;
  for (const [, count, unit] of compact.matchAll(/(\d+)\s*(s|min|m|h|d|w)/g)) {
    seconds += Number(count) * unitSeconds[unit as keyof typeof unitSeconds];
  }
  return seconds > 0 ? seconds : undefined;
}

/** `59 s`, `4 min 3 s`, `2 h 5 min`, `3 d 4 h`. */
export function formatDuration(seconds: number): string {
  const whole = Math.floor(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 86_400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86_400)} d ${Math.floor((whole % 86_400) / 3600)} h`;
}
