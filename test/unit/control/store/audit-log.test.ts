/** The audit log: every change and refusal, in bounds, page by page, and that a crash takes nothing with it but a torn line. */
import { mkdtemp, readFile, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  AuditFile,
  maxRecordBytes,
  recordLine,
} from '../../../../src/control/store/files/audit-log.ts';
import type { FileStore } from '../../../../src/control/store/files/file-store.ts';
import type { AuditEvent, AuditLog, Operation } from '../../../../src/control/store/store.ts';
import { seed } from '../../../support/seed.ts';
import {
  TestDirectory,
  alice,
  assign,
  failuresOf,
  serversText,
  webText,
} from '../../../support/stores.ts';

let directory: TestDirectory;
let store: FileStore;
beforeEach(async () => {
  directory = await TestDirectory.create({
    'templates/web.yaml': webText,
    'servers.yaml': serversText,
  });
  store = await directory.store();
});
afterEach(async () => {
  vi.useRealTimers();
  await directory.remove();
});

const change = (...operations: Operation[]): ReturnType<FileStore['change']> =>
  store.change(alice, () => operations);
const addPing: Operation = {
  ...{ kind: 'add-rule', template: 'web', direction: 'inbound', rule: { protocol: 'icmp' } },
};

/** What every page says, from the newest on. */
async function allPages(log: AuditLog, limit: number): Promise<string[]> {
  const seen: string[] = [];
  let before: string | undefined;
  do {
    const page = await log.query({ limit, ...(before !== undefined && { before }) });
    seen.push(...page.records.map(({ summary }) => summary!));
    before = page.next;
  } while (before !== undefined);
  return seen;
}

