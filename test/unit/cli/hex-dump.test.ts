/** Hex dumps of a packet, as the tools print them: the bytes, whatever their text column looks like. */
import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { parseHexDump } from '../../../src/cli/hex-dump.ts';
import { seed } from '../../support/seed.ts';

const rows = (bytes: Buffer, size: number): Buffer[] =>
  Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
    bytes.subarray(i * size, (i + 1) * size),
  );
const grouped = (bytes: Buffer, size: number): string =>
  rows(bytes, size)
    .map((group) => group.toString('hex'))
    .join(' ');
const ascii = (bytes: Buffer): string => bytes.toString('latin1').replaceAll(/[^ -~]/g, '.');
const offset = (i: number, digits: number): string => (i * 16).toString(16).padStart(digits, '0');

type Row = (row: Buffer, index: number) => string;
const dump = (packet: Buffer, line: Row): string => rows(packet, 16).map(line).join('\n');
const halves = (row: Buffer): string =>
  rows(row, 8)
    .map((half) => grouped(half, 1))
    .join('  ');

/** Layouts with their padding: the text columns of all rows stand below each other. */
const layouts: Readonly<Record<string, (packet: Buffer) => string>> = {
  digits: (packet) => packet.toString('hex'),
  'capital digits and blanks': (packet) => grouped(packet, 1).toUpperCase(),
  colons: (packet) => grouped(packet, 1).replaceAll(' ', ':'),
  '0x': (packet) => grouped(packet, 1).replaceAll(/\b(?=\w)/g, '0x'),
  'tcpdump -x': (packet) =>
    `12:00:00.000001 IP 198.51.100.7 > 10.0.0.2: tcp\n${dump(packet, (row, i) => `\t0x${offset(i, 4)}:  ${grouped(row, 2)}`)}\n`,
  'tcpdump -X': (packet) =>
    dump(packet, (row, i) => `\t0x${offset(i, 4)}:  ${grouped(row, 2).padEnd(39)}  ${ascii(row)}`),
  xxd: (packet) =>
    dump(packet, (row, i) => `${offset(i, 8)}: ${grouped(row, 2).padEnd(39)}  ${ascii(row)}`),
  'hexdump -C': (packet) =>
    `${dump(packet, (row, i) => `${offset(i, 8)}  ${halves(row).padEnd(48)}  |${ascii(row)}|`)}\n` +
    `${packet.length.toString(16).padStart(8, '0')}\n`,
  Wireshark: (packet) =>
    dump(packet, (row, i) => `${offset(i, 4)}   ${grouped(row, 1).padEnd(47)}   ${ascii(row)}`),
};

/** Printable bytes, digits and blanks among them: what makes a text column look like bytes. */
const packets = fc
  .array(
    fc.oneof(
      fc.constantFrom(...Buffer.from('0123456789abcdef  AF|*:')),
      fc.integer({ min: 0, max: 255 }),
    ),
    { minLength: 20, maxLength: 100 },
  )
  .map((bytes) => Buffer.from(bytes));

const hexOf = (text: string): string => {
  const bytes = parseHexDump(text);
  return 'message' in bytes ? bytes.message : Buffer.from(bytes).toString('hex');
};

describe('a hex dump gives its bytes', () => {
  it.each(Object.entries(layouts))('%s', (_, layout) => {
    fc.assert(
      fc.property(packets, (packet) => {
        expect(hexOf(layout(packet))).toBe(packet.toString('hex'));
      }),
      { seed, numRuns: 300 },
    );
  });

  it.each([
    ['45 is', '45 is no byte '],
    ['only hexadecimal words', 'dead beef cafe 12 34 ab 00'],
    ['blanks first', '    45 00    28'],
  ])('with a text column of %s', (_, text) => {
    const packet = Buffer.from(text.repeat(4));
    for (const [name, layout] of Object.entries(layouts)) {
      expect(hexOf(layout(packet)), name).toBe(packet.toString('hex'));
    }
  });
});

test.each<[string, string[]]>([
  ['xxd', []],
  ['xxd', ['-u']],
  ['xxd', ['-g1', '-c20']],
  ['xxd', ['-g8', '-c8']],
  ['xxd', ['-p']],
  ['hexdump', ['-C']],
  ['hexdump', ['-Cv']],
  ['od', ['-t', 'x1']],
  ['od', ['-A', 'x', '-t', 'x1z']],
  ['od', ['-v', '-A', 'x', '-t', 'x1']],
])('what %s %j prints is read', (tool, args) => {
  // 16 equal rows, which hexdump prints as one and a star.
  for (const text of [
    'ab cd 45 |00| 12 ',
    '\u0000'.repeat(300),
    'x'.repeat(40),
    '12 '.repeat(33),
  ]) {
    const packet = Buffer.from(`E..(${text}`.padEnd(20, '7'));
    const printed = spawnSync(tool, args, { input: packet, encoding: 'utf8' });
    expect(printed.status, String(printed.error)).toBe(0);
    expect(hexOf(printed.stdout)).toBe(packet.toString('hex'));
  }
});

test.each<[string, string[]]>([
  ['hexdump', []],
  ['od', []],
  ['od', ['-x']],
])('what %s %j prints is refused: its bytes are exchanged', (tool, args) => {
  const { stdout } = spawnSync(tool, args, { input: 'E..(1234567890123456', encoding: 'utf8' });
  expect(hexOf(stdout)).toBe('line 1: words, not bytes: use hexdump -C, xxd or od -t x1');
});

test.each(['-e', '-eg2', '-eg8', '-ec8', '-ec64', '-eu'])(
  'what xxd %s prints is refused: the bytes of its groups are exchanged',
  (option) => {
    for (const text of ['ab cd 45 |00| 12 ', '\u0001\u0000'.repeat(25), '12 '.repeat(13), '3']) {
      const packet = Buffer.from(`E\u0000\u0000(${text}`.padEnd(20, '7'));
      const { stdout } = spawnSync('xxd', [option], { input: packet, encoding: 'utf8' });
      expect(hexOf(stdout)).toBe(
        'line 1: the bytes of each group stand in reverse, as xxd -e prints them: use xxd without -e',
      );
    }
  },
);

test.each([
  ['', 'expected hexadecimal digits, found none'],
  ['only words', 'expected hexadecimal digits, found none'],
  ['450', 'an odd number of hexadecimal digits'],
  ['45 00\nnonsense', 'line 2: expected hexadecimal digits, found "nonsense"'],
  ['0000  45 00\nnonsense', 'line 2: expected hexadecimal digits, found "nonsense"'],
  ['0000  45 zz\n0002  00', 'line 1: expected hexadecimal digits, found "45 zz"'],
  ['0000  45 00\n28 00', 'expected an offset on every line, or on none'],
])('%j is refused', (text, message) => {
  expect(parseHexDump(text)).toEqual({ message });
});
