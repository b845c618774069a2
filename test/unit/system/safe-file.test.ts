/** What is behind a name: only regular files are read, only our own are written to, and never more than a bound. */
import { execFileSync } from 'node:child_process';
import { constants } from 'node:fs';
import {
  chown,
  link,
  mkdir,
  mkdtemp,
  readFile,
  rename,
  rm,
  rmdir,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { finished } from 'node:stream/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { openOutputFile } from '../../../src/system/output-file.ts';
import {
  UnsafeFile,
  makeOwnDirectory,
  openOwnFile,
  readOwnFile,
  readRegularFile,
} from '../../../src/system/safe-file.ts';

/** What somebody does right after a directory was made. */
let exchange: ((made: string) => Promise<void>) | undefined;
vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof import('node:fs/promises')>();
  const exchanged = async (made: string, mode: number): Promise<void> => {
    await real.mkdir(made, mode);
    await exchange?.(made);
  };
  return { ...real, mkdir: exchanged };
});

let directory: string;
const path = (name: string): string => join(directory, name);
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'twt-safe-'));
  await writeFile(path('secret'), 'secret\n');
});
afterEach(async () => {
  exchange = undefined;
  await rm(directory, { recursive: true });
});

const make: Record<string, (file: string) => Promise<void>> = {
  'a FIFO': (file) => {
    execFileSync('mkfifo', [file]);
    return Promise.resolve();
  },
  'a link to a FIFO': async (file) => {
    execFileSync('mkfifo', [`${file}.fifo`]);
    await symlink(`${file}.fifo`, file);
  },
  'a link to /dev/zero': (file) => symlink('/dev/zero', file),
  'a socket': async (file) => {
    const server = createServer().listen(file);
    await once(server, 'listening');
    server.unref();
  },
  'a directory': (file) => mkdir(file),
};

describe.each(Object.entries(make))('%s', (_what, create) => {
  it('is neither read nor written to', async () => {
    const file = path('x');
    await create(file);
    // A socket cannot be opened at all: ENXIO.
    expect(() => readRegularFile(file, 1000)).toThrow();
    await expect(readOwnFile(file, 1000)).rejects.toThrow();
    await expect(openOwnFile(file, constants.O_WRONLY | constants.O_APPEND)).rejects.toThrow();
  });
});

it('says what it is', async () => {
  await make['a FIFO']!(path('fifo'));
  expect(() => readRegularFile(path('fifo'), 1)).toThrow('it is a FIFO, expected a regular file');
  expect(() => readRegularFile('/dev/zero', 1)).toThrow('it is a device, expected a regular file');
  expect(() => readRegularFile(directory, 1)).toThrow('it is a directory');
});

describe('a file of our own', () => {
  it('is neither a link nor a second name of another file', async () => {
    await symlink(path('secret'), path('link'));
    await link(path('secret'), path('hard'));
    for (const name of ['link', 'hard', 'secret']) {
      await expect(readOwnFile(path(name), 1000)).rejects.toBeInstanceOf(UnsafeFile);
      const append = openOwnFile(path(name), constants.O_WRONLY | constants.O_APPEND);
      await expect(append).rejects.toBeInstanceOf(UnsafeFile);
    }
  });

  it.skipIf(process.geteuid!() !== 0)('is of the user that its directory belongs to', async () => {
    await chown(path('secret'), 1234, 1234);
    await expect(readOwnFile(path('secret'), 1000)).rejects.toThrow('belongs to user 1234');
    await chown(directory, 1234, 1234);
    expect((await readOwnFile(path('secret'), 1000))?.bytes.toString()).toBe('secret\n');
  });

  it('may be missing', async () => {
    expect(await readOwnFile(path('none'), 1000)).toBeUndefined();
  });
});

it('reads files whose size the system does not tell, and no more than the bound', async () => {
  expect(readRegularFile('/proc/self/status', 1 << 20).bytes.toString()).toContain('Name:');
  await writeFile(path('large'), Buffer.alloc((1 << 20) + 1));
  expect(() => readRegularFile(path('large'), 1 << 20)).toThrow('larger than 1 MiB');
  expect(readRegularFile(path('large'), (1 << 20) + 1).bytes).toHaveLength((1 << 20) + 1);
});

it('makes a directory with its mode, and leaves one that is there', async () => {
  expect(await makeOwnDirectory(path('new'), 0o750)).toBe(true);
  expect((await stat(path('new'))).mode & 0o777).toBe(0o750);
  await symlink(directory, path('link'));
  expect(await makeOwnDirectory(path('link'), 0o777)).toBe(false);
  expect((await stat(directory)).mode & 0o777).toBe(0o700);
});

describe('a new directory that is exchanged before it gets its mode', () => {
  const modeOf = async (name: string): Promise<number> => (await stat(path(name))).mode & 0o777;
  beforeEach(async () => {
    await mkdir(path('target'), 0o700);
  });

  it('for a link, is refused, and the mode of what it leads to stays', async () => {
    exchange = async (made) => {
      await rmdir(made);
      await symlink(path('target'), made);
    };
    await expect(makeOwnDirectory(path('new'), 0o755)).rejects.toThrow('ENOTDIR');
    expect(await modeOf('target')).toBe(0o700);
  });

  it.skipIf(process.geteuid!() !== 0)('for one of another user, is refused', async () => {
    await chown(path('target'), 1234, 1234);
    exchange = async (made) => {
      await rmdir(made);
      await rename(path('target'), made);
    };
    await expect(makeOwnDirectory(path('new'), 0o755)).rejects.toThrow('was exchanged');
    expect(await modeOf('new')).toBe(0o700);
  });
});

it('does not write output through a link in a directory that others can write to', async () => {
  await mkdir(path('shared'));
  execFileSync('chmod', ['1777', path('shared')]);
  await symlink(path('secret'), path('shared/out'));
  await expect(openOutputFile(path('shared/out'))).rejects.toThrow('ELOOP');
  await symlink(path('secret'), path('out'));
  const stream = await openOutputFile(path('out'));
  await finished(stream.end('output\n'));
  expect(await readFile(path('secret'), 'utf8')).toBe('output\n');
});
