/**
 * A storm (test/storm/storm.ts), small: writers at four gateways, while leaders of etcd are killed. `scripts/storm` makes a
 * large one.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EtcdCluster, etcdObstacle } from '../../../support/etcd.ts';
import { storm, stormText, violations } from '../../../storm/storm.ts';
import type { StormHistory } from '../../../storm/storm.ts';

const shape = { gateways: 4, writers: 4, changes: 12, templates: 4, betweenKillsMs: 2000 };

describe.skipIf(etcdObstacle !== undefined)('a storm', () => {
  let cluster: EtcdCluster;
  beforeAll(async () => {
    cluster = await EtcdCluster.start();
  });
  afterAll(() => cluster.stop());

  it('takes nothing away, makes nothing twice, and nothing out of order', async () => {
    const { history, counts } = await storm(cluster, shape);
    console.log(stormText(history, counts));
    expect(violations(history)).toEqual([]);
    expect(history.rules).toHaveLength(shape.gateways * shape.writers * shape.changes);
    expect(history.compiled).toHaveLength(1 + shape.gateways);
    expect(counts.kills).toBeGreaterThan(0);
  }, 300_000);
});

describe('the check of a history', () => {
  const good: StormHistory = {
    acknowledged: [
      { id: 'a', askedMs: 0, answeredMs: 5 },
      { id: 'b', askedMs: 2, answeredMs: 9 },
      { id: 'c', askedMs: 10, answeredMs: 12 },
    ],
    rules: ['a', 'b', 'c'],
    commits: [
      { id: 'b', number: 4 },
      { id: 'a', number: 5 },
      { id: 'c', number: 6 },
    ],
    compiled: ['x', 'x'],
  };
  const [b, a, c] = good.commits;

  it('finds nothing in a good one: changes at the same time may have any order', () => {
    expect(violations(good)).toEqual([]);
  });

  it.each<[string, Partial<StormHistory>, string[]]>([
    ['a lost rule', { rules: ['a', 'b'] }, ['c was acknowledged, no rule']],
    ['a rule twice', { rules: ['a', 'b', 'b', 'c'] }, ['2 times the rule b']],
    ['a rule of nobody', { rules: ['a', 'b', 'c', 'd'] }, ['nobody was told of the rule d']],
    ['a lost commit', { commits: [{ ...b!, number: 5 }, c!] }, ['a was acknowledged, no commit']],
    [
      'a commit twice',
      { commits: [...good.commits, { id: 'c', number: 7 }] },
      ['2 times the commit c'],
    ],
    ['a gap', { commits: [a!, b!, { ...c!, number: 8 }] }, ['from commit 5 to 8']],
    ['a number twice', { commits: [a!, b!, { ...c!, number: 5 }] }, ['from commit 5 to 5']],
    [
      'what comes before something older',
      {
        commits: [
          { ...c!, number: 4 },
          { ...a!, number: 5 },
          { ...b!, number: 6 },
        ],
      },
      [
        'b was answered before c was asked for, and comes after it',
        'a was answered before c was asked for, and comes after it',
      ],
    ],
    ['another policy', { compiled: ['x', 'y', 'x'] }, ['gateways have compiled 2 policies']],
  ])('finds %s', (_, wrong, expected) => {
    expect(violations({ ...good, ...wrong }).sort()).toEqual([...expected].sort());
  });
});
