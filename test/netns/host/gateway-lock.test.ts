/** `tunwall gateway` alone at work in its namespace, and the firewall's user, who can write to /run/tunwall, not in its way. */
import {
  chownSync,
  existsSync,
  lchownSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { program } from '../../../src/lab/firewall-process.ts';
import { GatewayNamespaces } from '../support/gateway-namespaces.ts';

const nobody = 65_534;

let net: GatewayNamespaces;
beforeEach(async () => {
  net = await GatewayNamespaces.create();
});
afterEach(async () => {
  await net.remove();
});

describe("the firewall's user", () => {
  const foreign: Record<string, (path: string) => void> = {
    'a file': (path) => writeFileSync(path, '{}'),
    'a directory': (path) => mkdirSync(join(path, 'full'), { recursive: true }),
    'a link': (path) => symlinkSync('/etc/hostname', path),
  };

  test.each(Object.entries(foreign))('is not in the way with %s for a record', (_what, make) => {
    const before = net.fingerprint();
    const record = net.recordFile();
    make(record);
    lchownSync(record, nobody, nobody);
    net.up();
    expect(net.gateway('status', '--json')).toMatchObject({ code: 0 });
    net.down();
    expect(net.fingerprint()).toEqual(before);
    expect(existsSync(record)).toBe(false);
    net.host('sh', '-c', `rm -r ${record}.foreign-*`);
  });

  test('is not in the way with a lock', () => {
    const lock = `${net.recordFile()}.lock`;
    // As the lock was once: the pid of a process that lives, and the time of its start.
    const stat = readFileSync('/proc/self/stat', 'latin1').split(' ');
    writeFileSync(lock, `${process.pid} ${stat[21]!}`);
    chownSync(lock, nobody, nobody);
    net.up();
    net.down();
    rmSync(lock);
  });
});

test('another command is refused meanwhile, also one of another pid namespace', () => {
  const other = `unshare --pid --fork --mount-proc ${process.execPath} ${program} gateway down`;
  const script = [
    '#!/bin/bash',
    `if mkdir $TMPDIR/once 2>/dev/null; then ${other} 2>$TMPDIR/other; echo $? >>$TMPDIR/other; fi`,
    'exec /usr/sbin/ip "$@"',
  ].join('\\n');
  const fake = `d=$(mktemp -d); printf '${script}' >$d/ip; chmod +x $d/ip; export PATH=$d:$PATH`;
  expect(net.gatewayAfter(fake, 'up')).toMatchObject({ code: 0 });
  const output = readFileSync(join(net.scratch, 'other'), 'utf8');
  expect(output).toMatch(/another 'tunwall gateway' command is at work .*\n.*\n1\n$/);
  expect(net.gateway('status', '--json')).toMatchObject({ code: 0 });
  net.down();
});
