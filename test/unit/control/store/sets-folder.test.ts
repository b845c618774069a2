/** Sets in a configuration directory: read with their lists, kept for a restart, and refused whole when something is wrong. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ConfigReader } from '../../../../src/control/store/files/config-directory.ts';
import { FileStore } from '../../../../src/control/store/files/file-store.ts';
import type { Snapshot } from '../../../../src/control/store/store.ts';
import { Resolver } from '../../../../src/policy/resolve.ts';

let directory: string;
let reader: ConfigReader;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tunwall-sets-'));
  mkdirSync(join(directory, 'templates'));
  mkdirSync(join(directory, 'sets'));
  write('servers.yaml', 'servers:\n  - { name: web-1, addresses: [10.0.0.2] }\n');
  reader = new ConfigReader(directory);
});
afterEach(() => rmSync(directory, { recursive: true }));

function write(name: string, text: string): void {
  writeFileSync(join(directory, name), text);
}

function read(): Snapshot {
  return reader.read().snapshot;
}

function problems(snapshot: Snapshot = read()): string[] {
  return snapshot.problems.map(
    ({ severity, file, line, path, message }) =>
      `${severity} ${file.slice(directory.length + 1)}:${line} ${path}: ${message}`,
  );
}

/** Addresses of a set, as numbers from 10.0.0.0. */
function membersOf(snapshot: Snapshot, name: string): number[] {
  const rule = { protocol: 'tcp', peers: [{ kind: 'set', name, text: `set:${name}` }] } as const;
  const ranges = new Resolver(snapshot, 0).rangesOf(rule)!;
  return [...ranges].map((address) => address - 0x0a00_0000);
}

describe('a folder of sets', () => {
  it('is read with lists and included sets', () => {
    write(
      'sets/office.yaml',
      'description: Here\naddresses: [10.0.0.1]\nexcept: [10.0.0.6]\ninclude: ["set:vpn"]\nfile: office.txt\n',
    );
    write('sets/office.txt', '# ours\n10.0.0.4/30\n10.0.0.20-10.0.0.22 ; a range\n\n');
    write('sets/vpn.yaml', 'addresses: [10.0.0.40]\n');
    const snapshot = read();
    expect(problems(snapshot)).toEqual([]);
    expect(snapshot.sets.map(({ name }) => name)).toEqual(['office', 'vpn']);
    expect(snapshot.sets[0]).toMatchObject({ file: 'office.txt', listEntries: 2 });
    expect(membersOf(snapshot, 'office')).toEqual([1, 1, 4, 5, 7, 7, 20, 22, 40, 40]);
  });

  it('that does not change stays the same object, and a changed list is another revision', () => {
    write('sets/a.yaml', 'file: a.txt\n');
    write('sets/a.txt', '10.0.0.1\n');
    const [first] = read().sets;
    write('servers.yaml', 'servers:\n  - { name: web-2, addresses: [10.0.0.2] }\n');
    const second = read();
    expect(second.sets[0]).toBe(first);
    write('sets/a.txt', '# one of them\n10.0.0.1\n');
    expect(read().revisions.sets.get('a')).toBe(second.revisions.sets.get('a'));
    write('sets/a.txt', '10.0.0.1\n10.0.0.9\n');
    const third = read();
    expect(third.revision).not.toBe(second.revision);
    expect(third.revisions.sets.get('a')).not.toBe(second.revisions.sets.get('a'));
  });

  it.each<[what: string, files: Record<string, string>, expected: string[]]>([
    [
      'a list that is missing',
      { 'sets/office.yaml': 'addresses: []\nfile: ofice.txt\n', 'sets/office.txt': '' },
      [
        'error sets/office.yaml:2 file: there is no list sets/ofice.txt; did you mean "office.txt"?',
        'warning sets/office.txt:0 : no set names this list: write "file: office.txt" into a set\'s file',
      ],
    ],
    [
      'a list elsewhere',
      { 'sets/a.yaml': 'file: ../a.txt\n' },
      ['error sets/a.yaml:1 file: expected the name of a .txt file beside it, found "../a.txt"'],
    ],
    [
      'bad lines of a list',
      { 'sets/a.yaml': 'file: a.txt\n', 'sets/a.txt': '10.0.0.1\n10.0.0.1/24\n' },
      [
        'error sets/a.txt:2 : "10.0.0.1/24" has bits set behind its length: write 10.0.0.0/24 for the block, or 10.0.0.1 for the address',
      ],
    ],
    [
      'a circle',
      { 'sets/a.yaml': 'include: ["set:b"]\n', 'sets/b.yaml': 'include: ["set:a"]\n' },
      [
        'error sets/a.yaml:1 include[0]: sets contain each other: b → a → b',
        'error sets/b.yaml:1 include[0]: sets contain each other: a → b → a',
      ],
    ],
    [
      'a set that is missing',
      {
        'sets/office.yaml': '',
        'templates/t.yaml': 'inbound:\n  - { protocol: tcp, sources: ["set:ofice"] }\n',
      },
      [
        'error templates/t.yaml:2 inbound[0].sources[0]: there is no set "ofice"; did you mean "office"?',
      ],
    ],
    [
      'what does not belong there',
      { 'sets/a.yml': '', 'sets/README': '', 'sets/.a.yaml.swp': '', 'sets/Big.txt': '' },
      [
        "warning sets/Big.txt:0 : is no set: a set's file is named NAME.yaml, its list NAME.txt, and NAME is a name of 1 to 63 characters a-z, 0-9, dot, hyphen and underscore that begins with a letter or digit",
        "warning sets/README:0 : is no set: a set's file is named NAME.yaml, its list NAME.txt, and NAME is a name of 1 to 63 characters a-z, 0-9, dot, hyphen and underscore that begins with a letter or digit",
        'warning sets/a.yml:0 : is no set: its name would have to end in .yaml (a.yaml)',
      ],
    ],
  ])('reports %s', (_what, files, expected) => {
    for (const [name, text] of Object.entries(files)) write(name, text);
    expect(problems().sort()).toEqual([...expected].sort());
  });

  it('follows no link to a list, and waits for no FIFO', () => {
    write('sets/a.yaml', 'file: a.txt\n');
    write('elsewhere', '10.0.0.1\n');
    symlinkSync(join(directory, 'elsewhere'), join(directory, 'sets/a.txt'));
    expect(problems()).toEqual(['error sets/a.txt:0 : cannot be read: it is a link']);
    rmSync(join(directory, 'sets/a.txt'));
    execFileSync('mkfifo', [join(directory, 'sets/a.txt')]);
    expect(problems()).toEqual([
      'error sets/a.txt:0 : cannot be read: it is a FIFO, expected a regular file',
    ]);
  });

  it('reports the first 20 bad lines of a list, and how many more there are', () => {
    write('sets/a.yaml', 'file: a.txt\n');
    write('sets/a.txt', '10.0.0.1\nnonsense\n'.repeat(1000));
    const found = problems();
    expect(found).toHaveLength(21);
    expect(found[19]).toMatch(/^error sets\/a\.txt:40 /);
    expect(found[20]).toBe('error sets/a.txt:0 : 980 more lines are wrong');
  });
});

