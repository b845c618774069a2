/**
 * Label selectors, in the grammar of Kubernetes and Hetzner Cloud: `k`, `!k`, `k=v`, `k==v`, `k!=v`, `k in (a,b)`,
 * `k notin (a,b)`. Commas between them mean *and*. As there, `!=` and `notin` also match a server without the label.
 */
import { controlIn } from '../text/controls.ts';
import type { Parsed } from './addresses.ts';
import { shortened } from './problem.ts';
import type { Requirement, Selector } from './types.ts';

export type Labels = Readonly<Record<string, string>>;

const expected =
  'expected a selector like role=web, env!=test, region in (hkg,sgp), tier notin (a), k or !k, joined by commas';

/** Every server is compared with every condition. */
const maxLength = 1024;

/** A key or a value: what the grammar does not use itself. */
const word = '[^\\s,()=!]+';
const forms: readonly [RegExp, Requirement['test']][] = [
  [new RegExp(`^(${word})$`), 'exists'],
  [new RegExp(`^!\\s*(${word})$`), 'absent'],
  [new RegExp(`^(${word})\\s*==?\\s*(${word})?$`), 'in'],
  [new RegExp(`^(${word})\\s*!=\\s*(${word})?$`), 'notin'],
  [new RegExp(`^(${word})\\s+in\\s*\\((.*)\\)$`), 'in'],
  [new RegExp(`^(${word})\\s+notin\\s*\\((.*)\\)$`), 'notin'],
];
const value = new RegExp(`^(${word})?$`);

/** Reads a selector; a message says what was expected instead. */
export function parseSelector(written: string): Parsed<Selector> {
  if (written.length > maxLength)
    return { message: `expected a selector of at most ${maxLength} characters` };
  // It may have several lines in YAML, and stands in one line wherever it is shown.
  const text = written.trim().replace(/\s+/g, ' ');
  const control = controlIn(text);
  if (control !== undefined) return { message: `expected a selector without ${control}` };
  const requirements: Requirement[] = [];
  for (const part of partsOf(text)) {
    const requirement = parseRequirement(part.trim());
    if (requirement === undefined) {
      return { message: `${expected}; found ${JSON.stringify(shortened(part.trim()))}` };
    }
    requirements.push(requirement);
  }
  return { value: { text, requirements } };
}

/** What stands between commas. A comma within parentheses is part of a list of values. */
function partsOf(text: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let start = 0;
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (character === '(') depth++;
    else if (character === ')') depth--;
    else if (character === ',' && depth <= 0) {
      parts.push(text.slice(start, at));
      start = at + 1;
    }
  }
  return [...parts, text.slice(start)];
}

function parseRequirement(text: string): Requirement | undefined {
  for (const [form, test] of forms) {
    const match = form.exec(text);
    if (match === null) continue;
    const key = match[1]!;
    if (test === 'exists' || test === 'absent') return { key, test, values: [] };
    const values = (match[2] ?? '').split(',').map((each) => each.trim());
    return values.every((each) => value.test(each)) ? { key, test, values } : undefined;
  }
  return undefined;
}

/** Whether labels meet every condition. */
export function selects({ requirements }: Pick<Selector, 'requirements'>, labels: Labels): boolean {
  return requirements.every(({ key, test, values }) => {
    const own = Object.hasOwn(labels, key) ? labels[key] : undefined;
    switch (test) {
      case 'exists':
        return own !== undefined;
      case 'absent':
        return own === undefined;
      case 'in':
        return own !== undefined && values.includes(own);
      case 'notin':
        return own === undefined || !values.includes(own);
    }
  });
}
