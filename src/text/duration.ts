/** Lengths of time as people write them. */

const unitSeconds = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 } as const;

export const durationWords = 'a length of time like 30m, 2h, 1h30m, 7d or 1w';

/** Reads `90s`, `30m`, `2h`, `1h30m`, `7d`, `1w`. @returns seconds, at least 1; undefined for anything else */
export function parseDuration(text: string): number | undefined {
  const compact = text.trim().toLowerCase();
  if (!/^(\d{1,9}[smhdw])+$/.test(compact)) return undefined;
  let seconds = 0;
  for (const [, count, unit] of compact.matchAll(/(\d+)([smhdw])/g)) {
    seconds += Number(count) * unitSeconds[unit as keyof typeof unitSeconds];
  }
  return seconds > 0 ? seconds : undefined;
}
