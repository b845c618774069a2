/** Lists of addresses as sets: what is recognised, and what an ipset means here. */
import { describe, expect, it } from 'vitest';
import { importAddressLists } from '../../../../src/interop/rules/address-lists.ts';
import type { ImportedLists, ListOptions } from '../../../../src/interop/rules/address-lists.ts';

function imported(text: string, options: ListOptions = {}): ImportedLists {
  const result = importAddressLists(text, options);
  if ('problem' in result) throw new Error(result.problem);
  return result;
}

describe('a plain list', () => {
  it.each([
    ['Spamhaus DROP', '; Spamhaus DROP List 2026\n192.0.2.0/24 ; SBL1\n'],
    ['a FireHOL netset', '#\n# firehol_level1\n#\n192.0.2.0/24\n'],
    ['addresses alone', '192.0.2.1\r\n192.0.2.2'],
  ])('like %s is taken as it is', (_name, text) => {
    const { format, sets, remarks } = imported(text, { fallback: 'Drop List' });
    expect([format, remarks]).toEqual(['list', []]);
    expect(sets).toEqual([
      { name: 'drop-list', list: text.endsWith('\n') ? text : `${text}\n`, include: [] },
    ]);
  });

  it('without an address is refused: an empty answer must not empty a set', () => {
    for (const text of ['', '\n\n', '# nothing\n ; here\n']) {
      expect(importAddressLists(text, {})).toEqual({
        problem: 'there is no address in it: nothing was changed',
      });
    }
  });
});

const saved = `create Web_Ban hash:ip family inet hashsize 1024 maxelem 65536 timeout 600
add Web_Ban 192.0.2.1 timeout 544
add Web_Ban 192.0.2.2 timeout 0
create nets hash:net family inet
add nets 10.0.0.0/8
add nets 10.1.0.0/16 nomatch
add nets 10.1.2.0/24
create blocks bitmap:ip range 10.0.0.0-10.0.255.255 netmask 24
add blocks 10.0.7.0
create six hash:net family inet6
add six 2001:db8::/32
create ports hash:ip,port family inet
add ports 192.0.2.1,tcp:80
create all list:set size 8
add all nets
add all six
`;

describe('what ipset prints', () => {
  it('is read as sets of the addresses that match', () => {
    const { format, sets, remarks } = imported(saved);
    expect(format).toBe('ipset');
    expect(sets).toEqual([
      { name: 'web_ban', list: '192.0.2.1\n192.0.2.2\n', include: [] },
      // The longest block decides: /24 within the /16 that does not match.
      { name: 'nets', list: '10.0.0.0/16\n10.1.2.0/24\n10.2.0.0-10.255.255.255\n', include: [] },
      { name: 'blocks', list: '10.0.7.0/24\n', include: [] },
      { name: 'all', list: '', include: ['set:nets'] },
    ]);
    expect(remarks.map(({ place, message }) => `${place}: ${message}`)).toEqual([
      'six: left out: it is for IPv6: the firewall is IPv4 only',
      'ports: left out: its type hash:ip,port matches more than addresses',
      ': entries with a timeout: 1. Here they stay',
      'Web_Ban: it is named "web_ban" here',
      'all: "six" was left out',
    ]);
  });

  it('as a list for people is read, too', () => {
    const listed = `Name: bad
Type: hash:net
Revision: 7
Header: family inet hashsize 1024 maxelem 65536 bucketsize 12 initval 0x6f0c4a1e
Size in memory: 568
References: 1
Number of entries: 2
Members:
192.0.2.0/24
10.0.0.1

Name: none
Type: hash:ip
Revision: 5
Header: family inet
Members:
`;
    expect(imported(listed).sets).toEqual([
      { name: 'bad', list: '192.0.2.0/24\n10.0.0.1\n', include: [] },
      { name: 'none', list: '', include: [] },
    ]);
  });

  it.each([
    ['create a hash:ip\ncreate A hash:ip\n', {}, 'two sets would both be named "a"'],
    [
      'create a hash:ip\ncreate b hash:ip\n',
      { name: 'c' },
      'there are 2 sets in it, which cannot have one name',
    ],
    ['create a hash:mac\n', {}, 'there is no set of IPv4 addresses in it: nothing was changed'],
    ['add a 10.0.0.1\n', {}, 'line 1: the set "a" was not created before'],
    ['create a hash:ip\nbanana\n', {}, 'line 2: expected what "ipset save" or "ipset list" prints'],
  ] as const)('is refused as a whole: %j', (text, options, problem) => {
    expect(importAddressLists(text, options)).toEqual({ problem });
  });

  it('reports entries that are no addresses by their lines', () => {
    const { sets, remarks } = imported('create a hash:ip\nadd a 10.0.0.1\nadd a 300.0.0.1\n');
    expect(sets[0]!.list).toBe('10.0.0.1\n');
    expect(remarks[0]).toMatchObject({ place: 'line 3' });
  });
});
