/** The program's terminal, for `tunwall top`. */
import type { Screen } from './top-command.ts';

/** Undefined unless both are terminals: without a keyboard, text is printed instead. */
export function createScreen(
  stdin: NodeJS.ReadStream,
  stdout: NodeJS.WriteStream,
  terminalName: string | undefined,
): Screen | undefined {
  if (!stdin.isTTY || !stdout.isTTY || terminalName === 'dumb') return undefined;
  return {
    // A serial line reports a size of 0.
    size: () => ({ columns: stdout.columns || 80, rows: stdout.rows || 24 }),
    write: (text) => void stdout.write(text),
    readKeys(onKey) {
      const onData = (data: Buffer): void => {
        for (const key of data.toString('latin1')) onKey(key);
      };
      stdin.setRawMode(true);
      stdin.on('data', onData).resume();
      return () => {
        stdin.off('data', onData).pause();
        stdin.setRawMode(false);
      };
    },
    watchSize(onResize) {
      stdout.on('resize', onResize);
      return () => void stdout.off('resize', onResize);
    },
  };
}
