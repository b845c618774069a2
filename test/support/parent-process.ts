/**
 * `tunwall run` as a parent of another child than the firewall: `parent-process.ts CHILD PATIENCE`. Ends with the parent's exit code; what
 * it leaves behind that would keep it from ending is in the file `left` (fake-child.js says where).
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runParent } from '../../src/parent/parent.ts';
import type { Patience } from '../../src/parent/parent.ts';

const [child, patience] = process.argv.slice(2) as [string, string];
process.exitCode = await runParent(
  [process.execPath, child],
  JSON.parse(patience) as Partial<Patience>,
);
const timers = process.getActiveResourcesInfo().filter((name) => name === 'Timeout');
writeFileSync(join(process.env['FAKE_CHILD']!, 'left'), timers.join());
