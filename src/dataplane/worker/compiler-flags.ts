/**
 * V8's compiler options for the packet path, process-wide; set them before it gets hot.
 *
 * V8 inlines at most 920 bytes of bytecode into a function, which parse, look-up and state machine of one packet exceed
 * together: which calls remain depends on the order in which V8 came to see them, and differs from run to run. With room for
 * all of them it is a fifth faster, and always the same code. Measured: bench/RESULTS.md.
 */
import { setFlagsFromString } from 'node:v8';

export function setCompilerFlags(): void {
  setFlagsFromString('--max-inlined-bytecode-size-cumulative=5000');
  setFlagsFromString('--max-inlined-bytecode-size=1000');
}
