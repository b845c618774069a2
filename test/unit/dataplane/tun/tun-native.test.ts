/** The native addon and what JavaScript may hand it: errors with names, never a crash. */
import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  ControlWord,
  controlWords,
  createBatch,
  maxPacketLength,
  packetAlignment,
  ringBatchSize,
  ringBufferStride,
} from '../../../../src/dataplane/tun/batch.ts';
import type { Batch } from '../../../../src/dataplane/tun/batch.ts';
import { loadAddon } from '../../../../src/system/addon.ts';
import type { NativeQueue } from '../../../../src/system/addon.ts';
import { VnetHeader } from '../../../../src/dataplane/wire/headers.ts';
import { seed } from '../../../support/seed.ts';

const addon = loadAddon();
const size = { readSlots: 8, readBytes: 70_000, extraSlots: 4, extraBytes: 1000 };
const root = new URL('../../../..', import.meta.url).pathname;

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
    ringBufferStride,
  });
  const batch = createBatch(size);
  expect(batch.offsets.byteOffset).toBe(controlWords * 4);
  expect(batch.lengths.byteOffset).toBe(batch.offsets.byteOffset + batch.totalSlots * 4);
  expect(batch.verdicts.byteOffset).toBe(batch.lengths.byteOffset + batch.totalSlots * 4);
});

describe('errors', () => {
  it.each<[string, () => unknown, object]>([
    ['a name that is none', () => addon.attach(0, ''), { code: 'ERR_OUT_OF_RANGE' }],
    ['a name too long', () => addon.attach(0, 'x'.repeat(16)), { code: 'ERR_OUT_OF_RANGE' }],
    ['a name with a zero byte', () => addon.attach(0, 'a\0b'), { code: 'ERR_OUT_OF_RANGE' }],
    ['no name', () => (addon.attach as unknown as () => void)(), { code: 'ERR_INVALID_ARG_TYPE' }],
    ['a number for a name', () => addon.attach(0, 5 as never), { code: 'ERR_INVALID_ARG_TYPE' }],
    ['the device of what is not open', () => addon.deviceOf(1e6), { code: 'EBADF' }],
    ['the device of what is no TUN', () => addon.deviceOf(addon.createWake()), { code: 'ENOTTY' }],
    ['a queue that is none', () => addon.enableQueue(addon.createWake(), true), { code: 'ENOTTY' }],
    ['a parent that is none', () => addon.endWithParent(0), { code: 'ERR_OUT_OF_RANGE' }],
    ['closing what is not open', () => addon.close(1e6), { code: 'EBADF', syscall: 'close' }],
    ['closing the standard streams', () => addon.close(2), { code: 'ERR_OUT_OF_RANGE' }],
    ['a half descriptor', () => addon.close(3.5), { code: 'ERR_OUT_OF_RANGE' }],
    ['waking what is not open', () => addon.signalWake(1e6), { code: 'EBADF' }],
    ['queues of no device', () => addon.attachedQueues('no such'), { code: 'ENODEV' }],
    ['queues of what is no TUN', () => addon.attachedQueues('lo'), { code: 'EINVAL' }],
    ['a lock on what is not open', () => addon.lockFile(1e6), { code: 'EBADF', syscall: 'flock' }],
    ['a lock on a half', () => addon.lockFile(0.5), { code: 'ERR_OUT_OF_RANGE' }],
    ['offloads of what is not open', () => addon.setOffload(1e6, 1), { code: 'EBADF' }],
    [
      'a queue of nothing',
      () => (addon.bindQueue as unknown as () => void)(),
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

type Arguments = Parameters<typeof addon.bindQueue>;

function argumentsFor(fd: number, batch: Batch, ring: boolean): Arguments {
  const { buffer, totalSlots, readSlots, readBytes } = batch;
  return [fd, addon.createWake(), buffer, totalSlots, readSlots, readBytes, ring];
}

describe.each([
  ['by system calls', false],
  ['by io_uring', true],
])('a queue %s', (_how, ring) => {
  const newBatch = (): Batch => createBatch(ring ? ringBatchSize(size) : size);
  let directory: string;
  let fifo: number;
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'tunwall-native-'));
    execFileSync('mkfifo', [join(directory, 'fifo')]);
    // Open for both, so that what is written comes back.
    fifo = openSync(join(directory, 'fifo'), constants.O_RDWR | constants.O_NONBLOCK);
    return () => {
      closeSync(fifo);
      rmSync(directory, { recursive: true });
    };
  });
  const bind = (batch: Batch): NativeQueue => addon.bindQueue(...argumentsFor(fifo, batch, ring));

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
    ['a number for a yes', (values) => (values[6] = 1 as never), 'ring must be a boolean'],
  ])('is refused with %s', (_what, change, message) => {
    const values = argumentsFor(fifo, newBatch(), ring);
    change(values);
    expect(thrown(() => addon.bindQueue(...values)).message).toContain(message);
  });

  it('gives back what was written, as often as one likes, and what was not to pass never', () => {
    const batch = newBatch();
    const queue = bind(batch);
    for (let round = 0; round < 1000; round++) {
      batch.offsets.set([batch.spareOffset, batch.spareOffset + 500, batch.spareOffset]);
      batch.lengths.set([100, 200, 100]);
      batch.verdicts.set([0, 1, 2]);
      batch.bytes.fill(round & 0xff, batch.spareOffset + 500, batch.spareOffset + 700);
      expect(queue.exchange(3, 1000)).toBe(1);
      expect(batch.lengths[0]).toBe(200);
      const start = batch.offsets[0]!;
      expect(start % packetAlignment).toBe(packetAlignment - VnetHeader.length - 48);
      expect(
        batch.bytes.subarray(start, start + 200).every((each) => each === (round & 0xff)),
      ).toBe(true);
    }
    expect(batch.control[ControlWord.written]).toBe(1000);
    expect(queue.exchange(0, 0)).toBe(0);
    queue.close();
  });

  it('writes what it was given before it is closed, and nothing afterwards', () => {
    const batch = newBatch();
    const queue = bind(batch);
    batch.offsets[0] = batch.spareOffset;
    batch.lengths[0] = 300;
    batch.verdicts[0] = 1;
    expect(queue.write(1)).toBe(1);
    queue.close();
    expect(readSync(fifo, Buffer.alloc(1000))).toBe(300);
    expect(thrown(() => queue.write(1)).message).toBe('the queue is closed');
    expect(thrown(() => queue.exchange(0, 0)).message).toBe('the queue is closed');
  });

  it('takes nothing more from the device when it is finished, and does not wait', () => {
    const queue = bind(newBatch());
    expect(queue.exchange(0, 0)).toBe(0);
    // By io_uring, a read is under way; what comes now is taken by a thread that asks for it, and by none else.
    writeSync(fifo, Buffer.alloc(200));
    queue.finish();
    expect(queue.exchange(0, 60_000)).toBe(0);
    writeSync(fifo, Buffer.alloc(300));
    expect(queue.exchange(0, 60_000)).toBe(0);
    queue.close();
    expect(readSync(fifo, Buffer.alloc(1000))).toBe(500);
  });

  it('is woken up, and waits no longer than its timeout', () => {
    const batch = newBatch();
    const values = argumentsFor(fifo, batch, ring);
    const queue = addon.bindQueue(...values);
    expect(queue.exchange(0, 20)).toBe(0);
    expect(batch.control[ControlWord.woken]).toBe(0);
    for (let time = 0; time < 3; time++) {
      addon.signalWake(values[1]);
      expect(queue.exchange(0, 60_000)).toBe(0);
      expect(batch.control[ControlWord.woken]).toBe(1);
    }
    queue.close();
  });

  it('counts what the other side does not take', () => {
    const readOnly = openSync(join(directory, 'fifo'), constants.O_RDONLY | constants.O_NONBLOCK);
    const batch = newBatch();
    const queue = addon.bindQueue(...argumentsFor(readOnly, batch, ring));
    batch.offsets[0] = batch.spareOffset;
    batch.lengths[0] = 300;
    batch.verdicts[0] = 1;
    // Not open for writing: the device is gone, as far as writing goes.
    expect(thrown(() => queue.exchange(1, 0)).code).toBe('EBADF');
    queue.close();
    closeSync(readOnly);
  });

  it('throws when its batch was taken away, for reading and for writing', () => {
    const batch = newBatch();
    const queue = bind(batch);
    structuredClone(batch.buffer, { transfer: [batch.buffer] });
    expect(thrown(() => queue.exchange(0, 0)).message).toBe('the batch was detached or resized');
    expect(thrown(() => queue.write(1)).message).toBe('the batch was detached or resized');
  });

  it('writes nothing at all when one slot points outside of the batch', () => {
    const outside: [number, number][] = [
      [0, 100],
      [2 ** 32 - 1, 100],
      [100, 9],
      [100, 65_546],
    ];
    for (const [offset, length] of outside) {
      const batch = newBatch();
      const queue = bind(batch);
      batch.verdicts.fill(1, 0, 2);
      batch.offsets.set([batch.spareOffset, offset]);
      batch.lengths.set([100, length]);
      expect(thrown(() => queue.write(2)).message).toBe('a slot points outside of the batch');
      expect(thrown(() => queue.exchange(2, 0)).message).toBe('a slot points outside of the batch');
      expect(queue.exchange(0, 0)).toBe(0);
      queue.close();
    }
  });

  it('refuses more slots than it has, and times that are none', () => {
    const queue = bind(newBatch());
    expect(thrown(() => queue.write(13)).message).toContain('count must be');
    expect(thrown(() => queue.exchange(13, 0)).message).toContain('count must be');
    expect(thrown(() => queue.exchange(0, -1)).message).toContain('timeoutMs must be');
    queue.close();
  });
});

