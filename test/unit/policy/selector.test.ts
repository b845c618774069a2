/** Label selectors: the grammar, and what it means beside a naive reading of it. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parsePeer, peerKinds } from '../../../src/policy/peers.ts';
import { parseSelector, selects } from '../../../src/policy/selector.ts';
import type { Labels } from '../../../src/policy/selector.ts';
import { seed } from '../../support/seed.ts';

const web: Labels = { role: 'web', env: 'prod', region: 'hkg', empty: '' };

function matches(text: string, labels: Labels): boolean {
  const parsed = parseSelector(text);
  if ('message' in parsed) throw new Error(parsed.message);
  return selects(parsed.value, labels);
}

describe('a selector', () => {
  it.each<[string, boolean]>([
    ['role', true],
    ['tier', false],
    ['!tier', true],
    ['!role', false],
    ['role=web', true],
    ['role==web', true],
    ['role = web', true],
    ['role=db', false],
    ['role!=db', true],
    ['role!=web', false],
    ['tier!=a', true],
    ['region in (hkg,sgp)', true],
    ['region in ( hkg , sgp )', true],
    ['region in (lax)', false],
    ['region notin (lax)', true],
    ['tier notin (a)', true],
    ['role=web,env!=test', true],
    ['role=web, env=test', false],
    ['region in (hkg,sgp),role=web', true],
    ['empty=', true],
    ['role=', false],
    ['ROLE=web', false],
    ['toString', false],
    ['!constructor', true],
  ])('%s: %s', (text, expected) => {
    expect(matches(text, web)).toBe(expected);
  });

  it.each([
    '',
    ',',
    'role=web,',
    'role=(a)',
    'role in a',
    'role in (a',
    '=web',
    'a b',
    'role=!web',
  ])('"%s" is refused', (text) => {
    expect(parseSelector(text)).toHaveProperty('message');
  });
});

it.each<[written: string, text: string]>([
  ['role=web,\n  env=prod\n', 'role=web, env=prod'],
  [' role\t=\u2028web ', 'role = web'],
])('%j is a line wherever it is shown', (written, text) => {
  expect(parseSelector(written)).toMatchObject({ value: { text } });
  expect(parsePeer(`label:${written}`)).toMatchObject({ value: { text: `label:${text}` } });
});

it.each(['role=web\u001b[31m', 'a\u0085b', 'role=\u202ebew', '\u0000', 'a in (b,\u2066)'])(
  '%j has a control character: refused',
  (text) => {
    const message = /^expected a (selector|name) without \\u[0-9a-f]{4}$/;
    for (const parsed of [
      parseSelector(text),
      ...peerKinds.map((kind) => parsePeer(`${kind}:${text}`)),
    ]) {
      expect('message' in parsed && parsed.message).toMatch(message);
    }
  },
);

/** The same, by taking the text apart from left to right. */
function naive(text: string, labels: Labels): boolean {
  const conditions: string[] = [];
  let depth = 0;
  let current = '';
  for (const char of text) {
    if (char === '(') depth++;
    if (char === ')') depth--;
    if (char === ',' && depth === 0) {
      conditions.push(current);
      current = '';
    } else current += char;
  }
  return [...conditions, current].every((condition) => {
    const compact = condition.trim();
    const values = (): string[] =>
      compact
        .slice(compact.indexOf('(') + 1, -1)
        .split(',')
        .map((each) => each.trim());
    const own = (key: string): string | undefined => labels[key.trim()];
    if (compact.includes(' notin ')) return !values().includes(own(compact.split(' notin ')[0]!)!);
    if (compact.includes(' in ')) return values().includes(own(compact.split(' in ')[0]!)!);
    if (compact.includes('!='))
      return own(compact.split('!=')[0]!) !== compact.split('!=')[1]!.trim();
    if (compact.includes('='))
      return own(compact.split('=')[0]!) === compact.split('=').at(-1)!.trim();
    return compact.startsWith('!')
      ? own(compact.slice(1)) === undefined
      : own(compact) !== undefined;
  });
}

const key = fc.constantFrom('a', 'b', 'c');
const value = fc.constantFrom('1', '2', '3');
const blank = fc.constantFrom('', ' ');
const values = fc.array(value, { minLength: 1, maxLength: 3 });
const condition = fc.oneof(
  key,
  key.map((each) => `!${each}`),
  fc
    .tuple(key, fc.constantFrom('=', '==', '!='), value, blank)
    .map(([k, op, v, b]) => k + b + op + b + v),
  fc
    .tuple(key, fc.constantFrom('in', 'notin'), values, blank)
    .map(([k, op, vs, b]) => `${k} ${op} (${vs.join(`${b},${b}`)})`),
);

it('means what a naive reading of it means', () => {
  fc.assert(
    fc.property(
      fc.array(condition, { minLength: 1, maxLength: 4 }),
      fc.dictionary(key, value),
      (conditions, labels) => {
        const text = conditions.join(',');
        expect(matches(text, labels)).toBe(naive(text, labels));
      },
    ),
    { seed, numRuns: 2000 },
  );
});
