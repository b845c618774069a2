/**
 * Calls every function of the native addon with rubbish, from a seed, and with what almost fits. An exception is fine; a
 * crash ends the process, and the parent test reports it. Usage: node --import tsx native-fuzz.ts SEED CALLS
 */
import { execFileSync } from 'node:child_process';
import { constants, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createBatch, ringBatchSize } from '../../src/dataplane/tun/batch.ts';
import { loadAddon } from '../../src/system/addon.ts';
import { seededRandom } from './seed.ts';

const random = seededRandom(Number(process.argv[2]));
const calls = Number(process.argv[3]);
const addon = loadAddon();
const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)]!;

const size = { readSlots: 8, readBytes: 70_000, extraSlots: 4, extraBytes: 1000 };
const devNull = openSync('/dev/null', 'r+');
/** A number that no descriptor of this process gets to. */
const closed = 999;
const wake = addon.createWake();
const directory = mkdtempSync(join(tmpdir(), 'tunwall-fuzz-'));
execFileSync('mkfifo', [join(directory, 'pipe')]);
// What is written into it comes back.
const openPipe = (): number =>
  openSync(join(directory, 'pipe'), constants.O_RDWR | constants.O_NONBLOCK);
// io_uring makes its descriptor a blocking one, in which a read by system call would hang.
const [pipe, ringPipe] = [openPipe(), openPipe()];
rmSync(directory, { recursive: true });

function detached(): ArrayBuffer {
  const { buffer } = createBatch(size);
  structuredClone(buffer, { transfer: [buffer] });
  return buffer;
}

const numbers = [
  ...[0, -0, 1, -1, 2, 7, 12, 13, 0.5, NaN, Infinity, -Infinity],
  ...[2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 53, -(2 ** 31), 1e300],
];
const others = (): unknown[] => [
  ...[undefined, null, true, '', 'fw0', 'x'.repeat(300), 'a\0b', Symbol('s'), 10n, {}, [], () => 1],
  ...[new ArrayBuffer(0), new ArrayBuffer(200), new ArrayBuffer(100_000), detached()],
  ...[new SharedArrayBuffer(100_000), new Uint8Array(4), new DataView(new ArrayBuffer(8))],
  new Proxy({}, {}),
];
const anything = (): unknown => (random() < 0.5 ? pick(numbers) : pick(others()));

/** Descriptors that may be used or closed without harm to this process. */
const descriptor = (): unknown => pick([devNull, closed, -1, 1e9, '3', undefined, wake]);

interface AnyQueue {
  exchange(...all: unknown[]): unknown;
  write(...all: unknown[]): unknown;
  finish(...all: unknown[]): unknown;
  close(...all: unknown[]): unknown;
}
const { bindQueue: bindAny } = addon as unknown as {
  bindQueue: (...all: unknown[]) => AnyQueue;
};

function queue(): AnyQueue {
  const ring = random() < 0.5;
  const batch = createBatch(ring ? ringBatchSize(size) : size);
  const args: unknown[] = [
    pick([devNull, closed, pipe, pipe]),
    wake,
    batch.buffer,
    batch.totalSlots,
    batch.readSlots,
    batch.readBytes,
    ring,
  ];
  if (random() < 0.5) args[Math.floor(random() * args.length)] = anything();
  // Not a descriptor of Node's own: a read of one that blocks would be no fault of the addon.
  for (const at of [0, 1]) {
    const own = args[at] === (at === 0 ? pipe : wake);
    if (typeof args[at] === 'number' && args[at] < 1000 && !own) {
      args[at] = pick([devNull, closed, -1]);
    }
  }
  if (args[0] === pipe && args[6] === true) args[0] = ringPipe;
  const made = bindAny(...args);
  // What a broken caller may have left in the batch.
  for (let i = 0; i < batch.totalSlots; i++) {
    batch.verdicts[i] = pick([0, 1, 1, 2, 255]);
    batch.offsets[i] = random() < 0.5 ? random() * 2 ** 32 : batch.spareOffset;
    batch.lengths[i] = pick([0, 9, 10, 100, 65_545, 65_546, 2 ** 32 - 1]);
  }
  if (random() < 0.2) structuredClone(batch.buffer, { transfer: [batch.buffer] });
  return made;
}

/** Some calls of one queue, the last of which may have closed it. */
function useQueue(): void {
  const used = queue();
  for (let call = 0; call < 4; call++) {
    pick([
      () => used.exchange(pick([0, 1, 8, anything()]), pick([0, 1, anything()])),
      () => used.write(pick([0, 1, 8, 12, anything()])),
      () => used.finish(),
      () => used.close(),
    ])();
  }
}

const targets: (() => unknown)[] = [
  () =>
    addon.attach(
      descriptor() as number,
      pick(['', 'x'.repeat(16), 'a/b', 'no such', anything()]) as string,
    ),
  () => addon.deviceOf(descriptor() as number),
  () => addon.enableQueue(descriptor() as number, pick([true, false, anything()]) as boolean),
  () => addon.endWithParent(anything() as number),
  () => addon.setOffload(descriptor() as number, anything() as number),
  () => addon.signalWake(descriptor() as number),
  () => addon.attachedQueues(pick(['', 'x'.repeat(16), 'lo', 'no such', anything()]) as string),
  () => addon.lockFile(pick([descriptor(), anything()]) as number),
  () => addon.close(pick([closed, -1, 1e9, 0, 1, 2, 'x', anything() === 3 ? 1e9 : NaN]) as number),
  useQueue,
  useQueue,
  () => queue().exchange(pick([0, 1, 12, anything()]), pick([0, 1, anything()])),
  () => queue().write(pick([0, 1, 8, 12, anything()])),
  () => queue().write.call(pick([{}, undefined, addon]), 0),
  () => queue().exchange(),
  () => queue().close(),
  () => bindAny(),
  () => bindAny(devNull, 0, new ArrayBuffer(9)),
];

let thrown = 0;
for (let call = 0; call < calls; call++) {
  try {
    pick(targets)();
  } catch (error) {
    if (!(error instanceof Error) || error.message === '') throw error;
    thrown++;
  }
}
process.stdout.write(JSON.stringify({ calls, thrown }));
