/**
 * Where rules stand in their files, for people: beside the rules, since two rules that say the same are equal wherever they stand.
 */
import type { Rule } from './types.ts';

const lines = new WeakMap<Rule, number>();

export function rememberLine(rule: Rule, line: number): void {
  lines.set(rule, line);
}

/** From 1; `undefined`: the rule was not read from a file. */
export function lineOf(rule: Rule): number | undefined {
  return lines.get(rule);
}
