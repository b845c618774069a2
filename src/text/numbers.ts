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

/**
 * `1 server`, `2 servers`.
 *
 * @param shown the number as it is written, where it is grouped
 */
export function counted(
  number: number,
  one: string,
  many = `${one}s`,
  shown: string = String(number),
): string {
  return `${shown} ${number === 1 ? one : many}`;
}

/** `1,234`, in English texts. */
export function grouped(number: number): string {
  return number.toLocaleString('en-US');
}
