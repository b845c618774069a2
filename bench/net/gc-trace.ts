/**
 * Reads what `node --trace-gc` prints, to tell the packet threads' full collections.
 *
 *     [12345:0x7f9a2c000c80]     31 ms: Mark-Compact 5.0 (6.1) -> 4.4 (7.1) MB, …
 *
 * The address is that of the isolate: every thread has its own. The main thread's is the one that collects first, because it has
 * loaded the whole program before it starts another thread.
 */
const linePattern = /^\[\d+:(0x[0-9a-f]+)\]\s+\d+ ms: (Scavenge|Mark-Compact|Minor Mark-Compact)/gm;

/** Full collections of all isolates but the main thread's. */
export function majorCollections(trace: string): number {
  const collections = [...trace.matchAll(linePattern)];
  const main = collections[0]?.[1];
  if (main === undefined) throw new Error('the trace of the collector is empty');
  return collections.filter(([, isolate, kind]) => isolate !== main && kind === 'Mark-Compact')
    .length;
}
