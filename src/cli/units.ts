/** Numbers for people: at most four digits. */

const prefixes = ['', 'k', 'M', 'G', 'T', 'P'];

/** `999`, `1.2k`, `34.5M`. */
export function formatCount(number: number): string {
  let value = number;
  let prefix = 0;
  while (value >= (prefix === 0 ? 999.5 : 999.95) && prefix < prefixes.length - 1) {
    value /= 1000;
    prefix++;
  }
  return `${prefix === 0 ? Math.round(value) : value.toFixed(1)}${prefixes[prefix]!}`;
}

/** A rate: one above zero is never shown as 0. */
export function formatRate(perSecond: number): string {
  if (perSecond > 0 && perSecond < 10) return perSecond < 0.1 ? '<0.1' : perSecond.toFixed(1);
  return formatCount(perSecond);
}

/** `59 s`, `4 min 3 s`, `2 h 5 min`, `3 d 4 h`. */
export function formatDuration(seconds: number): string {
  const whole = Math.floor(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 86_400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86_400)} d ${Math.floor((whole % 86_400) / 3600)} h`;
}
