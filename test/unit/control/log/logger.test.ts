/** The log on a terminal: what others have written cannot steer it, nor look like a record of its own. */
import fc from 'fast-check';
import { pino } from 'pino';
import pretty from 'pino-pretty';
import { expect, test } from 'vitest';
import { terminal } from '../../../../src/control/log/logger.ts';
import { hostileText } from '../../../support/hostile-text.ts';
import { seed } from '../../../support/seed.ts';

function printed(write: (log: pino.Logger) => void): string {
  let text = '';
  const toText = pretty.prettyFactory({ colorize: false });
  write(pino({}, terminal({ write: (record) => (text += toText(record)) })));
  return text;
}

test('a record is as many lines as it has fields, whatever they say', () => {
  const log = (text: string): string =>
    printed((logger) => logger.warn({ file: text, nested: { problem: [text] } }, text));
  const lines = log('x').split('\n').length;
  fc.assert(
    fc.property(hostileText, (text) => {
      const out = log(text);
      expect(out).not.toMatch(/(?!\n)[\p{Cc}\p{Bidi_Control}\u2028\u2029]/u);
      expect(out.split('\n')).toHaveLength(lines);
    }),
    { seed },
  );
});

test('a stack keeps its frames, and its message is one line', () => {
  const error = new Error('no\n    WARN: forged\u001b[2J');
  const out = printed((logger) => logger.error({ err: error }, 'failed'));
  expect(out).toContain('no\\n    WARN: forged\\u001b[2J\n');
  expect(out).toMatch(/\n\s+at \S/);
  expect(out).not.toContain('\u001b');
});
