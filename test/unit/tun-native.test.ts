/** The native addon and what JavaScript may hand it: errors with names, never a crash. */
import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  ControlWord,
  controlWords,
  createBatch,
  maxPacketLength,
  packetAlignment,
} from '../../src/tun/batch.ts';
import { loadAddon } from '../../src/tun/native.ts';
import { VnetHeader } from '../../src/wire/headers.ts';
import { seed } from '../support/seed.ts';

const addon = loadAddon();
const size = { readSlots: 8, readBytes: 70_000, extraSlots: 4, extraBytes: 1000 };
const root = new URL('../..', import.meta.url).pathname;

function thrown(call: () => unknown): { code?: string; syscall?: string; message: string } {
  try {
    call();
  } catch (error) {
    return error as Error;
  }
  throw new Error('nothing was thrown');
}

it('both sides agree on the layout of a batch', () => {
  expect(addon.constants).toEqual({
    ...ControlWord,
    controlWords,
    packetAlignment,
    packetStart: packetAlignment - VnetHeader.length - 48,
    vnetHeaderLength: VnetHeader.length,
    maxPacket: maxPacketLength,
  });
  const batch = createBatch(size);
  expect(batch.offsets.byteOffset).toBe(controlWords * 4);
  expect(batch.lengths.byteOffset).toBe(batch.offsets.byteOffset + batch.totalSlots * 4);
  expect(batch.verdicts.byteOffset).toBe(batch.lengths.byteOffset + batch.totalSlots * 4);
});

describe('errors', () => {
  it.each<[string, () => unknown, object]>([
    ['a name that is none', () => addon.open(''), { code: 'ERR_OUT_OF_RANGE' }],
    ['a name too long', () => addon.open('x'.repeat(16)), { code: 'ERR_OUT_OF_RANGE' }],
    ['a name with a zero byte', () => addon.open('a\0b'), { code: 'ERR_OUT_OF_RANGE' }],
    ['no name', () => (addon.open as unknown as () => void)(), { code: 'ERR_INVALID_ARG_TYPE' }],
    ['a number for a name', () => addon.open(5 as never), { code: 'ERR_INVALID_ARG_TYPE' }],
    ['closing what is not open', () => addon.close(1e6), { code: 'EBADF', syscall: 'close' }],
    ['closing the standard streams', () => addon.close(2), { code: 'ERR_OUT_OF_RANGE' }],
    ['a half descriptor', () => addon.close(3.5), { code: 'ERR_OUT_OF_RANGE' }],
    ['waking what is not open', () => addon.signalWake(1e6), { code: 'EBADF' }],
    ['a lock on what is not open', () => addon.lockFile(1e6), { code: 'EBADF', syscall: 'flock' }],
    ['a lock on a half', () => addon.lockFile(0.5), { code: 'ERR_OUT_OF_RANGE' }],
    ['offloads of what is not open', () => addon.setOffload(1e6, 1), { code: 'EBADF' }],
    [
      'a Queue without new',
      () => (addon.Queue as unknown as () => void)(),
      { code: 'ERR_INVALID_ARG_TYPE' },
    ],
  ])('%s', (_what, call, expected) => {
    expect(thrown(call)).toMatchObject(expected);
  });

  it('say what a descriptor is, if it is no TUN', () => {
    const file = openSync('/dev/null', 'r+');
    expect(thrown(() => addon.setOffload(file, 1)).code).toBe('ENOTTY');
    closeSync(file);
  });
});

