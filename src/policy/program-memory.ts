/**
 * The memory of compiled policies: one array of words, shared with the packet threads, and what is written to it.
 *
 * A policy is made of blocks. A block never changes while a policy that is in force refers to it, and the next policy refers
 * to it again if nothing in it has changed. So a change writes only the blocks that it concerns. A block that no policy needs
 * any more is freed, and its place is used again.
 */

import { pageAligned, wordsOf } from '../dataplane/flow/flow-memory.ts';
import { Header } from '../dataplane/match/matcher.ts';

/** More than this would be a mistake in the configuration, not a policy: 256 MiB. */
const maxWords = 1 << 26;

/** Less than this is no use to large pages, and comes from the heap. */
const wholePagesFrom = 1 << 20;

/** Words of a cache line. */
export const lineWords = 16;

/** Blocks of so many words begin with a cache line: searches in them are laid out by lines. */
const alignedFrom = 4096;

/** Has the kernel use large pages for memory that has not been written to. */
export type UseLargePages = (words: Int32Array) => void;

/** A policy that is too large to be compiled. */
export class PolicyTooLargeError extends Error {
  override name = 'PolicyTooLargeError';

  constructor() {
    super(
      'the policy is too large: its rules need more than 256 MiB; merge port ranges or split templates',
    );
  }
}

/** A place in the memory. */
export interface Block {
  readonly offset: number;
  readonly length: number;
}

/** Freed blocks are used again for blocks of about their size: sizes differ by an eighth at most. */
function sizeClass(length: number): number {
  const step = 2 ** Math.max(0, Math.floor(Math.log2(length)) - 3);
  return Math.ceil(length / step) * step;
}

export class ProgramMemory {
  #words: Int32Array = new Int32Array(new SharedArrayBuffer(4096 * 4));
  /** Offset 0 means none: the first words are no block. */
  #end: number = Header.length;
  #used = 0;
  /** Offsets of freed blocks by their size. */
  readonly #free: Map<number, number[]> = new Map<number, number[]>();
  readonly #useLargePages: UseLargePages;

  /** @param useLargePages packets of random addresses miss the TLB less often. Default: does nothing */
  constructor(useLargePages: UseLargePages = () => undefined) {
    this.#useLargePages = useLargePages;
  }

  /**
   * The words. When the memory grows they become others, with the same content at the same offsets; who has the former ones
   * keeps everything that was written before.
   */
  get words(): Int32Array {
    return this.#words;
  }

  /** Words of all blocks. */
  get used(): number {
    return this.#used;
  }

  /** Appends or finds a block and copies it in. */
  place(writer: BlockWriter): Block {
    const { length } = writer;
    const offset = this.#reserve(length);
    writer.copyTo(this.#words, offset);
    this.#used += length;
    return { offset, length };
  }

  free({ offset, length }: Block): void {
    this.#used -= length;
    const size = sizeClass(length);
    const offsets = this.#free.get(size);
    if (offsets === undefined) this.#free.set(size, [offset]);
    else offsets.push(offset);
  }

  /** The words as an array of their own that begins with the header of a policy. @param root where that is */
  trimmed(root: number): Int32Array {
    const words = new Int32Array(new SharedArrayBuffer(this.#end * 4));
    words.set(this.#words.subarray(0, this.#end));
    words.copyWithin(0, root, root + Header.length);
    return words;
  }

  #reserve(length: number): number {
    const size = sizeClass(length);
    const freed = this.#free.get(size)?.pop();
    if (freed !== undefined) return freed;
    const before = this.#end;
    const offset = size < alignedFrom ? before : Math.ceil(before / lineWords) * lineWords;
    const end = offset + size;
    if (end > maxWords) throw new PolicyTooLargeError();
    if (end > this.#words.length) {
      const capacity = Math.min(maxWords, Math.max(end, this.#words.length * 2));
      const grown = this.#allocate(capacity);
      grown.set(this.#words.subarray(0, before));
      this.#words = grown;
    }
    this.#end = end;
    return offset;
  }

  #allocate(length: number): Int32Array {
    if (length < wholePagesFrom) return new Int32Array(new SharedArrayBuffer(length * 4));
    const words = wordsOf(pageAligned(length * 4));
    this.#useLargePages(words);
    return words;
  }
}

/** Words of a block that is being written; offsets in it are relative until it has its place. */
export class BlockWriter {
  #words = new Int32Array(4096);
  #length = 0;
  /** Words that hold offsets within the block. */
  #links = new Int32Array(1024);
  #linkCount = 0;

  get length(): number {
    return this.#length;
  }

  /** Begins another block. */
  clear(): void {
    // What a large set needed once is not kept.
    if (this.#words.length > wholePagesFrom) this.#words = new Int32Array(4096);
    else this.#words.fill(0, 0, this.#length);
    this.#length = 0;
    this.#linkCount = 0;
  }

  /** Appends so many zero words and returns where they start. */
  reserve(count: number): number {
    const at = this.#length;
    this.#length += count;
    if (this.#length > maxWords) throw new PolicyTooLargeError();
    if (this.#length > this.#words.length) {
      const grown = new Int32Array(Math.max(this.#length, this.#words.length * 2));
      grown.set(this.#words);
      this.#words = grown;
    }
    return at;
  }

  set(at: number, word: number): void {
    this.#words[at] = word;
  }

  get(at: number): number {
    return this.#words[at]!;
  }

  /** Has a word refer to another one of this block. */
  link(at: number, target: number): void {
    if (this.#linkCount === this.#links.length) {
      const grown = new Int32Array(this.#linkCount * 2);
      grown.set(this.#links);
      this.#links = grown;
    }
    this.#links[this.#linkCount++] = at;
    this.#words[at] = target;
  }

  /** Appends words. Returns where they start. */
  append(words: ArrayLike<number>): number {
    const at = this.reserve(words.length);
    this.#words.set(words, at);
    return at;
  }

  copyTo(words: Int32Array, offset: number): void {
    words.set(this.#words.subarray(0, this.#length), offset);
    for (let i = 0; i < this.#linkCount; i++) words[offset + this.#links[i]!]! += offset;
  }
}
