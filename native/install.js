/**
 * What npm runs when it installs the package: it makes sure that there is an addon, the one that was built for this system before
 * or one that is built here. Where neither is possible it says so in one line: all that needs no addon works.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';

const here = import.meta.dirname;
const prebuilt = `${here}/prebuilt/${process.platform}-${process.arch}.node`;

const loads = (path) => {
  try {
    createRequire(import.meta.url)(path);
    return true;
  } catch {
    return false;
  }
};

const notice = (why) =>
  console.log(`tunwall: ${why}: tunwall/testing and tunwall test work, the firewall does not run`);

if (process.platform !== 'linux') {
  notice(`the firewall needs Linux, this is ${process.platform}`);
} else if (!existsSync(prebuilt) || !loads(prebuilt)) {
  const built = spawnSync('make', ['-s', '-C', here], { encoding: 'utf8' });
  if (built.status !== 0) {
    const [first = ''] = (built.error?.message ?? built.stderr).trim().split('\n');
    notice(
      `its addon could not be built (needs make, a C compiler and node-api-headers; ${first})`,
    );
  }
}