describe('a queue', () => {
  let nothing: number;
  beforeAll(() => {
    nothing = openSync('/dev/null', 'r+');
    return () => closeSync(nothing);
  });
  type Arguments = [number, number, ArrayBuffer, number, number, number];
  const argumentsFor = (batch: ReturnType<typeof createBatch>): Arguments => [
    nothing,
    addon.createWake(),
    batch.buffer,
    batch.totalSlots,
    batch.readSlots,
    batch.readBytes,
  ];

  it.each<[string, (values: Arguments) => void, string]>([
    ['a negative descriptor', (values) => (values[0] = -1), 'tunFd must be a whole number'],
    [
      'a typed array for a batch',
      (values) => (values[2] = new Uint8Array(1e6) as never),
      'the batch must be an ArrayBuffer',
    ],
    [
      'a batch too small',
      (values) => (values[2] = new ArrayBuffer(1000)),
      'the batch is too small',
    ],
    ['no slots', (values) => (values[3] = 0), 'slots must be a whole number from 1'],
    [
      'too many slots',
      (values) => (values[3] = 1e6),
      'slots must be a whole number from 1 to 65536',
    ],
    ['more slots to read than there are', (values) => (values[4] = 13), 'readSlots must be'],
    ['no room for a packet', (values) => (values[5] = 65_545), 'readBytes must be'],
    ['an arena beyond the batch', (values) => (values[5] = 2 ** 31 - 1), 'the batch is too small'],
  ])('is refused with %s', (_what, change, message) => {
    const values = argumentsFor(createBatch(size));
    change(values);
    expect(thrown(() => new addon.Queue(...values)).message).toContain(message);
  });

  it('throws when its batch was taken away, for reading and for writing', () => {
    const batch = createBatch(size);
    const queue = new addon.Queue(...argumentsFor(batch));
    structuredClone(batch.buffer, { transfer: [batch.buffer] });
    expect(thrown(() => queue.read(0)).message).toBe('the batch was detached or resized');
    expect(thrown(() => queue.write(1)).message).toBe('the batch was detached or resized');
  });

  it('writes nothing at all when one slot points outside of the batch', () => {
    const outside: [number, number][] = [
      [0, 100],
      [2 ** 32 - 1, 100],
      [1000, 9],
      [1000, 65_546],
    ];
    for (const [offset, length] of outside) {
      const batch = createBatch(size);
      const queue = new addon.Queue(...argumentsFor(batch));
      batch.verdicts.fill(1, 0, 2);
      batch.offsets.set([batch.spareOffset, offset]);
      batch.lengths.set([100, length]);
      expect(thrown(() => queue.write(2)).message).toBe('a slot points outside of the batch');
      expect(batch.control[ControlWord.written]).toBe(0);
    }
  });

  it('does not work on another object, nor for more slots than it has', () => {
    const queue = new addon.Queue(...argumentsFor(createBatch(size)));
    expect(thrown(() => queue.read.call({}, 0)).message).toBe('Illegal invocation');
    expect(thrown(() => queue.write.call(addon as never, 0)).message).toBe('Illegal invocation');
    expect(thrown(() => queue.write(13)).message).toContain('count must be');
    expect(thrown(() => queue.read(-1)).message).toContain('timeoutMs must be');
  });
});

describe('rubbish', () => {
  const fuzz = ['--import', 'tsx', `${root}test/support/native-fuzz.ts`, String(seed)];
  /** The fuzz runs in a process of its own, so that a crash is a failure with a seed. */
  const run = (calls: number, env: NodeJS.ProcessEnv): { calls: number; thrown: number } => {
    const result = spawnSync(process.execPath, [...fuzz, String(calls)], {
      env: { ...process.env, ...env },
      encoding: 'utf8',
      timeout: 50_000,
    });
    expect(`${result.signal ?? result.status} ${result.stderr}`).toBe('0 ');
    // The line before it is the seed.
    return JSON.parse(result.stdout.trim().split('\n').at(-1)!) as ReturnType<typeof run>;
  };

  it('in twenty thousand calls crashes nothing', () => {
    const { calls, thrown: refused } = run(20_000, {});
    expect(refused).toBeGreaterThan(calls / 4);
    expect(refused).toBeLessThan(calls);
  });

  const asked = spawnSync('gcc', ['-print-file-name=libasan.so'], { encoding: 'utf8' });
  // gcc answers with a path if it has the library, and repeats the name if not.
  const libasan = asked.status === 0 ? asked.stdout.trim() : '';
  const sanitized = libasan.startsWith('/');
  if (!sanitized) console.log('skipped: the addon with sanitizers (there is no gcc with libasan)');

  it.skipIf(!sanitized)('reads and writes nothing outside of its memory', () => {
    execFileSync('make', ['-s', '-C', `${root}native`, 'asan']);
    run(5000, {
      LD_PRELOAD: libasan,
      TUNWALL_ADDON: `${root}native/build/tunwall-asan.node`,
      // Node itself does not free all that it has at its end.
      ASAN_OPTIONS: 'detect_leaks=0',
    });
  });
});
