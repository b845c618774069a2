/** Counts the buffers that code makes: a count says more than the memory of a process at some moment, which other work and the collector change. */

export interface BuffersMade {
  count: number;
  bytes: number;
}

interface Sized {
  readonly byteLength: number;
}

const kinds = ['ArrayBuffer', 'Uint8Array', 'Uint16Array', 'Uint32Array', 'Int32Array'] as const;
const arrays = [Uint8Array.prototype, Uint32Array.prototype, Int32Array.prototype];

/** Every buffer that is made while `work` is at work, but for what Node itself makes; views of a buffer do not count. */
export async function buffersMade(work: () => unknown): Promise<BuffersMade> {
  const made: BuffersMade = { count: 0, bytes: 0 };
  const count = <T extends Sized>(buffer: T): T => {
    made.count++;
    made.bytes += buffer.byteLength;
    return buffer;
  };
  const undo: (() => void)[] = [];
  const replace = (owner: object, key: string, value: unknown): void => {
    const before = Object.getOwnPropertyDescriptor(owner, key);
    undo.push(() => {
      if (before === undefined) Reflect.deleteProperty(owner, key);
      else Object.defineProperty(owner, key, before);
    });
    Object.defineProperty(owner, key, { value, configurable: true, writable: true });
  };
  const countCalls = (owner: object, key: string): void => {
    const real = Reflect.get(owner, key) as (...args: unknown[]) => Sized;
    replace(owner, key, function (this: unknown, ...args: unknown[]) {
      return count(Reflect.apply(real, this, args));
    });
  };
  for (const kind of kinds) {
    const construct = (real: new (...args: unknown[]) => Sized, args: unknown[]): Sized => {
      const isView = args[0] instanceof ArrayBuffer || args[0] instanceof SharedArrayBuffer;
      const buffer = new real(...args);
      return isView ? buffer : count(buffer);
    };
    replace(globalThis, kind, new Proxy(globalThis[kind], { construct }));
  }
  for (const array of arrays) countCalls(array, 'slice');
  for (const key of ['alloc', 'allocUnsafe', 'concat', 'from']) countCalls(Buffer, key);
  try {
    await work();
  } finally {
    for (const one of undo.reverse()) one();
  }
  return made;
}
