/** How much memory a process keeps beside what it uses. */
import { setFlagsFromString } from 'node:v8';
import { loadAddon } from './addon.ts';

/**
 * For a process that runs for months and uses little: V8 collects when the heap has grown by two fifths since the last time, instead
 * of up to threefold, and the C library returns what is freed. Each change of a large configuration makes as much garbage as
 * the configuration is large. Measured: bench/RESULTS.md.
 */
export function keepLittleMemory(): void {
  setFlagsFromString('--heap-growing-percent=40');
  loadAddon().returnFreedMemory();
}
