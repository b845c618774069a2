/** Selectors in requests. */
import { parseSelector } from '../../policy/selector.ts';
import type { Selector } from '../../policy/types.ts';
import { invalid } from './http-problem.ts';

/** @param path of the value in the request. @throws HttpProblem `invalid` */
export function selectorOf(text: string, path: string): Selector {
  const parsed = parseSelector(text);
  if ('message' in parsed) throw invalid([{ path, message: parsed.message }]);
  return parsed.value;
}
