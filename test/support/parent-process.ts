/**
 * `tunwall run` as a parent of another child than the firewall: `parent-process.ts CHILD`. Ends with the parent's exit code; what
 * it leaves behind that would keep it from ending is in the file `left` (fake-child.js says where).
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runParent } from '../../src/parent/parent.ts';

process.exitCode = await runParent([process.execPath, ...process.argv.slice(2)]);
const timers = process.getActiveResourcesInfo().filter((name) => name === 'Timeout');
writeFileSync(join(process.env['FAKE_CHILD']!, 'left'), timers.join());
