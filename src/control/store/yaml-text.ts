/**
 * Values as YAML text in tunwall's own layout, as a person would write it (scripts/example-config).
 *
 * Each mapping of a list is on one line: `- { protocol: tcp, ports: [80] }`.
 */

/** Plain strings that need no quotes: no YAML version reads them as another type. */
const plain = /^[A-Za-z0-9_./][A-Za-z0-9_./()+@ -]*$/;
const special =
  /^(?:[\d_.-]+|0[xob][\da-f_]+|[\d.]+e[\d+-]+|[-+.]?(?:inf|nan)|null|true|false|yes|no|on|off|y|n)$/i;
const address = /^\d{1,3}(?:\.\d{1,3}){3}(?:-\d{1,3}(?:\.\d{1,3}){3})?$/;

function scalarText(value: string | number | boolean | null): string {
  if (typeof value !== 'string') return String(value);
  const asItIs =
    plain.test(value) && !value.endsWith(' ') && (!special.test(value) || address.test(value));
  if (asItIs) return value;
  // JSON does not escape some characters that YAML considers unprintable.
  return JSON.stringify(value).replace(
    /[\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** On one line, and valid inside another flow value. */
export function inlineText(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(inlineText).join(', ')}]`;
  if (typeof value === 'object' && value !== null) {
    const pairs = Object.entries(value).map(
      ([key, each]) => `${scalarText(key)}: ${inlineText(each)}`,
    );
    return pairs.length === 0 ? '{}' : `{ ${pairs.join(', ')} }`;
  }
  return scalarText(value as string | number | boolean | null);
}

/** The text after `key` in a block mapping at column `indent`: ` value`, or further lines. Without the last newline. */
export function pairText(key: string, value: unknown, indent: number): string {
  const head = `${scalarText(key)}:`;
  if (!isListOfMappings(value)) return `${head} ${inlineText(value)}`;
  return [head, ...value.map((each) => itemText(each, indent + 2))].join('\n');
}

/** A list's item with its dash at column `indent`. Named things (servers, users) have a line for each key. */
export function itemText(value: object, indent: number): string {
  const margin = ' '.repeat(indent);
  if (!('name' in value)) return `${margin}- ${inlineText(value)}`;
  const pairs = Object.entries(value).map(([key, each]) => pairText(key, each, indent + 2));
  return `${margin}- ${pairs.join(`\n${margin}  `)}`;
}

function isListOfMappings(value: unknown): value is object[] {
  return (
    Array.isArray(value) &&
    value.length > 0 &&
    value.every((each) => typeof each === 'object' && each !== null && !Array.isArray(each))
  );
}

/** A whole file. */
export function documentText(value: object): string {
  return Object.entries(value)
    .map(([key, each]) => `${pairText(key, each, 0)}\n`)
    .join('');
}
