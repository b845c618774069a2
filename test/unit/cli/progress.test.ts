/** The progress bar of imports and the like: seldom, only for people, and gone at the end. */
import { describe, expect, it } from 'vitest';
import { createProgress } from '../../../src/cli/progress.ts';

describe('the progress bar', () => {
  const draw = (
    isTTY: boolean,
  ): { drawn: string[]; at: (ms: number, done: number) => void; end: () => void } => {
    const drawn: string[] = [];
    let now = 1000;
    const sink = { isTTY, write: (text: string) => drawn.push(text) };
    const progress = createProgress('reading', sink, () => now);
    return {
      drawn,
      at: (ms, done) => {
        now = 1000 + ms;
        progress.update(done, 200);
      },
      end: () => progress.finish(),
    };
  };

  it('draws seldom, not at once, and is wiped', () => {
    const { drawn, at, end } = draw(true);
    at(0, 1);
    at(299, 50);
    expect(drawn).toEqual([]);
    at(300, 100);
    at(350, 120);
    at(401, 500);
    expect(drawn).toEqual([
      `\rreading [${'#'.repeat(15)}${'-'.repeat(15)}] 50 %`,
      `\rreading [${'#'.repeat(30)}] 100 %`,
    ]);
    end();
    end();
    expect(drawn.slice(2)).toEqual(['\r\u001b[K']);
  });

  it('is not printed without a terminal, nor after quick work', () => {
    const piped = draw(false);
    piped.at(5000, 100);
    piped.end();
    expect(piped.drawn).toEqual([]);
    const quick = draw(true);
    quick.at(10, 200);
    quick.end();
    expect(quick.drawn).toEqual([]);
  });
});
