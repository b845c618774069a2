/** Writes sets of very many addresses. What the words mean: src/dataplane/match/chunked-set.ts. */
import { ChunkKind, blocksLength, chunkCount } from '../dataplane/match/chunked-set.ts';
import type { BlockWriter } from './program-memory.ts';
import type { Ranges } from './ranges.ts';

/** The part of a set that is in one chunk, with low halves of addresses: pairs of first and last one. */
interface Chunk {
  readonly pairs: Uint32Array;
  length: number;
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
    const start = writer.length - table;
    writer.set(table + high, (start << 2) | writeChunk(writer, chunk));
  }
  writer.set(table + chunkCount, (writer.length - table) << 2);
}

/** @returns its kind */
function writeChunk(writer: BlockWriter, chunk: Chunk): number {
  const { pairs, length } = chunk;
  let areSingles = true;
  let areBlocks = length / 2 > blocksLength;
  for (let i = 0; i < length; i += 2) {
    areSingles &&= pairs[i] === pairs[i + 1];
    areBlocks &&= (pairs[i]! & 255) === 0 && (pairs[i + 1]! & 255) === 255;
  }
  if (areSingles) {
    for (let i = 0; i < length; i += 4) {
      const second = i + 2 < length ? pairs[i + 2]! : pairs[i]!;
      writer.set(writer.reserve(1), (pairs[i]! << 16) | second);
    }
    return ChunkKind.singles;
  }
  if (areBlocks) {
    writeBlocks(writer, chunk);
    return ChunkKind.blocks;
  }
  for (let i = 0; i < length; i += 2) {
    writer.set(writer.reserve(1), (pairs[i]! << 16) | pairs[i + 1]!);
  }
  return ChunkKind.ranges;
}

function writeBlocks(writer: BlockWriter, { pairs, length }: Chunk): void {
  const bits = new Int32Array(blocksLength);
  for (let i = 0; i < length; i += 2) {
    for (let block = pairs[i]! >> 8; block <= pairs[i + 1]! >> 8; block++) {
      bits[block >> 5]! |= 1 << (block & 31);
    }
  }
  writer.append(bits);
}
