/** Files that root acts upon: whole, and root's own or nothing. */
import { chownSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readStateFile, removeStateFile, writeStateFile } from '../../../src/host/state-file.ts';
import { readWatchStatus, watchStatusPath } from '../../../src/host/watch-status.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'state-'));
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

describe('a state file', () => {
  it('comes back as it was written, and leaves nothing beside it', () => {
    const path = join(directory, 'a.json');
    expect(readStateFile(path)).toBeUndefined();
    writeStateFile(path, { a: [1] });
    writeStateFile(path, { a: [2] });
    expect(readStateFile(path)).toEqual({ a: [2] });
    expect(readdirSync(directory)).toEqual(['a.json']);
    removeStateFile(path);
    removeStateFile(path);
    expect(readdirSync(directory)).toEqual([]);
  });

  it('counts for nothing when it is a link, or no JSON', () => {
    const path = join(directory, 'a.json');
    writeFileSync(path, '{');
    expect(() => readStateFile(path)).toThrow(/^it is not JSON/);
    symlinkSync(path, join(directory, 'link'));
    expect(() => readStateFile(join(directory, 'link'))).toThrow('ELOOP');
  });

  it.skipIf(process.geteuid?.() !== 0)('is put aside when it is another user’s', () => {
    const path = join(directory, 'a.json');
    writeFileSync(path, '{}');
    chownSync(path, 65_534, 65_534);
    expect(readStateFile(path)).toBeUndefined();
    writeStateFile(path, 1);
    expect(readStateFile(path)).toBe(1);
    expect(
      readdirSync(directory)
        .map((name) => name.replace(/-.*/, ''))
        .sort(),
    ).toEqual(['a.json', 'a.json.foreign']);
  });

  it('of a watch has to have its form', () => {
    const path = watchStatusPath(directory, 'fw0');
    const good = {
      ...{
        version: 1,
        lookedAt: '2030-01-31T12:00:00Z',
        aliveAt: '2030-01-31T12:00:01Z',
        validMs: 1,
        reportOnly: false,
      },
      ...{ pid: 7, pidNamespace: 'pid:[1]' },
      ...{ repairs: 0, problems: [{ what: 'a', wanted: 'b', found: 'c' }] },
    };
    writeStateFile(path, good);
    expect(readWatchStatus(directory, 'fw0')).toEqual(good);
    for (const wrong of [
      null,
      [],
      { ...good, version: 2 },
      { ...good, pid: 'x' },
      { ...good, pidNamespace: 1 },
      { ...good, lookedAt: 7 },
      { ...good, aliveAt: 'today' },
      { ...good, problems: [{ what: 1 }] },
      { ...good, problems: {} },
      { ...good, bypass: { packets: 'many' } },
      { ...good, bypass: null },
      { ...good, repairs: '0' },
    ]) {
      writeStateFile(path, wrong);
      expect(() => readWatchStatus(directory, 'fw0'), JSON.stringify(wrong)).toThrow('form');
    }
    expect(readWatchStatus(directory, '../fw0')).toBeUndefined();
  });
});
