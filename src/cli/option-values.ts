/** Values of options, from what was typed. */
import { InvalidArgumentError } from 'commander';
import { parseDuration } from '../text/duration.ts';

/** For options that may be repeated, or given as a comma-separated list. */
export function collect(text: string, before: readonly string[] | undefined): string[] {
  // The commas of a selector are its own.
  const parts = /^\s*label:/i.test(text) ? [text] : text.split(',');
  return [...(before ?? []), ...parts.map((part) => part.trim())].filter((part) => part !== '');
}

/** A whole number from 0 (or `least`) up. */
export function parseNumber(what: string, least = 0, most: number = Number.MAX_SAFE_INTEGER) {
  return (text: string): number => {
    const number = Number(text);
    if (/^\d+$/.test(text) && number >= least && number <= most) return number;
    const range = most === Number.MAX_SAFE_INTEGER ? `${least} up` : `${least} to ${most}`;
    throw new InvalidArgumentError(`expected ${what} from ${range}.`);
  };
}

/** As it was typed; the API takes seconds, too. */
export function parseConfirmTime(text: string): string {
  const seconds = /^\d+$/.test(text) ? Number(text) : (parseDuration(text) ?? 0);
  if (seconds >= 5 && seconds <= 86_400) return text;
  throw new InvalidArgumentError('expected a time from 5s to 24h, like 60s or 5m.');
}
