import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { piecesOf, textOf } from '../../../../src/control/store/etcd/layout.ts';
import { seed } from '../../../support/seed.ts';

const digestOf = (text: string): string => createHash('sha256').update(text).digest('hex');

it('a text comes back from its pieces as it was, whatever it begins with', () => {
  const text = fc.tuple(fc.constantFrom('', '\uFEFF', '\r\n', '#'), fc.string({ unit: 'binary' }));
  fc.assert(
    fc.property(text, (parts) => {
      const whole = parts.join('');
      expect(textOf(digestOf(whole), piecesOf(whole))).toBe(whole);
    }),
    { seed },
  );
});

it('one that is not what its name says is an error', () => {
  expect(() => textOf(digestOf('a'), piecesOf('b'))).toThrow('not what its name says');
});
