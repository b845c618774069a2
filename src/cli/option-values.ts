/** Values of options, from what was typed. */
import { InvalidArgumentError } from 'commander';
import { peerKinds } from '../policy/peers.ts';

/** A group begins with its kind. */
const group = new RegExp(`^\\s*(?:${peerKinds.join('|')})\\s*:`, 'i');

/** For options that may be repeated, or given as a comma-separated list. */
export function collect(text: string, before: readonly string[] | undefined): string[] {
  const parts: string[] = [];
  for (const part of text.split(',')) {
    // The commas of a selector are its own, up to the next group.
    const isInSelector = /^\s*label:/i.test(parts.at(-1) ?? '') && !group.test(part);
    if (isInSelector) parts.push(`${parts.pop()!},${part}`);
    else parts.push(part);
  }
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