describe('the last good configuration', () => {
  const open = (): Promise<FileStore> =>
    FileStore.open(directory, { onWarning: (message) => expect.fail(message) });

  it('has sets and lists, and forgets lists that are no longer used', async () => {
    write('sets/a.yaml', 'addresses: [10.0.0.5]\nfile: a.txt\n');
    write('sets/a.txt', '10.0.0.1\n');
    const store = await open();
    await store.keepGood(await store.read());
    write('sets/a.txt', '10.0.0.7\n10.0.0.9\n');
    await store.keepGood(await store.read());
    write('sets/a.txt', 'nonsense\n');
    const good = await (await open()).lastGood();
    expect(membersOf(good!, 'a')).toEqual([5, 5, 7, 7, 9, 9]);
    const kept = execFileSync('ls', [join(directory, '.state/last-good')], { encoding: 'utf8' });
    expect(kept.trim().split('\n')).toHaveLength(1);
  });

  it('is none when a list of it is lost', async () => {
    write('sets/a.yaml', 'file: a.txt\n');
    write('sets/a.txt', '10.0.0.1\n');
    const store = await open();
    await store.keepGood(await store.read());
    rmSync(join(directory, '.state/last-good'), { recursive: true });
    expect(await (await open()).lastGood()).toBeUndefined();
  });
});

describe('a watch', () => {
  it('sees a changed list, and a folder of sets that is made', async () => {
    rmSync(join(directory, 'sets'), { recursive: true });
    const store = await FileStore.open(directory, { onWarning: () => undefined });
    const seen: Snapshot[] = [];
    const wait = async (condition: () => boolean): Promise<void> => {
      while (!condition()) await new Promise((resolve) => setTimeout(resolve, 10));
    };
    const watching = await store.watch({
      onChange: (snapshot) => void seen.push(snapshot),
      onWarning: () => undefined,
    });
    try {
      mkdirSync(join(directory, 'sets'));
      write('sets/a.yaml', 'file: a.txt\n');
      write('sets/a.txt', '10.0.0.1\n');
      await wait(() => seen.at(-1)?.sets[0]?.listEntries === 1);
      write('sets/a.txt', '10.0.0.1\n10.0.0.3\n');
      await wait(() => seen.at(-1)?.sets[0]?.listEntries === 2);
    } finally {
      await watching.close();
    }
  });
});
