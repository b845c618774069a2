/** When a program of ours is ready. Not part of host.ts: its types are public, and name none of Node's. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';

/** Until it says that it is ready; or, if it ends instead, why. Its output is read no more. */
export async function untilReady({ stdout, stderr }: ChildProcess): Promise<string | undefined> {
  let said = '';
  stderr!.on('data', (data: Buffer) => (said += data.toString()));
  const ready = await Promise.race([
    once(stdout!, 'data').then(() => true),
    once(stderr!, 'close').then(() => false),
  ]);
  for (const stream of [stdout!, stderr!]) (stream as { unref?(): void }).unref?.();
  return ready ? undefined : (/Error: (.*)/.exec(said)?.[1] ?? said);
}
