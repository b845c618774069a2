/** Judging the same texts again: what the clock decides is not remembered for longer than it holds. */
import { describe, expect, it } from 'vitest';
import { ConfigJudge } from '../../../../src/control/store/config-judge.ts';
import type { ConfigFiles } from '../../../../src/control/store/config-texts.ts';

const day = 86_400_000;
const startMs = Date.parse('2030-01-01T00:00:00Z');
const at = (ms: number): string => new Date(startMs + ms).toISOString();

/** One observes for a day from the start on, the other begins to be allowed a day later. */
const servers = (before: string): ConfigFiles => ({
  gateway: undefined,
  templates: [],
  sets: [],
  servers: {
    ...{ name: 'servers.yaml', problem: undefined },
    text:
      `servers:\n  - { name: a, addresses: [10.0.0.2], mode: observe, until: ${at(day)} }\n` +
      `  - { name: b, addresses: [10.0.0.3]${before} }\n`,
  },
});

const said = (judge: ConfigJudge, files: ConfigFiles): string[] =>
  judge
    .judge(files)
    .problems.map(({ severity, path, message }) => `${severity} ${path}: ${message}`);

describe.each([
  ['in the usual layout', ''],
  ['with something that only the whole file tells', ', region: &here hkg'],
  ['with an end that is too far', `, mode: observe, until: ${at(15 * day)}`],
])('servers.yaml %s', (_, more) => {
  it('a judge that knows it says at each moment what a new one says', () => {
    let nowMs = 0;
    const clock = (): number => nowMs;
    const files = servers(more);
    const known = new ConfigJudge('', '', clock);
    const answers = new Set<string>();
    for (const ms of [0, 1, day - 1, day, day + 1, 15 * day, -1, -14 * day, 0, day, 0, day - 1]) {
      nowMs = startMs + ms;
      const answer = said(known, files);
      expect(answer, String(ms)).toEqual(said(new ConfigJudge('', '', clock), files));
      answers.add(answer.join());
    }
    expect(answers.size).toBeGreaterThan(1);
  });
});

it('while nothing turns, the state is the same', () => {
  let nowMs = startMs;
  const known = new ConfigJudge('', '', () => nowMs);
  const first = known.judge(servers(''));
  nowMs += day - 1;
  expect(known.judge(servers(''))).toBe(first);
});
