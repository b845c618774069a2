/**
 * Memory that the next process finds as this one leaves it, whatever ends it: laid into a file of its own (left-file.ts) behind the
 * header. Whoever writes to it tells a half-written part from a whole one.
 *
 * Life-cycle: `keepMemory` once, with the rights to the directory, by the process that has the device. Until `close` no other
 * process may have it, and none of this one may write to it any more afterwards.
 */
import { closeSync, constants, ftruncateSync, readSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { loadAddon } from '../../system/addon.ts';
import {
  aliveEveryMs,
  bytesOf,
  openOwn,
  pageBytes,
  readHeader,
  readOrigin,
  writeHeader,
} from './left-file.ts';
import type { Origin } from './left-file.ts';

const { O_RDWR, O_CREAT } = constants;

export interface KeptMemory {
  /** A sentence: why what the process before left is not used. */
  readonly refused?: string;
  readonly close: () => void;
}

/**
 * @param format the first line of the file, of this memory's layout
 * @param memory of pages (pageAligned); zero where there was nothing
 * @throws UnsafeFile, or the system's error
 */
export function keepMemory(
  path: string,
  format: string,
  device: string,
  memory: SharedArrayBuffer,
): KeptMemory {
  const fd = openOwn(path, O_RDWR | O_CREAT, statSync(dirname(path)).uid)!;
  try {
    if (!loadAddon().lockFile(fd)) throw new Error(`${path} is in use by another firewall`);
    const origin = readOrigin(device);
    const refused = refusal(fd, format, origin);
    if (refused !== undefined) ftruncateSync(fd, 0);
    loadAddon().mapFile(fd, pageBytes, bytesOf(memory), true);
    writeHeader(fd, format, origin);
    const alive = setInterval(() => writeHeader(fd, format, origin), aliveEveryMs);
    alive.unref();
    const close = (): void => {
      clearInterval(alive);
      loadAddon().unlockFile(fd);
      closeSync(fd);
    };
    return { close, ...(refused !== undefined && { refused: `${path}: ${refused}` }) };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function refusal(fd: number, format: string, origin: Origin): string | undefined {
  const first = new Uint8Array(1);
  if (readSync(fd, first, 0, 1, 0) === 0 || first[0] === 0) return undefined;
  const header = readHeader(fd, format, origin);
  return typeof header === 'string' ? header : undefined;
}