it('io_uring is refused by name where it has no room', () => {
  const batch = createBatch(size);
  const values = argumentsFor(0, batch, true);
  // Two buffers for each slot: bindQueue of linux-tun.ts falls back on errors of this system call.
  expect(thrown(() => addon.bindQueue(...values))).toMatchObject({ syscall: 'io_uring' });
});

it('large pages leave memory as it is, and are for memory of 32-bit words', () => {
  const useLargePages = (memory: Int32Array): void => loadAddon().useLargePages(memory);
  const length = 5 << 20;
  const words = new Int32Array(
    new SharedArrayBuffer(length * 4, { maxByteLength: length * 4 }),
    0,
    length,
  );
  words[1 << 20] = 7;
  useLargePages(words);
  for (let page = 0; page < length; page += 1024) words[page]! += page;
  expect(words[1 << 20]).toBe(7 + (1 << 20));
  expect(words.every((word, at) => at === 1 << 20 || word === (at % 1024 === 0 ? at : 0))).toBe(
    true,
  );
  useLargePages(new Int32Array(3));
  useLargePages(new Int32Array(0));
  for (const wrong of [undefined, 1, new Uint8Array(4096), new ArrayBuffer(4096)]) {
    expect(() => useLargePages(wrong as never)).toThrow(TypeError);
  }
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

  it('in ten thousand calls crashes nothing', () => {
    const { calls, thrown: refused } = run(10_000, {});
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
    run(3000, {
      LD_PRELOAD: libasan,
      TUNWALL_ADDON: `${root}native/build/tunwall-asan.node`,
      // Node itself does not free all that it has at its end.
      ASAN_OPTIONS: 'detect_leaks=0',
    });
  });
});
