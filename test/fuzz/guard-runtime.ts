/**
 * What the guarded build calls: every element access of the data plane comes through here (guard.ts says how).
 *
 * A typed array answers an index that it does not have with `undefined`, and stores NaN as 0: both go unseen. Here they
 * throw a {@link GuardError} that names file and line. The memory of a batch is watched more closely still: one byte of
 * shadow for each of its bytes says whether it may be read or written, so that a read behind the end of a packet is seen
 * although the memory goes on there.
 *
 * The guarded build has its own instance of this module; the fuzzer gets at it through `GuardedBuild.runtime`.
 */

export class GuardError extends Error {
  override name = 'GuardError';
}

/** How often each edge (a place where control flow splits or enters a function) was taken. */
export const edges: Uint32Array = new Uint32Array(8192);

/** Marks of the shadow, as bits. Everything else is out of bounds. */
export const Shadow = { none: 0, readable: 1, writable: 2, own: 3 } as const;

/** The end of a process in the middle of its work, as by SIGKILL. */
export class Killed extends Error {
  override name = 'Killed';
}

let writesToLive = Infinity;

/** Ends the guarded code by a {@link Killed} at a write to an array, after so many others; Infinity: never. */
export function killAfter(writes: number): void {
  writesToLive = writes;
}

function mayDie(): void {
  writesToLive--;
  if (writesToLive < 0) throw new Killed();
}

type Indexed = ArrayLike<number> & { readonly buffer?: ArrayBufferLike };

let arena: ArrayBufferLike | undefined;
let shadow: Uint8Array = new Uint8Array();

/** Watches the memory `buffer` from now on; `marks` has a {@link Shadow} mark for each byte and is changed by its owner. */
export function watchArena(buffer: ArrayBufferLike | undefined, marks: Uint8Array): void {
  arena = buffer;
  shadow = marks;
}

function isArray(value: unknown): value is Indexed {
  return ArrayBuffer.isView(value) || Array.isArray(value);
}

function kindOf(array: Indexed): string {
  return (array as object).constructor.name;
}

function mustBeIndex(array: Indexed, at: unknown, place: string): void {
  if (typeof at === 'number' && at >= 0 && at < array.length && Number.isInteger(at)) return;
  throw new GuardError(`${place}: index ${String(at)} of ${kindOf(array)}(${array.length})`);
}

function mustBeMarked(array: Indexed, at: number, mark: number, place: string): void {
  const { BYTES_PER_ELEMENT: width, byteOffset } = array as unknown as Uint8Array;
  const start = byteOffset + at * width;
  for (let byte = start; byte < start + width; byte++) {
    if ((shadow[byte]! & mark) !== 0) continue;
    const what = mark === Shadow.readable ? 'read outside of a packet' : 'write into a packet';
    throw new GuardError(`${place}: ${what} (byte ${byte} of the batch memory)`);
  }
}

/** `array[at]` is read. Returns `at`. What is no array, an object used as a dictionary, is left alone. */
export function readAt(array: unknown, at: unknown, place: string): unknown {
  if (!isArray(array)) return at;
  mustBeIndex(array, at, place);
  if (array.buffer === arena && arena !== undefined) {
    mustBeMarked(array, at as number, Shadow.readable, place);
  }
  return at;
}

/** `array[at]` is written. Returns `at`. */
export function writeAt(array: unknown, at: unknown, place: string): unknown {
  if (!isArray(array)) return at;
  mayDie();
  mustBeIndex(array, at, place);
  if (array.buffer === arena && arena !== undefined) {
    mustBeMarked(array, at as number, Shadow.writable, place);
  }
  return at;
}

/** `value` is stored in `array`, or added to what is there. Returns `value`. */
export function stored(array: unknown, value: unknown, place: string): unknown {
  if (!ArrayBuffer.isView(array)) return value;
  if (typeof value !== 'number' || Number.isNaN(value)) {
    throw new GuardError(`${place}: ${String(value)} stored in ${array.constructor.name}`);
  }
  return value;
}

/** `target.method(...args)`, with the ranges of typed arrays checked: the language would clamp them silently. */
export function range(
  target: unknown,
  method: string,
  place: string,
  ...args: readonly unknown[]
): unknown {
  if (ArrayBuffer.isView(target)) {
    const array = target as Uint8Array;
    const [start, end] = rangeOf(array, method, args);
    const valid = Number.isInteger(start) && Number.isInteger(end) && start >= 0 && start <= end;
    if (!valid || end > array.length) {
      throw new GuardError(`${place}: ${method} ${start} to ${end} of ${array.length}`);
    }
    if (array.buffer === arena && method === 'fill') {
      for (let at = start; at < end; at++) mustBeMarked(array, at, Shadow.writable, place);
    }
    if (method === 'fill') {
      mayDie();
      stored(array, args[0], place);
    }
  }
  return (target as Record<string, (...each: readonly unknown[]) => unknown>)[method]!(...args);
}

/** The elements that `set`, `fill`, `subarray` or `slice` touch. */
function rangeOf(array: Uint8Array, method: string, args: readonly unknown[]): [number, number] {
  const [first, second, third] = args as [unknown, number | undefined, number | undefined];
  if (method === 'set') {
    const start = second ?? 0;
    return [start, start + (first as ArrayLike<number>).length];
  }
  if (method === 'fill') return [second ?? 0, third ?? array.length];
  return [(first as number | undefined) ?? 0, second ?? array.length];
}
