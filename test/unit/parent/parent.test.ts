/** The parent and its children, whichever of them ends, and in whichever step: a child that says what the firewall says stands for it. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Birth, Order } from '../../../src/parent/messages.ts';
import type { Patience } from '../../../src/parent/parent.ts';

interface Plan {
  /** Where it ends, and by what. */
  readonly at?: 'born' | Order['kind'];
  readonly by?: number | NodeJS.Signals;
  readonly upgrades?: boolean;
  readonly says?: readonly unknown[];
}

interface Event {
  readonly child: number;
  readonly event: string;
  readonly atMs: number;
  readonly pid: number;
  readonly birth?: Birth;
  readonly order?: Order;
}

const parentProcess = new URL('../../support/parent-process.ts', import.meta.url);
const fakeChild = new URL('../../support/fake-child.js', import.meta.url);
let directory: string;
let parent: ChildProcess;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tunwall-parent-'));
});
afterEach(() => {
  parent.kill('SIGKILL');
  rmSync(directory, { recursive: true });
});

function start(...plan: Plan[]): void {
  startImpatiently({}, ...plan);
}

/** @param patience for steps in which a child stands still; others keep theirs, however slow the machine is */
function startImpatiently(patience: Partial<Patience>, ...plan: Plan[]): void {
  writeFileSync(join(directory, 'plan'), JSON.stringify(plan));
  const tsx = ['--import', import.meta.resolve('tsx')];
  const files = [parentProcess, fakeChild].map((url) => fileURLToPath(url));
  const env = { ...process.env, FAKE_CHILD: directory };
  const args = [...tsx, ...files, JSON.stringify(patience)];
  parent = spawn(process.execPath, args, { env, stdio: ['ignore', 'inherit', 'pipe'] });
}

function events(): Event[] {
  const file = join(directory, 'events');
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1);
  return lines.map((line) => JSON.parse(line) as Event);
}

/** Waits for what a child does. */
async function until(child: number, event: string): Promise<Event> {
  for (;;) {
    const found = events().find((each) => each.child === child && each.event === event);
    if (found !== undefined) return found;
    if (parent.exitCode !== null) throw new Error(`the parent ended with ${parent.exitCode}`);
    await sleep(10);
  }
}

/** Ends the parent as systemd does. @returns its exit code, and how many children there have been */
async function end(): Promise<{ code: number; children: number }> {
  const ended = once(parent, 'exit') as Promise<[number]>;
  parent.kill('SIGTERM');
  const [code] = await ended;
  return { code, children: events().filter(({ event }) => event === 'born').length };
}

describe('between the last word of one child and the first of the next', () => {
  it.each<[string, Plan, RegExp]>([
    ['is killed', { at: 'begin', by: 'SIGKILL' }, /SIGKILL/],
    ['fails', { at: 'begin', by: 5 }, /code 5/],
  ])('the next one %s: another one begins', async (_what, plan, died) => {
    start({ upgrades: true }, plan);
    const { birth } = await until(2, 'born');
    expect(birth).toMatchObject({ waits: false, restarts: 1, upgrades: 0 });
    expect(birth!.died).toMatch(died);
    expect(events().some(({ child, event }) => child === 0 && event === 'stop')).toBe(true);
    expect(await end()).toEqual({ code: 0, children: 3 });
  });

  it('the old one is killed: the next one begins', async () => {
    start({ upgrades: true, at: 'stop', by: 'SIGKILL' });
    const { order } = await until(1, 'begin');
    expect(order).toMatchObject({ kind: 'begin' });
    expect(await end()).toEqual({ code: 0, children: 2 });
  });
});

it('the next one is killed before the last step: the old one goes on', async () => {
  start({ upgrades: true }, { at: 'refresh', by: 'SIGKILL' });
  const { order } = await until(0, 'resume');
  expect(order).toMatchObject({ reason: expect.stringMatching(/SIGKILL/) as string });
  expect(events().some(({ event }) => event === 'stop')).toBe(false);
  expect(await end()).toEqual({ code: 0, children: 2 });
});

