/** The watcher on a real directory: every way to save is seen, in few readings, and none is missed. */
import { appendFile, cp, mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import { mkdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { ConfigDirectory } from '../../../../src/control/store/files/config-directory.ts';
import type { FSWatcher } from 'chokidar';
import type { Snapshot } from '../../../../src/control/store/store.ts';
import {
  ConfigWatcher,
  watchDirectory,
} from '../../../../src/control/store/files/config-watcher.ts';

let directory: string;
let seen: ConfigDirectory[];
let warnings: string[];
let watcher: ConfigWatcher;
let watching: (string | null)[];
let created: { watcher: FSWatcher; usePolling: boolean }[];
let onChange: () => Promise<void>;
let start: (pollMs?: number) => Promise<ConfigWatcher>;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'twt-watch-'));
  await mkdir(join(directory, 'templates'));
  seen = [];
  warnings = [];
  onChange = () => Promise.resolve();
  watching = [];
  created = [];
  const options = {
    onChange: async (config: Snapshot) => {
      seen.push(config);
      await onChange();
    },
    onWarning: (message: string) => warnings.push(message),
    onWatching: (problem: string | null) => watching.push(problem),
  };
  const create = (usePolling: boolean): FSWatcher => {
    created.push({ watcher: watchDirectory(directory, usePolling), usePolling });
    return created.at(-1)!.watcher;
  };
  start = (pollMs) => ConfigWatcher.start(directory, options, undefined, create, pollMs);
  watcher = await start();
});
afterEach(async () => {
  await watcher.close();
  await rm(directory, { recursive: true });
});

const path = (name: string): string => join(directory, name);
const web = path.bind(null, 'templates/web.yaml');
const rule = (port: number): string => `inbound: [{ protocol: tcp, ports: [${port}] }]\n`;

/** Waits until the last reading has a template of this name for this port; `undefined`: none of this name. */
async function until(name: string, port: number | undefined): Promise<void> {
  await vi.waitFor(
    () => {
      const template = seen.at(-1)?.templates.find((each) => each.name === name);
      expect(seen.length).toBeGreaterThan(0);
      expect(template?.inbound[0]?.ports?.[0]?.from).toBe(port);
    },
    { timeout: 10_000, interval: 20 },
  );
}

describe('the watcher follows its path', () => {
  let place: string;
  let following: ConfigWatcher;
  const configure = async (name: string, port: number): Promise<void> => {
    await mkdir(join(place, name, 'templates'), { recursive: true });
    await writeFile(join(place, name, 'templates/web.yaml'), rule(port));
  };
  const follow = async (name: string): Promise<void> => {
    following = await ConfigWatcher.start(join(place, name), {
      onChange: (config) => void seen.push(config),
      onWarning: (message) => warnings.push(message),
    });
  };
  beforeEach(async () => {
    place = await mkdtemp(join(tmpdir(), 'twt-watch-'));
    await configure('one', 80);
    await configure('two', 81);
  });
  afterEach(async () => {
    await following.close();
    await rm(place, { recursive: true });
  });

  /** The new directory is read, and so is an edit in it. */
  async function expectFollowed(file: string): Promise<void> {
    await until('web', 81);
    await writeFile(join(place, file, 'templates/web.yaml'), rule(82));
    await until('web', 82);
  }

  it('when a link is exchanged', async () => {
    await symlink('one', join(place, 'current'));
    await follow('current');
    await symlink('two', join(place, 'next'));
    await rename(join(place, 'next'), join(place, 'current'));
    await expectFollowed('current');
  });

  it('when the directory is moved away and another one moved in', async () => {
    await follow('one');
    await rename(join(place, 'one'), join(place, 'old'));
    await rename(join(place, 'two'), join(place, 'one'));
    await expectFollowed('one');
  });

  it('when the directory is removed and copied anew', async () => {
    await follow('one');
    await rm(join(place, 'one'), { recursive: true });
    await vi.waitFor(() => expect(seen.at(-1)?.problems[0]?.message).toContain('does not exist'), {
      timeout: 10_000,
    });
    await cp(join(place, 'two'), join(place, 'one'), { recursive: true });
    await expectFollowed('one');
  });

  it('when a folder above it is renamed', async () => {
    await configure('a/config', 80);
    await configure('b/config', 81);
    await follow('a/config');
    await rename(join(place, 'a'), join(place, 'c'));
    await rename(join(place, 'b'), join(place, 'a'));
    await expectFollowed('a/config');
  });
});

