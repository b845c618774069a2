/**
 * The data of held fragments: each lies in a chain of chunks of fixed length, and is named by the first of them
 * (fragment-memory.ts).
 */
import { copyBytes } from '../wire/readers.ts';
import {
  FragmentControl as Control,
  FragmentWord as Fragment,
  fragmentChunkLength,
  fragmentShift,
} from './fragment-memory.ts';
import type { FragmentMemory } from './fragment-memory.ts';

/** How many chunks so many bytes need. */
export function chunksFor(length: number): number {
  return Math.ceil(length / fragmentChunkLength);
}

export class FragmentChunks {
  readonly #count: number;
  readonly #data: Uint8Array;
  readonly #fragments: Int32Array;
  readonly #control: Int32Array;

  constructor(memory: FragmentMemory) {
    this.#count = memory.chunks;
    this.#data = new Uint8Array(memory.data);
    this.#fragments = new Int32Array(memory.fragments);
    this.#control = new Int32Array(memory.control);
  }

  /** Whether so many chunks are free. */
  hasRoomFor(chunks: number): boolean {
    return this.#control[Control.usedChunks]! + chunks <= this.#count;
  }

  /** Stores bytes, for which there is room; returns their first chunk. */
  write(bytes: Uint8Array, from: number, length: number): number {
    const first = this.#take();
    let chunk = first;
    for (let done = 0; ;) {
      const part = Math.min(fragmentChunkLength, length - done);
      copyBytes(bytes, from + done, this.#data, chunk * fragmentChunkLength, part);
      done += part;
      if (done === length) break;
      const following = this.#take();
      this.#fragments[(chunk << fragmentShift) + Fragment.chunk] = following;
      chunk = following;
    }
    this.#fragments[(chunk << fragmentShift) + Fragment.chunk] = 0;
    return first;
  }

  /** Copies bytes of a fragment, from byte `from` on. */
  copyOut(fragment: number, from: number, length: number, into: Uint8Array, at: number): void {
    let chunk = fragment;
    let skip = from;
    while (skip >= fragmentChunkLength) {
      chunk = this.#next(chunk);
      skip -= fragmentChunkLength;
    }
    for (let done = 0; done < length;) {
      const part = Math.min(fragmentChunkLength - skip, length - done);
      const start = chunk * fragmentChunkLength + skip;
      copyBytes(this.#data, start, into, at + done, part);
      done += part;
      skip = 0;
      chunk = this.#next(chunk);
    }
  }

  /** Whether the bytes of a fragment from byte `from` on are these. */
  equals(fragment: number, from: number, bytes: Uint8Array, at: number, length: number): boolean {
    let chunk = fragment;
    let held = from;
    for (let i = 0; i < length; i++, held++) {
      if (held >= fragmentChunkLength) {
        chunk = this.#next(chunk);
        held -= fragmentChunkLength;
      }
      if (this.#data[chunk * fragmentChunkLength + held] !== bytes[at + i]) return false;
    }
    return true;
  }

  free(fragment: number): void {
    let chunk = fragment;
    while (chunk !== 0) {
      const next = this.#next(chunk);
      this.#fragments[(chunk << fragmentShift) + Fragment.chunk] =
        this.#control[Control.freeChunk]!;
      this.#control[Control.freeChunk] = chunk;
      this.#control[Control.usedChunks]! -= 1;
      chunk = next;
    }
  }

  #next(chunk: number): number {
    return this.#fragments[(chunk << fragmentShift) + Fragment.chunk]!;
  }

  #take(): number {
    const control = this.#control;
    control[Control.usedChunks]! += 1;
    const free = control[Control.freeChunk]!;
    if (free !== 0) {
      control[Control.freeChunk] = this.#next(free);
      return free;
    }
    const fresh = control[Control.freshChunk]!;
    control[Control.freshChunk] = fresh + 1;
    return fresh;
  }
}
