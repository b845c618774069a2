/** Lines and tables: foreign text cannot steer the terminal, nor look like a line of its own. */
import { stripVTControlCharacters } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { controlIn, visible } from '../../../src/text/controls.ts';
import { Line, line } from '../../../src/text/line.ts';
import { formatTable } from '../../../src/text/table.ts';
import { hostileText } from '../../support/hostile-text.ts';
import { seed } from '../../support/seed.ts';

describe('control characters', () => {
  it.each([
    ['plain ünïcödé €', 'plain ünïcödé €', undefined],
    ['\u001b[2Jx', '\\u001b[2Jx', '\\u001b'],
    ['a\nb\tc\rd', 'a\\nb\\tc\\rd', '\\n'],
    ['C1 \u009b31m', 'C1 \\u009b31m', '\\u009b'],
    ['DEL \u007f', 'DEL \\u007f', '\\u007f'],
    ['\u202egnp.exe', '\\u202egnp.exe', '\\u202e'],
    ['\u2066isolate\u2069', '\\u2066isolate\\u2069', '\\u2066'],
    ['\u061c', '\\u061c', '\\u061c'],
    ['\u2028', '\\u2028', '\\u2028'],
  ])('%j is shown as %s', (text, shown, control) => {
    expect(visible(text)).toBe(shown);
    expect(controlIn(text)).toBe(control);
  });

  it('covers all of C0, DEL and C1', () => {
    for (let code = 0; code < 0x100; code++) {
      const isControl = code < 0x20 || (code >= 0x7f && code < 0xa0);
      expect(controlIn(String.fromCharCode(code)) !== undefined, String(code)).toBe(isControl);
    }
  });

  it('leaves JSON the same JSON', () => {
    fc.assert(
      fc.property(hostileText, (text) => {
        const shown = visible(JSON.stringify({ [text]: text }));
        expect(controlIn(shown)).toBeUndefined();
        expect(JSON.parse(shown)).toEqual({ [text]: text });
      }),
      { seed },
    );
  });
});

describe('a line', () => {
  it('keeps our colours and escapes those of others', () => {
    const red = Line.colour('red', '\u001b[32mgreen');
    const whole = line`a\tb ${red} ${'c\nd'} ${7}`;
    expect(whole.coloured).toBe('a\\tb \u001b[31m\\u001b[32mgreen\u001b[39m c\\nd 7');
    expect(whole.plain).toBe('a\\tb \\u001b[32mgreen c\\nd 7');
  });

  it('is cut off without its colours', () => {
    expect(Line.colour('bold', 'abcdef').clip(3).coloured).toBe('abc');
    expect(Line.colour('bold', 'abc').clip(3).coloured).toBe('\u001b[1mabc\u001b[22m');
  });
});

describe('a table', () => {
  it('lines up, colours have no width, and no line ends with blanks', () => {
    const table = formatTable(
      ['ok', 'what'],
      [
        ['ok', 'a'],
        [Line.colour('red', 'NO'), 'longer than the heading'],
        ['a wide cell', ''],
      ],
    );
    expect(table.map(({ coloured }) => stripVTControlCharacters(coloured))).toEqual([
      'ok           what',
      'ok           a',
      'NO           longer than the heading',
      'a wide cell',
    ]);
    expect(table[2]!.coloured).toContain('\u001b[31mNO\u001b[39m ');
  });

  it('has a line for each row, whatever its cells say', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(hostileText, hostileText)), (rows) => {
        const lines = formatTable(['a', 'b'], rows);
        expect(lines).toHaveLength(rows.length + 1);
        for (const { coloured } of lines) expect(controlIn(coloured)).toBeUndefined();
      }),
      { seed },
    );
  });
});