describe('a child that stands still is not waited for', () => {
  const still = (at: NonNullable<Plan['at']>): Plan => ({ at, by: 'SIGSTOP' });

  it.each<[keyof Patience, Plan]>([
    ['prepared', still('born')],
    ['refreshed', still('refresh')],
  ])('the next one, before it has %s: the old one goes on', async (step, plan) => {
    startImpatiently({ [step]: 200 }, { upgrades: true }, plan);
    const { order } = await until(0, 'resume');
    expect(order).toMatchObject({
      reason: expect.stringMatching(`at most, for: ${step}`) as string,
    });
    expect((await end()).code).toBe(0);
  });

  it('the next one, when it is to begin: another one begins', async () => {
    startImpatiently({ ready: 200 }, { upgrades: true }, still('begin'));
    const { birth } = await until(2, 'born');
    expect(birth).toMatchObject({ waits: false, restarts: 1, died: 'it was ended by SIGKILL' });
    expect(await end()).toEqual({ code: 0, children: 3 });
  });

  it('the old one, when it is to stop: the next one begins', async () => {
    startImpatiently({ stopped: 200 }, { upgrades: true, ...still('stop') });
    await until(1, 'begin');
    expect(await end()).toEqual({ code: 0, children: 2 });
  });

  it('the old one, when it is to close: it is busy and stays, and the next one goes', async () => {
    startImpatiently({ closed: 200, end: 200 }, { upgrades: true, ...still('close') }, {});
    const { pid } = await until(1, 'born');
    while (existsSync(`/proc/${pid}`)) await sleep(10);
    expect(events().some(({ event }) => event === 'refresh' || event === 'stop')).toBe(false);
    // It is asked to end, and cannot.
    expect(await end()).toEqual({ code: 137, children: 2 });
  });
});

describe('what a child says', () => {
  const hostile = [0, [], {}, { kind: {} }, { kind: '__proto__' }, { kind: 'failed' }];
  const reports = ['closed', 'refreshed', 'stopped'].map((kind) => ({ kind }));

  it('that is no report, or comes unasked, changes nothing', async () => {
    const failed = { kind: 'failed', reason: { toString: 1 } };
    const handle = '{"cmd":"NODE_HANDLE","type":"x"}\n';
    const says = [...hostile, failed, handle, ...reports];
    start({ says, upgrades: true });
    // The upgrade that it asks for afterwards is done as ever.
    await until(1, 'begin');
    expect(await end()).toEqual({ code: 0, children: 2 });
  });

  it('in another form: the parent ends, and its child with it', async () => {
    start({ says: ['x\n'] });
    const [code] = (await once(parent, 'exit')) as [number];
    expect(code).toBeGreaterThan(0);
    const { pid } = events()[0]!;
    while (existsSync(`/proc/${pid}`)) await sleep(10);
  });
});

it('children that die again and again are started with ever longer pauses', async () => {
  const dying: Plan = { at: 'born', by: 'SIGKILL' };
  start(dying, dying, dying, dying, dying);
  const pauses: number[] = [];
  for (let child = 1; child <= 5; child++) {
    const { birth, atMs } = await until(child, 'born');
    expect(birth!.restarts).toBe(child);
    pauses.push(atMs - birth!.diedMs!);
  }
  // At least: a machine can be slower.
  for (const [index, pauseMs] of [0, 100, 200, 400, 800].entries()) {
    expect(pauses[index]).toBeGreaterThanOrEqual(pauseMs);
  }
  expect(await end()).toEqual({ code: 0, children: 6 });
});

it('a child that cannot start: the parent ends with its exit code', async () => {
  start({ at: 'born', by: 4 });
  const [code] = (await once(parent, 'exit')) as [number];
  expect(code).toBe(4);
  // It ends at once, and not after the patience that it has with children.
  expect(readFileSync(join(directory, 'left'), 'utf8')).toBe('');
  expect(events()).toHaveLength(1);
});
