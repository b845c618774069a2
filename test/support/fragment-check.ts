/** The fragment store's invariants, checked by walking all of it. Throws with what is broken. */
import {
  DatagramWord,
  FragmentControl,
  FragmentWord,
  datagramShift,
  fragmentBucketCount,
  fragmentChunkLength,
  fragmentShift,
} from '../../src/dataplane/flow/fragment-memory.ts';
import type { FragmentMemory } from '../../src/dataplane/flow/fragment-memory.ts';

function must(condition: boolean, what: string): void {
  if (!condition) throw new Error(`fragment store: ${what}`);
}

/** What the store holds: datagrams, and the fragments and chunks of all of them. */
export interface HeldFragments {
  datagrams: number;
  fragments: number;
  chunks: number;
}

/** Reads the records of one store by name. */
class StoreReader {
  readonly #fragments: Int32Array;
  readonly #datagrams: Int32Array;
  readonly control: Int32Array;

  constructor(memory: FragmentMemory) {
    this.#fragments = new Int32Array(memory.fragments);
    this.#datagrams = new Int32Array(memory.datagrams);
    this.control = new Int32Array(memory.control);
  }

  datagram(index: number, word: keyof typeof DatagramWord): number {
    return this.#datagrams[(index << datagramShift) + DatagramWord[word]]!;
  }

  fragment(index: number, word: keyof typeof FragmentWord): number {
    return this.#fragments[(index << fragmentShift) + FragmentWord[word]]!;
  }
}

/** Chunks of one datagram go into `chunks`; returns how many fragments it has. */
function checkDatagram(store: StoreReader, datagram: number, chunks: Set<number>): number {
  let count = 0;
  let received = 0;
  let highest = 0;
  let last = 0;
  const ranges: [number, number][] = [];
  let fragment = store.datagram(datagram, 'firstFragment');
  for (; fragment !== 0; fragment = store.fragment(fragment, 'next')) {
    const start = store.fragment(fragment, 'offset');
    const payload = store.fragment(fragment, 'payload');
    let wanted = Math.ceil(store.fragment(fragment, 'stored') / fragmentChunkLength);
    for (let chunk = fragment; chunk !== 0; chunk = store.fragment(chunk, 'chunk')) {
      must(!chunks.has(chunk), `chunk ${chunk} is used twice (datagram ${datagram})`);
      chunks.add(chunk);
      wanted--;
    }
    must(wanted === 0, `fragment ${fragment} has ${-wanted} chunks too many`);
    ranges.push([start, start + payload]);
    count++;
    received += payload;
    highest = Math.max(highest, start + payload);
    last = fragment;
  }
  must(count > 0, `datagram ${datagram} is empty`);
  must(store.datagram(datagram, 'fragments') === count, `count of datagram ${datagram}`);
  must(store.datagram(datagram, 'received') === received, `bytes of datagram ${datagram}`);
  must(store.datagram(datagram, 'highest') === highest, `highest byte of datagram ${datagram}`);
  must(store.datagram(datagram, 'lastFragment') === last, `last fragment of ${datagram}`);
  const total = store.datagram(datagram, 'total');
  must(total === 0 || received < total, `datagram ${datagram} is complete and waits`);
  ranges.sort(([a], [b]) => a - b);
  ranges.forEach(([start], index) => {
    must(index === 0 || ranges[index - 1]![1] <= start, `datagram ${datagram} overlaps itself`);
  });
  return count;
}

export function checkFragmentStore(memory: FragmentMemory): HeldFragments {
  const store = new StoreReader(memory);
  const { control } = store;
  const chunks = new Set<number>();
  const datagrams = new Set<number>();
  let fragments = 0;
  let older = 0;
  let datagram = control[FragmentControl.oldest]!;
  for (; datagram !== 0; datagram = store.datagram(datagram, 'newer')) {
    must(!datagrams.has(datagram), `datagram ${datagram} is listed twice`);
    must(store.datagram(datagram, 'older') === older, `back link of datagram ${datagram}`);
    datagrams.add(datagram);
    fragments += checkDatagram(store, datagram, chunks);
    older = datagram;
  }
  must(control[FragmentControl.newest] === older, 'the newest datagram');
  must(control[FragmentControl.datagrams] === datagrams.size, 'count of datagrams');
  must(control[FragmentControl.usedChunks] === chunks.size, 'count of chunks in use');
  must(chunks.size <= memory.chunks, `${chunks.size} chunks of ${memory.chunks}`);

  const chained = new Set<number>();
  for (let bucket = 0; bucket < fragmentBucketCount; bucket++) {
    let at = control[FragmentControl.buckets + bucket]!;
    for (; at !== 0; at = store.datagram(at, 'chain')) {
      must(datagrams.has(at) && !chained.has(at), `datagram ${at} in the chain of ${bucket}`);
      chained.add(at);
    }
  }
  must(chained.size === datagrams.size, 'a datagram is listed but not chained');

  const used = chunks.size;
  for (let at = control[FragmentControl.freeChunk]!; at !== 0; at = store.fragment(at, 'chunk')) {
    must(!chunks.has(at), `chunk ${at} is free and in use, or free twice`);
    chunks.add(at);
  }
  must(chunks.size === control[FragmentControl.freshChunk]! - 1, 'a chunk is lost');
  for (
    let at = control[FragmentControl.freeDatagram]!;
    at !== 0;
    at = store.datagram(at, 'chain')
  ) {
    must(!datagrams.has(at), `datagram ${at} is free and in use, or free twice`);
    datagrams.add(at);
  }
  must(datagrams.size === control[FragmentControl.freshDatagram]! - 1, 'a record is lost');
  return { datagrams: chained.size, fragments, chunks: used };
}
