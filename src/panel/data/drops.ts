/** A list of dropped packets that grows at its beginning: none twice, and so many as a table can show. */
import type { Drop } from './types.ts';

export const shownDrops = 200;

/** The same packet has the same key; ids begin again with the firewall. */
export function keyOf({ id, at }: Drop): string {
  return `${at} ${id}`;
}

/** `newer` (oldest first) in front of `known` (newest first), without those that are known. */
export function merged(known: readonly Drop[], newer: readonly Drop[]): readonly Drop[] {
  const keys = new Set(known.map(keyOf));
  const added = newer.slice(-shownDrops).filter((drop) => !keys.has(keyOf(drop)));
  if (added.length === 0) return known;
  return [...added.reverse(), ...known].slice(0, shownDrops);
}