describe('the watcher sees', () => {
  it('a save in place, a save by a temporary file, and a save as vim does it', async () => {
    await writeFile(web(), rule(80));
    await until('web', 80);

    await writeFile(path('templates/.web.yaml.tmp'), rule(81));
    await rename(path('templates/.web.yaml.tmp'), web());
    await until('web', 81);

    await writeFile(path('templates/4913'), '');
    await rm(path('templates/4913'));
    await rename(web(), path('templates/web.yaml~'));
    await writeFile(web(), rule(82));
    await rm(path('templates/web.yaml~'));
    await until('web', 82);
  });

  it('a renamed file, a removed file, and a folder that is replaced', async () => {
    await writeFile(web(), rule(80));
    await until('web', 80);
    await rename(web(), path('templates/other.yaml'));
    await until('other', 80);
    expect(seen.at(-1)!.templates).toHaveLength(1);
    await rm(path('templates/other.yaml'));
    await until('other', undefined);

    await rm(path('templates'), { recursive: true });
    await mkdir(path('templates'));
    await writeFile(web(), rule(83));
    await until('web', 83);
  });

  it('what is saved into a folder that was exchanged in one moment', async () => {
    for (let port = 1; port <= 3; port++) {
      // In one turn of the event loop, so that the folder never seems to be gone.
      const readings = seen.length;
      rmSync(path('templates'), { recursive: true });
      mkdirSync(path('templates'));
      await vi.waitUntil(() => seen.length > readings, { timeout: 10_000 });
      await writeFile(web(), rule(port));
      await until('web', port);
      await rm(web());
      await until('web', undefined);
    }
  });

  it('a hundred quick changes in a few readings, the last of them included', async () => {
    for (let port = 1; port <= 100; port++) await writeFile(web(), rule(port));
    await until('web', 100);
    expect(seen.length).toBeLessThan(50);
  });
});

