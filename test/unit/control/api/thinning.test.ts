/** Much of one kind in few lines, and nothing that is not counted. */
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Thinning } from '../../../../src/control/api/thinning.ts';
import { ApiLab } from '../../../support/api.ts';
import { seed } from '../../../support/seed.ts';

function thinning(bounds: { burst: number; perSecond: number }): {
  clock: { ms: number };
  reports: [string, number][];
  thin: Thinning<string>;
} {
  const clock = { ms: 0 };
  const reports: [string, number][] = [];
  const thin = new Thinning<string>({
    ...bounds,
    now: () => clock.ms,
    tell: (value, count) => void reports.push([value, count]),
    tellLeftOut: (count) => void reports.push(['left out', count]),
  });
  return { clock, reports, thin };
}

describe('of one kind', () => {
  it('the first is reported at once, the others with the next one', async () => {
    const { clock, reports, thin } = thinning({ burst: 100, perSecond: 1 });
    for (const value of ['a1', 'a2', 'b1', 'a3']) await thin.add(value[0]!, value);
    expect(reports).toEqual([
      ['a1', 1],
      ['b1', 1],
    ]);
    clock.ms = 60_000;
    await thin.add('a', 'a4');
    expect(reports.slice(2)).toEqual([['a4', 3]]);
  });

  it('the others are reported on their own, when no event follows', async () => {
    const { clock, reports, thin } = thinning({ burst: 100, perSecond: 1 });
    for (const value of ['a1', 'a2', 'b1', 'a3']) await thin.add(value[0]!, value);
    await thin.sweep();
    expect(reports).toHaveLength(2);
    clock.ms = 60_000;
    await thin.sweep();
    expect(reports.slice(2)).toEqual([['a3', 2]]);
    await thin.sweep();
    expect(reports).toHaveLength(3);
  });
});

it('too many kinds are a count, and reports resume as time goes on', async () => {
  const { clock, reports, thin } = thinning({ burst: 3, perSecond: 1 });
  for (let kind = 0; kind < 10; kind++) await thin.add(`${kind}`, `${kind}`);
  expect(reports.map(([value]) => value)).toEqual(['0', '1', '2']);
  clock.ms = 1000;
  await thin.sweep();
  expect(reports.at(-1)).toEqual(['left out', 7]);
  clock.ms = 2000;
  await thin.add('new', 'new');
  expect(reports.at(-1)).toEqual(['new', 1]);
});

it('all are counted, whatever comes when', async () => {
  const step = fc.record({ kind: fc.nat(20), afterMs: fc.nat(20_000), sweep: fc.boolean() });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 200 }), fc.nat(5), async (steps, burst) => {
      const { clock, reports, thin } = thinning({ burst, perSecond: 0.1 });
      for (const { kind, afterMs, sweep } of steps) {
        clock.ms += afterMs;
        if (sweep) await thin.sweep();
        await thin.add(`${kind}`, `${kind}`);
      }
      // At the end no budget keeps a count back.
      await thin.flush();
      const sum = reports.reduce((count, [, each]) => count + each, 0);
      expect(sum).toBe(steps.length);
    }),
    { seed, numRuns: 100 },
  );
});

describe('the audit log', () => {
  let lab: ApiLab;
  beforeEach(async () => {
    lab = await ApiLab.create({ requestsPerMinute: 100_000 });
  });
  afterEach(async () => {
    await lab.close();
  });
  const denied = async (): Promise<unknown[][]> =>
    (await lab.store.audit.query({ result: 'denied' })).records.map(
      ({ actor, target, count = 1 }) => [actor.name, actor.address, target![0], count],
    );

  it('reports repeated attempts of a member by route and address, with counts', async () => {
    for (let times = 0; times < 50; times++) {
      await lab.send('member', `GET /v1/audit?limit=${times + 1}`);
      await lab.send('member', `DELETE /v1/templates/web-${times}`, { remoteAddress: '192.0.2.1' });
    }
    expect(await denied()).toEqual([
      ['member', '192.0.2.1', 'DELETE /v1/templates/web-0', 1],
      ['member', '127.0.0.1', 'GET /v1/audit', 1],
    ]);
    await lab.api.close();
    expect((await denied()).slice(0, 2)).toEqual([
      ['member', '192.0.2.1', 'DELETE /v1/templates/web-49', 49],
      ['member', '127.0.0.1', 'GET /v1/audit', 49],
    ]);
  });

  it('reports strangers from many addresses as a count, and members as before', async () => {
    const path = 'x'.repeat(4000);
    for (let host = 0; host < 1000; host++) {
      const remoteAddress = `192.0.${host >> 8}.${host & 255}`;
      // A missing path is not audited, but a foreign host is.
      const headers = { host: 'evil.example' };
      await lab.send('nobody', `GET /${path}`, { remoteAddress, headers });
    }
    await lab.send('member', 'GET /v1/audit');
    const records = (await lab.store.audit.query({ limit: 1000 })).records;
    expect(records[0]!.actor.name).toBe('member');
    expect(records.filter(({ actor }) => actor.name === 'nobody')).toHaveLength(600);
    const log = await lab.directory.text('.state/audit-denied.log');
    for (const line of log.split('\n')) expect(line.length).toBeLessThan(1024);
  });

  it('thins wrong passwords as well, by name and address', async () => {
    lab.store.users.verifyPassword = () => Promise.resolve(undefined);
    const guess = (name: string, remoteAddress: string): Promise<unknown> =>
      lab.send('nobody', 'POST /v1/session', { body: { name, password: 'x' }, remoteAddress });
    for (let times = 0; times < 5; times++) {
      for (const name of ['bob', 'eve']) await guess(name, '192.0.2.1');
    }
    await guess('bob', '192.0.2.2');
    expect(await denied()).toEqual([
      ['bob', '192.0.2.2', 'bob', 1],
      ['eve', '192.0.2.1', 'eve', 1],
      ['bob', '192.0.2.1', 'bob', 1],
    ]);
  });
});
