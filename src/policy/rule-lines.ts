/**
 * Where rules stand in their files, for people: beside the rules, since two rules that say the same are equal wherever they stand.
 *
 * A table for each list of rules: there may be very many, and to remember something of each one costs as much as to read it.
 */
import type { Rule } from './types.ts';

const known = new WeakMap<readonly Rule[], Uint32Array>();

/** @param lines of the rules in their order, from 1 */
export function rememberLines(rules: readonly Rule[], lines: Uint32Array): void {
  known.set(rules, lines);
}

/** From 1; `undefined`: the rules were not read from a file. */
export function linesOf(rules: readonly Rule[]): Uint32Array | undefined {
  return known.get(rules);
}