describe('the audit log', () => {
  it('has every change, hand edit and refusal', async () => {
    await change(addPing, assign(['db-1'], ['web']));
    await failuresOf(change({ kind: 'destroy-template', name: 'web' }));
    await store.audit.append({ actor: alice, action: 'login', result: 'denied' });
    const { records } = await store.audit.query({});
    expect(records.map(({ action, result }) => `${action} ${result}`)).toEqual([
      'login denied',
      'template.destroy refused',
      'policy.change ok',
      'server.edit ok',
      'template.edit ok',
    ]);
    expect(records[1]).toMatchObject({
      actor: alice,
      target: ['web'],
      summary: 'template "web" is assigned to web-1, db-1',
    });
    expect(records[2]!.changed!.map(({ name }) => name)).toEqual(['web', 'db-1']);
    expect(records[3]).toMatchObject({ actor: { name: 'file' }, target: ['servers.yaml'] });
    expect(records[4]).toMatchObject({ actor: { name: 'file', via: 'file' }, target: ['web'] });
  });

  it('is filtered and read in pages', async () => {
    for (let count = 0; count < 25; count++) {
      const name = count % 2 === 0 ? 'even' : 'odd';
      const action = count % 5 === 0 ? 'template.create' : 'templates';
      const actor = { name, via: 'api' } as const;
      await store.audit.append({ actor, action, result: 'ok', summary: String(count) });
    }
    const seen = await allPages(store.audit, 4);
    expect(seen).toEqual(Array.from({ length: 25 }, (_, index) => String(24 - index)));
    const of = async (query: object): Promise<number> =>
      (await store.audit.query(query)).records.length;
    expect(await of({ actor: 'odd' })).toBe(12);
    expect(await of({ action: 'template' })).toBe(5);
    expect(await of({ actor: 'even', action: 'template.create' })).toBe(3);
    expect(await of({ result: 'denied' })).toBe(0);
    expect(await of({ since: new Date(Date.now() + 60_000).toISOString() })).toBe(0);
    expect(await of({ until: new Date(Date.now() + 60_000).toISOString() })).toBe(25);
    await change({ kind: 'rename-template', name: 'web', to: 'www' });
    await change({ kind: 'create-server', name: 'web', body: { addresses: ['10.0.0.9'] } });
    await store.users.create(alice, { name: 'webmaster', role: 'member' });
    const about = async (target: string): Promise<string[]> =>
      (await store.audit.query({ target })).records.map(({ action }) => action);
    expect(await about('web')).toEqual(['server.create', 'template.rename', 'template.edit']);
    expect(await about('www')).toEqual(['template.rename']);
    expect(await about('webmaster')).toEqual(['user.create']);
    expect(await about('we')).toEqual([]);
  });

  it('survives a torn line at any byte', async () => {
    const path = join(store.stateDirectory, 'audit.log');
    await store.audit.append({ actor: alice, action: 'one', result: 'ok' });
    const { length: whole } = await readFile(path);
    await store.audit.append({ actor: alice, action: 'two', result: 'ok' });
    const full = await readFile(path);
    for (let size = whole; size < full.length; size += 7) {
      await writeFile(path, full);
      await truncate(path, size);
      await store.audit.append({ actor: alice, action: 'three', result: 'ok' });
      const { records } = await store.audit.query({});
      expect(records.map(({ action }) => action)).toEqual(['three', 'one']);
    }
  });

  it('is bounded, and loses nothing while two write', async () => {
    const state = await mkdtemp(join(tmpdir(), 'twt-audit-'));
    const options = { maxBytes: 2000, keptFiles: 4, onWarning: () => undefined };
    const logs = [new AuditFile(state, options), new AuditFile(state, options)];
    const write = async (count: number): Promise<void> => {
      await Promise.all(
        Array.from({ length: count }, (_, index) =>
          logs[index % 2]!.append({ actor: alice, action: 'a', result: 'ok', summary: `${index}` }),
        ),
      );
    };
    await write(30);
    const few = await logs[0]!.query({});
    expect(new Set(few.records.map(({ summary }) => summary)).size).toBe(30);
    await write(100);
    expect((await readdir(state)).sort()).toEqual([
      ...['audit.log', 'audit.log.1', 'audit.log.2', 'audit.log.3'],
    ]);
    expect((await logs[1]!.query({ limit: 1000 })).records.length).toBeLessThan(130);
    await rm(state, { recursive: true });
  });

  it('goes on from its place when the clock goes back', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    const startMs = Date.now();
    // Two processes, whose clocks do not agree either.
    const logs = [store.audit, (await directory.store()).audit];
    for (const [index, offsetMs] of [0, 5000, -60_000, -50_000, 90_000, -70_000].entries()) {
      vi.setSystemTime(startMs + offsetMs);
      const result = index % 3 === 0 ? 'denied' : 'ok';
      const event = { actor: alice, action: 'a', result, summary: String(index) } as const;
      await logs[index % 2]!.append(event);
    }
    for (const limit of [1, 2, 4]) {
      expect(await allPages(store.audit, limit)).toEqual(['5', '4', '3', '2', '1', '0']);
    }
  });

  it('still has the records from before ids were numbers, as the oldest ones', async () => {
    const old = ['0mabcdefg-00000000ff', '0mabcdefa-0000000001', '0mabcdefh-0000000002'].map(
      (id, index) =>
        JSON.stringify({
          ...{ id, at: new Date().toISOString(), actor: alice, action: 'a', result: 'ok' },
          summary: `old ${index}`,
        }),
    );
    await directory.write({ '.state/audit.log': `${old.join('\n')}\n` });
    for (const summary of ['new 0', 'new 1']) {
      await store.audit.append({ actor: alice, action: 'a', result: 'ok', summary });
    }
    for (const limit of [1, 2, 3]) {
      expect(await allPages(store.audit, limit)).toEqual([
        ...['new 1', 'new 0', 'old 2', 'old 1', 'old 0'],
      ]);
    }
    expect((await store.audit.query({ before: 'nothing like it' })).records).toEqual([]);
  });

  it('loses no change, however many are refused', async () => {
    const state = await mkdtemp(join(tmpdir(), 'twt-audit-'));
    const log = new AuditFile(state, { maxBytes: 2000, keptFiles: 3, onWarning: vi.fn() });
    await log.append({ actor: alice, action: 'template.create', result: 'ok', summary: 'kept' });
    for (let count = 0; count < 60; count++) {
      await log.append({ actor: alice, action: 'access', result: 'denied', summary: `${count}` });
    }
    expect((await readdir(state)).sort()).toEqual([
      ...['audit-denied.log', 'audit-denied.log.1', 'audit-denied.log.2', 'audit.log'],
    ]);
    const seen = await allPages(log, 7);
    expect([seen[0], seen.at(-1)]).toEqual(['59', 'kept']);
    await rm(state, { recursive: true });
  });

  it('numbers its records on, whatever a crash has left of a file that was just begun', async () => {
    const state = await mkdtemp(join(tmpdir(), 'twt-audit-'));
    const log = new AuditFile(state, { maxBytes: 500, keptFiles: 3, onWarning: vi.fn() });
    const append = (summary: string): Promise<void> =>
      log.append({ actor: alice, action: 'a', result: 'ok', summary });
    for (let count = 0; count < 5; count++) await append(`${count}`);
    const path = join(state, 'audit.log');
    const lost = (await readFile(path, 'utf8')).trim().split('\n').length;
    const kept = (await allPages(log, 100)).slice(lost);
    await writeFile(path, '{"id":"0000');
    await append('after');
    expect(await allPages(log, 2)).toEqual(['after', ...kept]);
    await rm(state, { recursive: true });
  });

  it('has records in bounds, whatever they are about', () => {
    const names = fc.array(fc.string({ maxLength: 9000, unit: 'binary' }), { maxLength: 300 });
    const event = fc.record(
      {
        actor: fc.record({
          name: fc.string({ maxLength: 5000 }),
          via: fc.constant('api' as const),
        }),
        action: fc.string(),
        result: fc.constantFrom('ok', 'denied', 'refused', 'failed'),
        target: names,
        changed: names.map((list) => list.map((name) => ({ kind: 'user' as const, name }))),
        summary: fc.string({ maxLength: 100_000, unit: 'binary' }),
        count: fc.nat(),
      },
      { requiredKeys: ['actor', 'action', 'result'] },
    ) as fc.Arbitrary<AuditEvent>;
    fc.assert(
      fc.property(event, (each) => {
        const line = recordLine(7, new Date(), each);
        expect(Buffer.byteLength(`${line}\n`)).toBeLessThanOrEqual(maxRecordBytes);
        expect(JSON.parse(line)).toMatchObject({ id: '000000000007', result: each.result });
      }),
      { seed, numRuns: 100 },
    );
    const servers = (length: number): string[] =>
      Array.from({ length }, (_, index) => `server-${index}`);
    const reported = (length: number): readonly string[] => {
      const event = { actor: alice, action: 'a', result: 'ok', target: servers(length) } as const;
      return (JSON.parse(recordLine(1, new Date(), event)) as AuditEvent).target!;
    };
    expect(reported(50)).toEqual(servers(50));
    const cut = reported(1000);
    expect(cut.length).toBeGreaterThan(30);
    expect(cut.at(-1)).toBe(`and ${1000 - (cut.length - 1)} more`);
  });
});
