/** Bodies of templates and sets, as a person writes them: YAML or JSON. */
import { LineCounter } from 'yaml';
import { parseYaml } from '../policy/parse-yaml.ts';
import { UserError } from './errors.ts';

const keys = {
  template: 'description, inbound and outbound',
  set: 'description, addresses, except, include and file',
} as const;

/** Reads the body of a template or set. The API validates the values. */
export function parseBodyText(
  word: keyof typeof keys,
  name: string,
  text: string,
): Record<string, unknown> {
  const lines = new LineCounter();
  const document = parseYaml(text, { lineCounter: lines });
  const [error] = document.errors;
  const place = name === '-' ? 'standard input' : name;
  if (error !== undefined) {
    const { line, col } = lines.linePos(error.pos[0]);
    const { message } = error;
    throw new UserError(
      `${place}:${line}:${col}: ${message}`,
      `expected a ${word} in YAML or JSON`,
    );
  }
  const value: unknown = document.toJS({ maxAliasCount: 100 });
  if (value === null) return {};
  if (typeof value === 'object' && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new UserError(`${place} is no ${word}`, `expected a mapping with ${keys[word]}`);
}
