/** Text that tries to do something to the terminal that it is printed on. */
import fc from 'fast-check';

const pieces = [
  '\u001b[2J',
  '\u001b[31m',
  '\u001b]0;title\u0007',
  '\u001b]52;c;cm0gLXJm\u001b\\',
  '\u009b1A',
  '\u0090q\u009c',
  '\u202e',
  '\u2066',
  '\u200f',
  '\u0000',
  '\b\b\b',
  '\r',
  '\n2030-01-31T12:00:00.000Z  root (socket)  template.destroy  ok  web\n',
  '\t',
  '\u007f',
  '\u2028',
  '\\u001b',
  '"',
];

export const hostileText: fc.Arbitrary<string> = fc
  .array(
    fc.oneof(
      fc.constantFrom(...pieces),
      fc.string({ maxLength: 5 }),
      fc.string({ unit: 'binary', maxLength: 5 }),
    ),
    { minLength: 1, maxLength: 4 },
  )
  .map((parts) => parts.join(''));
