/**
 * What the fault build (fault-build.ts) calls at the beginning of every function.
 *
 * TUNWALL_FAULT names a directory. The number in its file `armed` is the function that is to fail, once, in whichever thread
 * gets there first; that is written to the file `fired`. All threads share the word in which the number stands.
 */
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  getEnvironmentData,
  isMainThread,
  setEnvironmentData,
  threadId,
} from 'node:worker_threads';

const directory = process.env.TUNWALL_FAULT;
const key = 'tunwall-fault';
const word = isMainThread
  ? new Int32Array(new SharedArrayBuffer(4))
  : new Int32Array(getEnvironmentData(key));

if (isMainThread && directory !== undefined) {
  setEnvironmentData(key, word.buffer);
  let known = '0';
  const arm = () => {
    const text = readFileSync(join(directory, 'armed'), 'utf8');
    if (text !== known) Atomics.store(word, 0, Number(text));
    known = text;
  };
  arm();
  setInterval(arm, 20).unref();
}

export function $fault(number) {
  if (word[0] !== number) return;
  if (Atomics.compareExchange(word, 0, number, 0) !== number) return;
  writeFileSync(join(directory, 'armed'), '0');
  appendFileSync(join(directory, 'fired'), `${number} in thread ${threadId}\n`);
  throw new Error(`injected fault in function ${number}`);
}
