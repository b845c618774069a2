/** The hash of a flow's key, held against the kernel's own test vector. */
import { describe, expect, it } from 'vitest';
import { halfSipHash } from '../../../../src/dataplane/flow/hash.ts';
import { icmpKind } from '../../../../src/dataplane/flow/icmp-query.ts';

describe('HalfSipHash-1-3', () => {
  it('agrees with the kernel on the bytes 00 01 … 0e under the key 00 01 … 07 (lib/test_siphash.c)', () => {
    const hash = halfSipHash(0x03020100, 0x07060504, 0x03020100, 0x07060504, 0x0b0a0908, 0x0e0d0c);
    expect(hash >>> 0).toBe(0xd0257b04);
  });

  it('changes with every bit of key, words and tail', () => {
    const words = [1, 2, 3, 4, 5, 6];
    const hashes = new Set<number>();
    const hash = (): number => halfSipHash(...(words as Parameters<typeof halfSipHash>));
    hashes.add(hash());
    words.forEach((word, index) => {
      for (let bit = 0; bit < (index === 5 ? 24 : 32); bit++) {
        words[index] = word ^ (1 << bit);
        hashes.add(hash());
      }
      words[index] = word;
    });
    expect(hashes.size).toBe(1 + 5 * 32 + 24);
  });

  it('gets the kind of an ICMP query as its tail, which has room for 24 bits', () => {
    const kinds = new Set<number>();
    for (let type = 0; type < 256; type++) {
      for (let code = 0; code < 256; code++) {
        for (const [src, dst] of [
          [1, 2],
          [2, 1],
        ] as const) {
          const kind = icmpKind(type, code, src, dst);
          expect(kind).toBeLessThan(2 ** 24);
          if (kind !== 0) kinds.add(kind);
        }
      }
    }
    // Four queries, asked by either end, with every code.
    expect(kinds.size).toBe(4 * 2 * 256);
  });
});
