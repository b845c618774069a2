/**
 * Loaded into the firewall with `--import`: its wall clock goes ahead by as many milliseconds as the file `clock` beside the
 * configuration directory says, as after somebody has set the machine's.
 */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const at = process.argv.indexOf('--config');
const file = join(dirname(process.argv[at + 1] ?? '.'), 'clock');
const realNow = Date.now.bind(Date);
let aheadMs = 0;
let readMs = -Infinity;

Date.now = () => {
  const nowMs = performance.now();
  if (nowMs - readMs > 50) {
    readMs = nowMs;
    try {
      aheadMs = Number(readFileSync(file, 'utf8'));
    } catch {
      aheadMs = 0;
    }
  }
  return realNow() + aheadMs;
};
