/** What is repaired now: everything at once, but nothing too often. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { GatewayProblem } from '../../../src/host/problems.ts';
import { RepairBudget } from '../../../src/host/repair-budget.ts';
import { seed } from '../../support/seed.ts';

const problem = (what: string, repairable = true): GatewayProblem => ({
  ...{ what, repairable },
  ...{ wanted: 'here', found: 'missing', kind: 'rule' },
});

describe('a budget of repairs', () => {
  it('allows many things at once, and nothing that is somebody else’s', () => {
    const budget = new RepairBudget();
    for (let n = 0; n < 1000; n++) {
      expect(budget.allows(problem(`rule ${n}`), 0)).toBe(true);
      expect(budget.spend(problem(`rule ${n}`), 0)).toBe(1);
    }
    expect(budget.total).toBe(1000);
    expect(budget.contested(0)).toEqual([]);
    expect(budget.allows(problem('other rules', false), 0)).toBe(false);
  });

  it('allows ten of one thing at once, then one a second; others are not concerned', () => {
    const budget = new RepairBudget();
    const one = problem('rule 20');
    let times = 0;
    for (; budget.allows(one, 0); times++) expect(budget.spend(one, 0)).toBe(times + 1);
    expect(times).toBe(10);
    expect(budget.allows(one, 999)).toBe(false);
    expect(budget.allows(problem('rule 10'), 999)).toBe(true);
    expect(budget.allows(one, 1000)).toBe(true);
    budget.spend(one, 1000);
    expect(budget.allows(one, 1001)).toBe(false);
    // Afterwards ten again, and no more, however long nothing happens.
    let later = 0;
    for (; budget.allows(one, 1e9); later++) budget.spend(one, 1e9);
    expect(later).toBe(10);
  });

  it('in any order of changes, allows no more than that', () => {
    const steps = fc.array(fc.integer({ min: 0, max: 3000 }), { maxLength: 200 });
    fc.assert(
      fc.property(steps, (pausesMs) => {
        const budget = new RepairBudget();
        let nowMs = 0;
        let repairs = 0;
        for (const pauseMs of pausesMs) {
          nowMs += pauseMs;
          if (!budget.allows(problem('fw0 mtu'), nowMs)) continue;
          budget.spend(problem('fw0 mtu'), nowMs);
          repairs++;
          expect(repairs).toBeLessThanOrEqual(10 + nowMs / 1000);
        }
      }),
      { seed },
    );
  });

  it('names what is changed again and again, until it stays', () => {
    const budget = new RepairBudget();
    for (let n = 0; n < 6; n++) budget.spend(problem('rule 20'), 0);
    budget.spend(problem('rule 10'), 0);
    expect(budget.contested(0)).toMatchObject([
      { what: 'rule 20', found: 'missing, again and again: repaired 6 times' },
    ]);
    expect(budget.contested(0)[0]?.hint).toContain('find what sets it');
    expect(budget.contested(4000)).toEqual([]);
  });

  it('also where each repair takes a second, and not what changes now and then', () => {
    const budget = new RepairBudget();
    for (let n = 0; n < 12; n++) budget.spend(problem('rule 10'), n * 5000);
    expect(budget.contested(55_000)).toEqual([]);
    for (let n = 0; n < 12; n++) budget.spend(problem('rule 20'), 60_000 + n * 1500);
    expect(budget.contested(76_500).map(({ what }) => what)).toEqual(['rule 20']);
    // Soon after the last one it counts as settled, however long it went on.
    expect(budget.contested(76_500 + 12_000)).toEqual([]);
  });

  it('forgets the oldest of very many things', () => {
    const budget = new RepairBudget();
    for (let n = 0; n <= 10_000; n++) budget.spend(problem(`net.${n}`), 0);
    expect(budget.spend(problem('net.0'), 0)).toBe(1);
    expect(budget.spend(problem('net.10000'), 0)).toBe(2);
  });
});
