/** Sets of very many ranges against a search in the ranges themselves, in each way in which a chunk can be written. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ChunkKind, isInChunks } from '../../../../src/dataplane/match/chunked-set.ts';
import { MatchResult, Matcher } from '../../../../src/dataplane/match/matcher.ts';
import { writeChunks } from '../../../../src/policy/chunk-writer.ts';
import { compilePolicy } from '../../../../src/policy/compile.ts';
import type { CompiledPolicy } from '../../../../src/policy/compile.ts';
import { BlockWriter } from '../../../../src/policy/program-memory.ts';
import { hasAddress, rangesOf } from '../../../../src/policy/ranges.ts';
import type { Range, Ranges } from '../../../../src/policy/ranges.ts';
import { seed } from '../../../support/seed.ts';

/** Not 0, so that a forgotten base is noticed. */
const offset = 1000;

function written(ranges: Ranges): { words: Int32Array; kindOf: (address: number) => number } {
  const writer = new BlockWriter();
  writeChunks(writer, ranges);
  const words = new Int32Array(offset + writer.length);
  writer.copyTo(words, offset);
  return { words, kindOf: (address) => words[offset + (address >>> 16)]! & 3 };
}

/** All ends, and what lies beside them. */
function probesOf(ranges: Ranges): number[] {
  const around = [...ranges].flatMap((end) => [end - 1, end, end + 1]);
  return [...around, 0, 0xffff, 0x10000, 0xffffffff].map((address) => address >>> 0);
}

function expectSame(ranges: Ranges): void {
  const { words } = written(ranges);
  const wrong = probesOf(ranges).filter((address) => {
    const expected = hasAddress(ranges, address);
    return [address, address | 0].some((each) => isInChunks(words, offset, each) !== expected);
  });
  expect(wrong).toEqual([]);
}

const block = (number: number): Range => ({ from: number * 256, to: number * 256 + 255 });
const single = (address: number): Range => ({ from: address, to: address });
const many = (count: number, make: (index: number) => Range): Range[] =>
  Array.from({ length: count }, (_, index) => make(index));

describe('a chunk', () => {
  it.each<[string, keyof typeof ChunkKind, Range[]]>([
    ['one address', 'singles', [single(0x0a000005)]],
    ['two addresses', 'singles', [single(0x0a000005), single(0x0a000007)]],
    ['every second address', 'singles', many(0x8000, (i) => single(0x0a000000 + i * 2))],
    ['one block', 'ranges', [block(0x0a0000)]],
    ['all of it', 'ranges', [{ from: 0x0a000000, to: 0x0a00ffff }]],
    ['part of a wide range', 'ranges', [{ from: 0x09ff0001, to: 0x0a0f0000 }]],
    ['every second block', 'blocks', many(128, (i) => block(0x0a0000 + i * 2))],
    [
      'blocks and an address',
      'ranges',
      [...many(40, (i) => block(0x0a0000 + i * 2)), single(0x0a00fff0)],
    ],
    [
      'ranges of three',
      'ranges',
      many(10_000, (i) => ({ from: 0x0a000001 + i * 5, to: 0x0a000003 + i * 5 })),
    ],
  ])('%s', (_, kind, list) => {
    const ranges = rangesOf(list);
    expect(written(ranges).kindOf(0x0a000000)).toBe(ChunkKind[kind]);
    expectSame(ranges);
  });

  it('the first and the last one, and none', () => {
    expectSame(rangesOf([single(0), single(0xffffffff)]));
    expectSame(rangesOf([{ from: 0, to: 0xffffffff }]));
    expectSame(rangesOf([]));
  });

  it('anything', () => {
    // In few chunks, so that they become full; of all lengths.
    const range = fc
      .tuple(fc.integer({ min: 0, max: 0x3ffff }), fc.integer({ min: 0, max: 17 }))
      .chain(([from, bits]) =>
        fc.integer({ min: 0, max: 2 ** bits - 1 }).map((more) => ({ from, to: from + more })),
      );
    const list = fc.array(fc.oneof(range, fc.nat(0x3ff).map(block)), { maxLength: 300 });
    fc.assert(
      fc.property(list, fc.constantFrom(0, 0x0a000000, 0xfffb0000), (ranges, base) => {
        expectSame(rangesOf(ranges.map(({ from, to }) => ({ from: base + from, to: base + to }))));
      }),
      { seed },
    );
  });
});

describe('a rule about a set of many ranges', () => {
  const guarded = 0x0a000001;

  function compiled(ranges: Ranges): CompiledPolicy {
    const peer = { kind: 'set', name: 'list', text: 'set:list' } as const;
    const rule = { protocol: 'tcp' as const, ports: [{ from: 22, to: 22 }], peers: [peer] };
    const templates = [{ name: 't', inbound: [rule], outbound: [] }];
    const servers = [{ name: 's', addresses: [guarded], templates: ['t'] }];
    const sets = [{ name: 'list', addresses: [], except: [], include: [], list: ranges }];
    return compilePolicy({ templates, servers, sets }, 1);
  }

  // Below, at and above the numbers from which it is written in another way.
  it.each([1024, 1025, 16_384, 16_385, 40_000])('%i ranges', (count) => {
    const ranges = rangesOf(many(count, (i) => single(0xc0000000 + i * 997)));
    const matcher = new Matcher(compiled(ranges).words);
    const wrong = probesOf(ranges).filter(
      (address) =>
        address !== guarded &&
        (matcher.match(6, address, guarded, 22) === MatchResult.allowed) !==
          hasAddress(ranges, address),
    );
    expect(wrong).toEqual([]);
  });

  it('takes no more memory than its addresses, and one of a thousand has no table of chunks', () => {
    const wordsOf = (count: number): number =>
      compiled(rangesOf(many(count, (i) => single(i * 4294)))).stats.words;
    expect(wordsOf(1_000_000)).toBeLessThan(1_000_000);
    expect(wordsOf(1000)).toBeLessThan(20_000);
  });
});
