/** Named sets: what their files may say, and lists of addresses line by line. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseAddressList, validateSet } from '../../../src/policy/address-set.ts';
import { parsePeer } from '../../../src/policy/addresses.ts';
import { rangesOf } from '../../../src/policy/ranges.ts';
import { seed } from '../../support/seed.ts';

const read = (text: string) => parseAddressList('x.txt', new TextEncoder().encode(text));

describe('sets/NAME.yaml', () => {
  it('is read with all its keys', () => {
    const { value, problems, references } = validateSet(
      'office',
      'sets/office.yaml',
      `description: Where we sit
addresses: [192.0.2.0/24, 198.51.100.10-198.51.100.20]
except: [192.0.2.66]
include: ["set:vpn"]
file: office.txt
`,
    );
    expect(problems).toEqual([]);
    expect(value).toMatchObject({ name: 'office', include: ['vpn'], file: 'office.txt' });
    expect(value!.addresses.map(({ text }) => text)).toEqual([
      '192.0.2.0/24',
      '198.51.100.10-198.51.100.20',
    ]);
    expect(references).toMatchObject([{ line: 4, path: 'include[0]', group: { name: 'vpn' } }]);
  });

  it.each<[string, string]>([
    ['addresses: [server:web]', 'addresses[0] "server:web" is not an IPv4 address'],
    ['include: [vpn]', 'include[0] expected a set like set:office, found "vpn"'],
    ['file: ../x.txt', 'file expected the name of a .txt file beside it'],
    ['file: x.yaml', 'file expected the name of a .txt file beside it'],
    ['adresses: []', 'adresses unknown key "adresses"; did you mean "addresses"?'],
  ])('%s is refused', (text, message) => {
    const { value, problems } = validateSet('x', 'sets/x.yaml', text);
    expect(value).toBeUndefined();
    expect(problems.map((each) => `${each.path} ${each.message}`).join()).toContain(message);
  });
});

describe('a list of addresses', () => {
  it('has one address, block or range a line, with comments', () => {
    const list = read(`# a list
192.0.2.1
10.0.0.0/8 ; private
  198.51.100.10 - 198.51.100.20 # a range\r
203.0.113.0/24\r

;`);
    expect(list.problems).toEqual([]);
    expect(list.entries).toBe(4);
    expect(list.ranges).toEqual(
      rangesOf(
        ['192.0.2.1', '10.0.0.0/8', '198.51.100.10-198.51.100.20', '203.0.113.0/24'].map((text) => {
          const parsed = parsePeer(text);
          if ('message' in parsed) throw new Error(parsed.message);
          return parsed.value;
        }),
      ),
    );
  });

  it('reports each bad line with its number, the first twenty of them', () => {
    const bad = [
      '1.2.3',
      '300.1.1.1',
      '10.0.0.1/8',
      '01.2.3.4',
      'any',
      '1.2.3.4/33',
      '2001:db8::1',
      '1.2.3.4.5',
    ];
    const { problems } = read(['10.0.0.1', ...bad].join('\n'));
    expect(problems.map(({ line }) => line)).toEqual([2, 3, 4, 5, 6, 7, 8, 9]);
    const many = read('x\n'.repeat(75));
    expect(many.problems).toHaveLength(21);
    expect(many.problems.at(-1)).toMatchObject({ line: 0, message: '55 more lines are wrong' });
  });

  it('reads every line as the reader of rules would', () => {
    const part = fc.oneof(
      fc.integer({ min: 0, max: 300 }).map(String),
      fc.constantFrom('01', '', '0'),
    );
    const address = fc.array(part, { minLength: 3, maxLength: 5 }).map((parts) => parts.join('.'));
    const rest = fc.oneof(
      fc.constant(''),
      fc.integer({ min: 0, max: 40 }).map((bits) => `/${bits}`),
      address.map((other) => `-${other}`),
      fc.constantFrom('/', '/08', ' ', '\r', '/24x', '/4/2'),
    );
    const block = fc
      .tuple(fc.nat(0xffff), fc.integer({ min: 16, max: 32 }))
      .map(([high, bits]) => `${high >> 8}.${high & 255}.0.0/${bits}`);
    const blanks = fc.constantFrom('', '', ' ', '\t ');
    const comment = fc.constantFrom('', '', '# x', '; SBL1 ; 10.0.0.1', '\r');
    const ends = fc.tuple(address, fc.constantFrom('-', ' - ', ' -', '- \t', '--'), address);
    const entry = fc.oneof(
      block,
      ends.map((parts) => parts.join('')),
      fc.tuple(address, rest).map((parts) => parts.join('')),
    );
    const line = fc.tuple(blanks, entry, blanks, comment).map((parts) => parts.join(''));
    fc.assert(
      fc.property(fc.array(line, { maxLength: 10 }), (lines) => {
        const texts = lines.map((each) => each.replace(/[#;].*/, '').trim());
        const parsed = texts.map((each) => parsePeer(each));
        const wanted = parsed.flatMap((each) => ('value' in each ? [each.value] : []));
        const found = read(lines.join('\n'));
        expect(found.ranges).toEqual(rangesOf(wanted));
        const blank = texts.filter((each) => each === '').length;
        expect(found.problems).toHaveLength(lines.length - blank - wanted.length);
      }),
      { seed, numRuns: 1000 },
    );
  });
});