describe('the watcher', () => {
  it('never calls while a call is at work, and reads what changed meanwhile', async () => {
    let running = 0;
    let overlapped = false;
    let release = (): void => undefined;
    const first = new Promise<void>((resolve) => (release = resolve));
    onChange = async () => {
      running++;
      overlapped ||= running > 1;
      await first;
      running--;
    };
    await writeFile(web(), rule(80));
    await until('web', 80);
    await writeFile(web(), rule(81));
    watcher.poke();
    watcher.poke();
    expect(seen).toHaveLength(1);
    release();
    await until('web', 81);
    expect(overlapped).toBe(false);
  });

  it('reads again when poked, and goes on after a call that failed', async () => {
    onChange = () => Promise.reject(new Error('no room'));
    watcher.poke();
    await vi.waitFor(() => expect(warnings).toEqual(['the change could not be applied: no room']));
    onChange = () => Promise.resolve();
    watcher.poke();
    await vi.waitFor(() => expect(seen).toHaveLength(2));
  });

  it.each([
    ['EMFILE', true],
    ['ENOSPC', true],
    ['EIO', false],
    [undefined, false],
  ])('begins again after the error %s, and reads what it has missed', async (code, usePolling) => {
    await writeFile(web(), rule(80));
    await until('web', 80);
    const fail = (): boolean =>
      created.at(-1)!.watcher.emit('error', Object.assign(new Error('no more of it'), { code }));
    fail();
    await vi.waitFor(() => expect(watching.at(-1)).toMatch(/is not watched \(no more of it\)/));
    await vi.waitUntil(() => created[0]!.watcher.closed);
    await writeFile(web(), rule(81));
    await until('web', 81);
    await vi.waitUntil(() => watching.at(-1) === null, { timeout: 10_000 });
    await writeFile(web(), rule(82));
    await until('web', 82);
    // And once more.
    fail();
    await writeFile(web(), rule(83));
    await until('web', 83);
    await vi.waitUntil(() => watching.at(-1) === null && created.length === 3, { timeout: 10_000 });
    expect(created.map((each) => each.usePolling)).toEqual([false, usePolling, usePolling]);
    expect(warnings).toHaveLength(2);
  });

  it('polls for a while, and watches again', async () => {
    await watcher.close();
    watcher = await start(20);
    const polled = created.length;
    const lack = (): void => {
      const error = Object.assign(new Error('no more of it'), { code: 'EMFILE' });
      created.at(-1)!.watcher.emit('error', error);
    };
    for (const count of [2, 4]) {
      lack();
      await vi.waitUntil(() => created.length === polled + count, { timeout: 10_000 });
    }
    expect(created.slice(polled).map(({ usePolling }) => usePolling)).toEqual([
      ...[true, false, true, false],
    ]);
    await vi.waitUntil(() => watching.at(-1) === null);
    await writeFile(web(), rule(80));
    await until('web', 80);
  });

  it('reads again what could not be read, though it has not changed', async () => {
    await writeFile(web(), rule(80));
    await until('web', 80);
    // As if there were no descriptor left: a link that leads nowhere cannot be opened either, and nothing tells of its target.
    const outside = await mkdtemp(join(tmpdir(), 'twt-outside-'));
    await symlink(join(outside, 'other.yaml'), path('templates/other.yaml'));
    await vi.waitFor(() => {
      expect(seen.at(-1)!.problems.map(({ message }) => message)).toContainEqual(
        expect.stringContaining('cannot be read'),
      );
    });
    await writeFile(join(outside, 'other.yaml'), rule(81));
    await until('other', 81);
    await rm(outside, { recursive: true });
  });

  it('does not look at the state directory, nor at anything hidden', async () => {
    await mkdir(path('.state/history'), { recursive: true });
    await writeFile(path('.state/audit.log'), 'a record\n');
    await writeFile(path('templates/.web.yaml.swp'), '');
    await watcher.close();
    await writeFile(web(), rule(80));
    for (const usePolling of [false, true]) {
      const hidden = watchDirectory(directory, usePolling);
      await once(hidden, 'ready');
      const watched = hidden.getWatched();
      await hidden.close();
      expect([watched[directory], watched[path('templates')]]).toEqual([
        ['templates'],
        ['web.yaml'],
      ]);
      expect(Object.keys(watched).filter((each) => each.includes('.state'))).toEqual([]);
    }
  });

  it('says nothing after it was closed', async () => {
    await watcher.close();
    vi.useFakeTimers({ toFake: ['setTimeout', 'setInterval'] });
    try {
      watcher.poke();
      created.at(-1)!.watcher.emit('all', 'change', web());
      // Nothing waits that could still say something.
      expect(vi.getTimerCount()).toBe(0);
    } finally {
      vi.useRealTimers();
    }
    // Another watch has seen the change and read it: this one has not.
    const other: Snapshot[] = [];
    const second = await ConfigWatcher.start(directory, {
      onChange: (config) => void other.push(config),
      onWarning: (message) => warnings.push(message),
    });
    await appendFile(web(), rule(80));
    await vi.waitUntil(() => other.at(-1)?.templates.length === 1, { timeout: 10_000 });
    await second.close();
    expect([seen, created.map((each) => each.watcher.closed)]).toEqual([[], [true]]);
  });
});
