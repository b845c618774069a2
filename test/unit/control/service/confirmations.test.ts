/** The clock of changes that nobody confirms: real stores, and a clock that is set by hand. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Confirmations } from '../../../../src/control/service/confirmations.ts';
import { readConfirmed } from '../../../../src/control/service/start-state.ts';
import type { FileStore } from '../../../../src/control/store/files/file-store.ts';
import { StoreError } from '../../../../src/control/store/store.ts';
import { TestDirectory, alice, webText } from '../../../support/stores.ts';

let directory: TestDirectory;
let store: FileStore;
let nowMs: number;
let said: string[];
let applied: number;
let clock: Confirmations;
const clockOn = (on: Pick<FileStore, 'change' | 'unconfirmed'>): Confirmations =>
  new Confirmations({
    store: on,
    log: {
      warn: (...args: unknown[]) => void said.push(args.map((each) => String(each)).join(' ')),
    },
    onUndone: () => Promise.resolve(applied++),
    nowMs: () => nowMs,
  });
beforeEach(async () => {
  directory = await TestDirectory.create({ 'templates/web.yaml': webText });
  store = await directory.store();
  [nowMs, said, applied] = [1000, [], 0];
  clock = clockOn(store);
  await clock.look();
});
afterEach(() => directory.remove());
const names = async (): Promise<string[]> => (await store.read()).templates.map(({ name }) => name);
const change = (name: string, confirmWithinS?: number): Promise<unknown> =>
  store.change(
    alice,
    () => [{ kind: 'create-template', name, body: {} }],
    confirmWithinS === undefined ? {} : { confirmWithinS },
  );

it('undoes one when its time is over by its own clock, not sooner', async () => {
  await change('a', 60);
  await clock.look();
  expect(clock.waits).toBe(true);
  nowMs += 59_999;
  await clock.look();
  expect(await names()).toEqual(['a', 'web']);
  nowMs += 1;
  await Promise.all([clock.look(), clock.look()]);
  expect(await names()).toEqual(['web']);
  expect([clock.waits, clock.undone, applied]).toEqual([false, 1, 1]);
  expect(said.join()).toContain('was not confirmed in time');
});

it('says once what keeps it from looking, and goes on when that is over', async () => {
  let trouble: Error | undefined = new Error('the disk is gone');
  const next = clockOn({
    change: (...args) => store.change(...args),
    unconfirmed: () => (trouble === undefined ? store.unconfirmed() : Promise.reject(trouble)),
  });
  for (let second = 0; second < 10; second++) await next.look();
  expect(said.filter((line) => line.includes('the disk is gone'))).toHaveLength(1);
  trouble = undefined;
  await next.look();
  trouble = new Error('the disk is gone');
  await next.look();
  expect(said.filter((line) => line.includes('the disk is gone'))).toHaveLength(2);
});

it('gives the next one a time of its own, and leaves what is confirmed', async () => {
  await change('a', 60);
  await clock.look();
  nowMs += 50_000;
  await store.confirm(alice);
  await change('b', 60);
  await clock.look();
  nowMs += 59_000;
  await clock.look();
  expect(await names()).toEqual(['a', 'b', 'web']);
  nowMs += 1000;
  await clock.look();
  expect(await names()).toEqual(['a', 'web']);
});

it('of a process that comes later has what the calendar leaves', async () => {
  await change('a', 5);
  const { until } = (await store.unconfirmed())!;
  const late = { ...(await store.unconfirmed())!, until: new Date(Date.now() - 1).toISOString() };
  expect(Date.parse(until)).toBeGreaterThan(Date.parse(late.until));
  const next = clockOn({
    change: (...args) => store.change(...args),
    unconfirmed: () => Promise.resolve(late),
  });
  await next.look();
  expect(await names()).toEqual(['web']);
});

it('undoes what has run out before a start reads the policy', async () => {
  await change('a', 60);
  const kept = (await readConfirmed(store)).templates.map(({ name }) => name);
  expect(kept).toEqual(['a', 'web']);
  const late = { ...(await store.unconfirmed())!, until: new Date(0).toISOString() };
  const restarted = Object.assign(await directory.store(), {
    unconfirmed: () => Promise.resolve(late),
  });
  const { templates, problems } = await readConfirmed(restarted);
  expect(templates.map(({ name }) => name)).toEqual(['web']);
  expect(problems.map(({ message }) => message).join()).toContain('is undone');
});

it('takes edits by hand along, which stay in the history; files with errors hold nothing up', async () => {
  await change('a', 60);
  await directory.write({ 'templates/by-hand.yaml': 'inbound: []\n' });
  await store.recordHandEdits();
  const [{ number }] = (await store.changes.list()).changes as unknown as [{ number: number }];
  await directory.write({ 'templates/web.yaml': 'inbound: [oh\n' });
  await clock.look();
  nowMs += 60_000;
  await clock.look();
  expect(await names()).toEqual(['web']);
  await store.change(alice, () => [{ kind: 'restore-policy', number }]);
  expect(await names()).toEqual(['a', 'by-hand', 'web']);
});

it('tries again when it could not be undone', async () => {
  await change('a', 60);
  let isFull = true;
  const full = new StoreError([{ kind: 'failed', message: 'the disk is full' }]);
  clock = clockOn({
    change: (...args) => (isFull ? Promise.reject(full) : store.change(...args)),
    unconfirmed: () => store.unconfirmed(),
  });
  await clock.look();
  nowMs += 60_000;
  await clock.look();
  expect(said.join()).toContain('the disk is full; it is tried again');
  isFull = false;
  await clock.look();
  expect(await names()).toEqual(['a', 'web']);
  nowMs += 5000;
  await clock.look();
  expect(await names()).toEqual(['web']);
});

it('goes back for itself when it cannot be undone in the store, once', async () => {
  const asked: number[] = [];
  const away = new StoreError([{ kind: 'store-unavailable', message: 'away' }]);
  clock = new Confirmations({
    store: {
      change: () => Promise.reject(away),
      unconfirmed: () => store.unconfirmed(),
      setAside: (number) => Promise.resolve(asked.push(number) === 1),
    },
    log: { warn: (...args: unknown[]) => void said.push(args.map(String).join(' ')) },
    onUndone: () => Promise.resolve(applied++),
    nowMs: () => nowMs,
  });
  await clock.look();
  await change('a', 60);
  const { number } = (await store.unconfirmed())!;
  await clock.look();
  expect(asked).toEqual([]);
  for (let tries = 0; tries < 3; tries++) {
    nowMs += 60_000;
    await clock.look();
  }
  expect(asked).toEqual([number, number, number]);
  expect([applied, clock.waits, clock.undone]).toEqual([1, true, 0]);
  expect(said.filter((line) => line.includes('has gone back'))).toHaveLength(1);
});
