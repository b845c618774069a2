/** The explained differences between Linux and the engine: the table for people says what the code says. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { explanations } from '../../../oracle/explained.ts';
import { examples } from '../../../oracle/explained-examples.ts';

const readme = readFileSync(new URL('../../../oracle/differences.md', import.meta.url), 'utf8');

it('each has its row in test/oracle/differences.md, and no row is left over', () => {
  const rows = readme
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) => line.split(/ *\| */).slice(1, -1));
  expect(rows).toEqual(
    explanations.map(({ id, stricter, difference, why, source }) => [
      `\`${id}\``,
      stricter,
      difference,
      why,
      source,
    ]),
  );
});

it('each has an example, under an id of its own', () => {
  const ids = explanations.map(({ id }) => id);
  expect(new Set(ids).size).toBe(ids.length);
  expect(Object.keys(examples).sort()).toEqual([...ids].sort());
});
