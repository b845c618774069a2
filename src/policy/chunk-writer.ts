/** Writes sets of very many addresses. What the words mean: src/dataplane/match/chunked-set.ts. */
import { ChunkKind, ChunkSize, chunkCount, groupLength } from '../dataplane/match/chunked-set.ts';
import { lineWords } from './program-memory.ts';
import type { BlockWriter } from './program-memory.ts';
import type { Ranges } from './ranges.ts';

/** The part of a set that is in one chunk, with low halves of addresses: pairs of first and last one. */
interface Chunk {
  readonly pairs: Uint32Array;
  length: number;
}

/** How a chunk is written. */
interface Words {
  readonly kind: number;
  readonly words: readonly number[] | Int32Array;
}

const lastLow = 0xffff;

export function writeChunks(writer: BlockWriter, ranges: Ranges): void {
  const table = writer.reserve(chunkCount + 1);
  const chunk: Chunk = { pairs: new Uint32Array(chunkCount), length: 0 };
  let at = 0;
  for (let high = 0; high < chunkCount; high++) {
    const [first, last] = [high * chunkCount, high * chunkCount + lastLow];
    chunk.length = 0;
    for (; at < ranges.length && ranges[at]! <= last; at += 2) {
      chunk.pairs[chunk.length++] = Math.max(first, ranges[at]!) - first;
      chunk.pairs[chunk.length++] = Math.min(last, ranges[at + 1]!) - first;
      // The rest of it belongs to the next chunk.
      if (ranges[at + 1]! > last) break;
    }
    writer.set(table + high, writeChunk(writer, table, chunk));
  }
  writer.set(table + chunkCount, groupAt(writer.length - table) << 4);
}

/** @returns its word in the table */
function writeChunk(writer: BlockWriter, table: number, chunk: Chunk): number {
  const offset = writer.length - table;
  if (chunk.length === 0) return groupAt(offset) << 4;
  const { kind, words } = wordsOf(chunk);
  // Two groups lie in one line: which of them is asked is decided by the second one. So they are one or even, and end where the
  // next chunk begins.
  const groups = words.length > groupLength ? roundUp(words.length, lineWords) / groupLength : 1;
  const start = roundUp(offset, groups === 1 ? groupLength : lineWords);
  const first = table + start;
  writer.reserve(first - writer.length + groups * groupLength);
  for (let i = 0; i < groups * groupLength; i++) {
    writer.set(first + i, words[Math.min(i, words.length - 1)]!);
  }
  const size = Math.min(groups, ChunkSize.more);
  return (groupAt(start) << 4) | (size << 2) | kind;
}

function groupAt(offset: number): number {
  return Math.ceil(offset / groupLength);
}

function roundUp(offset: number, unit: number): number {
  return Math.ceil(offset / unit) * unit;
}

function wordsOf({ pairs, length }: Chunk): Words {
  let areSingles = true;
  let areBlocks = length / 2 > groupLength;
  for (let i = 0; i < length; i += 2) {
    areSingles &&= pairs[i] === pairs[i + 1];
    areBlocks &&= (pairs[i]! & 255) === 0 && (pairs[i + 1]! & 255) === 255;
  }
  const words: number[] = [];
  if (areSingles) {
    for (let i = 0; i < length; i += 4) {
      const second = i + 2 < length ? pairs[i + 2]! : pairs[i]!;
      words.push((pairs[i]! << 16) | second);
    }
    return { kind: ChunkKind.singles, words };
  }
  if (areBlocks) return { kind: ChunkKind.blocks, words: blockBits(pairs, length) };
  for (let i = 0; i < length; i += 2) words.push((pairs[i]! << 16) | pairs[i + 1]!);
  return { kind: ChunkKind.ranges, words };
}

function blockBits(pairs: Uint32Array, length: number): Int32Array {
  const bits = new Int32Array(groupLength);
  for (let i = 0; i < length; i += 2) {
    for (let block = pairs[i]! >> 8; block <= pairs[i + 1]! >> 8; block++) {
      bits[block >> 5]! |= 1 << (block & 31);
    }
  }
  return bits;
}
