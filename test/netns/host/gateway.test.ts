/**
 * `tunwall gateway` in a real network namespace with real traffic. The firewall process is not running
 * here: what reaches the TUN is dropped, so whatever reaches the server has leaked.
 */
import {
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { GatewayNamespaces, type Result } from '../support/gateway-namespaces.ts';

interface Status {
  readonly ok: boolean;
  readonly items: readonly {
    readonly item: string;
    readonly ok: boolean;
    readonly found: string;
  }[];
}

let net: GatewayNamespaces;

beforeEach(async () => {
  net = await GatewayNamespaces.create();
});

afterEach(async () => {
  await net.remove();
});

function status(): Status {
  const { code, stdout } = net.gateway('status', '--json');
  const parsed = JSON.parse(stdout) as Status;
  expect(code).toBe(parsed.ok ? 0 : 1);
  return parsed;
}

function wrongItems(): string[] {
  return status()
    .items.filter(({ ok }) => !ok)
    .map(({ item }) => item);
}

/** One line of what went wrong, and one of what to do; no stack. */
function expectUserError({ code, stderr }: Result, message: RegExp): void {
  expect(stderr).toMatch(message);
  expect(code).toBe(1);
  expect(stderr.trim().split('\n').length).toBeLessThanOrEqual(2);
  expect(stderr).not.toMatch(/unexpected error|\n\s+at /);
}

const states: Record<string, () => void> = {
  'a fresh namespace': () => undefined,
  'a router with its own ideas': () => {
    net.sysctl('ipv4/ip_forward', '1');
    net.sysctl('ipv4/conf/all/accept_redirects', '1');
    net.sysctl('ipv4/conf/all/rp_filter', '2');
    net.sysctl('ipv4/conf/client/rp_filter', '2');
    net.sysctl('ipv4/conf/server/send_redirects', '0');
    net.sysctl('ipv4/conf/default/forwarding', '0');
    net.sysctl('ipv6/conf/all/forwarding', '1');
    net.sysctl('ipv6/conf/client/forwarding', '0');
  },
  'one forwarding interface on a host': () => {
    net.sysctl('ipv4/conf/client/forwarding', '1');
    net.sysctl('ipv4/conf/default/rp_filter', '2');
    net.sysctl('ipv6/conf/server/forwarding', '1');
  },
};

describe('up and down', () => {
  test.each(Object.entries(states))('go there and back from %s', (_, prepare) => {
    prepare();
    const before = net.fingerprint();

    expect(net.up('--user', 'nobody').stdout).toContain('rule 20: from all lookup 100');
    expect(status()).toMatchObject({ ok: true, recorded: true, device: 'fw0', attachedQueues: 0 });
    const up = net.fingerprint();
    expect(up).not.toEqual(before);
    expect(net.must('gateway', 'ip', 'tuntap', 'show')).toContain(
      'fw0: tun multi_queue vnet_hdr persist user 65534',
    );

    expect(net.up().stdout).toContain('nothing to change');
    expect(net.fingerprint()).toEqual(up);

    net.down();
    expect(net.fingerprint()).toEqual(before);
    expect(existsSync(net.recordFile())).toBe(false);
    expect(net.down().stdout).toContain('nothing to change');
    expect(net.fingerprint()).toEqual(before);
  });

  test('leave no trace on interfaces that come and go in between', () => {
    net.must('gateway', 'ip', 'link', 'add', 'goes0', 'type', 'veth');
    net.up();
    net.must('gateway', 'ip', 'link', 'delete', 'goes0');
    net.must('gateway', 'ip', 'link', 'add', 'comes0', 'type', 'veth');
    expect(net.sysctl('ipv4/conf/comes0/rp_filter')).toBe('1');
    expect(status().ok).toBe(true);

    expect(net.down().stderr).toContain('interface goes0 is gone');
    net.must('gateway', 'ip', 'link', 'add', 'later0', 'type', 'veth');
    for (const key of ['rp_filter', 'send_redirects', 'forwarding']) {
      const [came, later] = ['comes0', 'later0'].map((name) =>
        net.sysctl(`ipv4/conf/${name}/${key}`),
      );
      expect([key, came]).toEqual([key, later]);
    }
  });

  test('keep a device that was there before, and set it back', () => {
    const args = ['mode', 'tun', 'user', '0', 'multi_queue', 'vnet_hdr'];
    net.must('gateway', 'ip', 'tuntap', 'add', 'dev', 'fw0', ...args);
    const before = net.fingerprint();
    net.up('--txqueuelen', '777');
    expect(net.must('gateway', 'ip', 'link', 'show', 'fw0')).toContain('qlen 777');
    net.down();
    // Once up, a link has a queueing discipline, and it keeps it when it is down.
    const comparable = (lines: string[]): string[] => lines.map((l) => l.replace(/qdisc \w+/, ''));
    expect(comparable(net.fingerprint())).toEqual(comparable(before));
  });

  test('take another device name, and remember it', () => {
    net.up('--device', 'wall.7');
    expect(status()).toMatchObject({ ok: true, device: 'wall.7' });
    expectUserError(net.gateway('up', '--device', 'fw0'), /is up with device wall\.7, not fw0/);
    expectUserError(net.gateway('down', '--device', 'fw0'), /is up with device wall\.7, not fw0/);
    net.down();
    expect(net.must('gateway', 'ip', 'link')).not.toContain('wall.7');
  });

  test('take the device from gateway.yaml with --config', () => {
    const directory = mkdtempSync(join(net.scratch, 'd-'));
    try {
      writeFileSync(join(directory, 'gateway.yaml'), 'device: fw3\n');
      net.up('--config', directory);
      expect(status()).toMatchObject({ ok: true, device: 'fw3' });
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  test('do not get in each other’s way', () => {
    const line =
      'for i in 1 2 3 4; do "$@" up >/dev/null 2>"$0.$i" & done; wait; cat "$0".?; rm -f "$0".?';
    const scratch = join(net.scratch, 'said');
    const [node, main] = [process.execPath, join(import.meta.dirname, '../../../dist/main.js')];
    const said = net.must('gateway', 'bash', '-c', line, scratch, node, main, 'gateway');
    expect(said.replace(/^.*another 'tunwall gateway' command.*\n.*wait until.*\n/gm, '')).toBe('');
    expect(status().ok).toBe(true);
  });
});

describe('status names what is broken, and up repairs it', () => {
  const broken: [item: string, ...argv: string[]][] = [
    ['device fw0', 'ip', 'link', 'delete', 'fw0'],
    ['fw0 link', 'ip', 'link', 'set', 'fw0', 'down'],
    ['fw0 txqueuelen', 'ip', 'link', 'set', 'fw0', 'txqueuelen', '500'],
    ['fw0 qdisc', 'tc', 'qdisc', 'delete', 'dev', 'fw0', 'root'],
    ['fw0 mtu', 'ip', 'link', 'set', 'fw0', 'mtu', '1500'],
    ['fw0 group', 'ip', 'link', 'set', 'fw0', 'group', 'default'],
    ['client group', 'ip', 'link', 'set', 'client', 'group', '11600116'],
    ['table 100', 'ip', 'route', 'delete', 'default', 'dev', 'fw0', 'table', '100'],
    ['table 100', 'ip', 'route', 'delete', 'unreachable', 'default', 'table', '100'],
    ['table 100', 'ip', 'route', 'flush', 'table', '100'],
    ...['4', '5', '10', '20', '21'].map((priority): [string, ...string[]] => [
      `rule ${priority}`,
      'ip',
      'rule',
      'delete',
      'priority',
      priority,
    ]),
    ...[
      'delete table inet tunwall-guard',
      'flush ruleset',
      'flush chain inet tunwall-guard forward',
      'insert rule inet tunwall-guard forward accept',
      'delete chain inet tunwall-guard prerouting',
      'add table inet tunwall-guard { flags dormant; }',
      'add chain inet tunwall-guard forward { policy drop; }',
    ].map((command): [string, ...string[]] => ['nft table inet tunwall-guard', 'nft', command]),
    ['net.ipv4.ip_forward', 'sysctl', '-w', 'net.ipv4.ip_forward=0'],
    ['net.ipv4.conf.client.rp_filter', 'sysctl', '-w', 'net.ipv4.conf.client.rp_filter=0'],
    ['net.ipv4.conf.server.rp_filter', 'sysctl', '-w', 'net.ipv4.conf.server.rp_filter=2'],
    ['net.ipv4.conf.all.rp_filter', 'sysctl', '-w', 'net.ipv4.conf.all.rp_filter=2'],
    ['net.ipv4.conf.default.rp_filter', 'sysctl', '-w', 'net.ipv4.conf.default.rp_filter=0'],
    ['net.ipv4.conf.fw0.rp_filter', 'sysctl', '-w', 'net.ipv4.conf.fw0.rp_filter=1'],
    ['net.ipv4.ip_early_demux', 'sysctl', '-w', 'net.ipv4.ip_early_demux=1'],
    ['net.ipv4.conf.fw0.accept_local', 'sysctl', '-w', 'net.ipv4.conf.fw0.accept_local=0'],
    ['net.ipv4.conf.fw0.disable_xfrm', 'sysctl', '-w', 'net.ipv4.conf.fw0.disable_xfrm=0'],
    ['net.ipv4.conf.fw0.disable_policy', 'sysctl', '-w', 'net.ipv4.conf.fw0.disable_policy=0'],
    ['net.ipv4.conf.fw0.forwarding', 'sysctl', '-w', 'net.ipv4.conf.fw0.forwarding=0'],
    [
      'net.ipv4.conf.client.send_redirects',
      'sysctl',
      '-w',
      'net.ipv4.conf.client.send_redirects=1',
    ],
    ['net.ipv6.conf.all.forwarding', 'sysctl', '-w', 'net.ipv6.conf.all.forwarding=1'],
    ['net.ipv6.conf.fw0.disable_ipv6', 'sysctl', '-w', 'net.ipv6.conf.fw0.disable_ipv6=0'],
  ];

  // A hundred commands, one after the other.
  test(
    'one piece at a time, and down still goes back to the first record',
    { timeout: 300_000 },
    () => {
      const before = net.fingerprint();
      net.up('--user', 'nobody');
      const up = net.fingerprint();
      for (const [item, ...argv] of broken) {
        net.must('gateway', ...argv);
        expect(wrongItems()).toContain(item);
        net.up();
        expect([argv, wrongItems()]).toEqual([argv, []]);
      }
      // Deleted and made again, the device has another index; all else is as it was.
      const comparable = (lines: string[]): string[] =>
        lines.filter((line) => !/^\d+: fw0/.test(line)).sort();
      expect(comparable(net.fingerprint())).toEqual(comparable(up));
      net.down();
      expect(net.fingerprint()).toEqual(before);
    },
  );

  test('everything at once', () => {
    const before = net.fingerprint();
    net.up();
    net.must('gateway', 'ip', 'link', 'delete', 'fw0');
    for (const priority of ['4', '5', '10', '20', '21']) {
      net.must('gateway', 'ip', 'rule', 'delete', 'priority', priority);
    }
    net.must('gateway', 'ip', 'route', 'flush', 'table', '100');
    net.up();
    expect(status().ok).toBe(true);
    net.down();
    expect(net.fingerprint()).toEqual(before);
  });
});

describe('up refuses, and changes nothing', () => {
  const tun = ['tuntap', 'add', 'dev', 'fw0', 'mode'];
  const obstacles: [why: string, message: RegExp, ...argv: string[]][] = [
    ['another rule 20', /20: from all lookup 7/, 'rule', 'add', 'priority', '20', 'lookup', '7'],
    [
      'a rule that leads around the firewall',
      /7: from 192\.0\.2\.1 lookup main/,
      ...['rule', 'add', 'priority', '7', 'from', '192.0.2.1', 'lookup', 'main'],
    ],
    [
      'a rule that only resembles ours',
      /20: from all fwmark "0x1" lookup 100/,
      ...['rule', 'add', 'priority', '20', 'fwmark', '1', 'lookup', '100'],
    ],
    [
      'somebody’s table 100',
      /table 100, other routes: found 203\.0\.113\.0\/24 dev server/,
      ...['route', 'add', '203.0.113.0/24', 'dev', 'server', 'table', '100'],
    ],
    ['a device of another kind', /not a TUN device/, 'link', 'add', 'fw0', 'type', 'veth'],
    ['a TAP', /persistent TAP/, ...tun, 'tap', 'user', '0', 'multi_queue', 'vnet_hdr'],
    ['a single-queue TUN', /without multi_queue/, ...tun, 'tun', 'user', '0', 'vnet_hdr'],
    ['a TUN without vnet_hdr', /without vnet_hdr/, ...tun, 'tun', 'user', '0', 'multi_queue'],
    ['another owner', /owner uid 65534/, ...tun, 'tun', 'user', '65534', 'multi_queue', 'vnet_hdr'],
    ['a TUN for everybody', /no owner/, ...tun, 'tun', 'multi_queue', 'vnet_hdr'],
  ];

  test.each(obstacles)('%s', (_, message, ...argv) => {
    net.must('gateway', 'ip', ...argv);
    const before = net.fingerprint();
    const refused = net.gateway('up', '--user', 'root');
    expectUserError(refused, message);
    expect(refused.stderr).toContain('The guard is up, nothing else was changed');
    expect(net.fingerprint('but for the guard')).toEqual(before);
    expect(existsSync(net.recordFile())).toBe(false);
    expect(status()).toMatchObject({ ok: false, closed: true });
    net.down();
    expect(net.fingerprint()).toEqual(before);
  });

  test('without the privilege; status needs none', () => {
    net.up();
    const nobody = ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups'];
    // The clone may lie below a directory that nobody may enter.
    const home = mkdtempSync(join(net.scratch, 'd-'));
    try {
      const root = join(import.meta.dirname, '../../..');
      const line = `mount --bind "${root}" "${home}"; shift; exec "$@"`;
      const asNobody = (verb: string): Result =>
        net.run(
          'gateway',
          ...['bash', '-c', line, '-', '-', ...nobody],
          process.execPath,
          `${home}/dist/main.js`,
          'gateway',
          verb,
        );
      expectUserError(asNobody('up'), /'tunwall gateway up' needs root/);
      expectUserError(asNobody('down'), /'tunwall gateway down' needs root/);
      expect(asNobody('status')).toMatchObject({ code: 0 });
    } finally {
      rmSync(home, { recursive: true });
    }
  });

  test.each([
    ['an unknown user', /no user 'nobody-at-all'/, '', ['--user', 'nobody-at-all']],
    ['a name that cannot be a device', /'all' is not a usable device/, '', ['--device', 'all']],
    ['no /dev/net/tun', /\/dev\/net\/tun is missing/, 'mount -t tmpfs none /dev/net', []],
    [
      'no ip command',
      /'ip' is not installed/,
      'mount -t tmpfs none /usr/sbin; for f in /bin/ip /sbin/ip; do [ ! -e $f ] || mount --bind /dev/null $f; done; export PATH=/nonexistent',
      [],
    ],
  ])('%s', (_, message, preparation, args) => {
    const before = net.fingerprint();
    const result = net.gatewayAfter(preparation === '' ? 'true' : preparation, 'up', ...args);
    expectUserError(result, message);
    expect(net.fingerprint('but for the guard')).toEqual(before);
  });

  test('a record that others could have written', () => {
    net.up();
    const file = net.recordFile();
    chownSync(file, 65_534, 65_534);
    // It counts for nothing: as if there were none, down removes what is ours, and stops forwarding.
    expect(net.down().stderr).toContain('there was no record');
    expect(net.sysctl('ipv4/ip_forward')).toBe('0');
    net.up();
    rmSync(file, { recursive: true });
    symlinkSync('/etc/hostname', file);
    expectUserError(net.gateway('down'), /cannot be used: ELOOP/);
    expect(net.sysctl('ipv4/ip_forward')).toBe('1');
  });
});

test('up warns if its user cannot open /dev/net/tun, and only then', () => {
  const node = (mode: string): string =>
    `d=$(mktemp -d); mknod -m ${mode} $d/tun c 10 200; mount --bind $d/tun /dev/net/tun; rm -r $d`;
  const closed = net.gatewayAfter(node('0600'), 'up', '--user', 'nobody');
  expect(closed).toMatchObject({ code: 0 });
  expect(closed.stderr).toContain('user 65534 cannot open /dev/net/tun (mode 0600)');
  expect(net.gatewayAfter(node('0666'), 'up', '--user', 'nobody')).toMatchObject({
    code: 0,
    stderr: '',
  });
});

describe('when something fails in the middle', () => {
  /** An `ip` that does something else instead of its nth change. */
  function sabotage(nth: number, action: string): string {
    const script = [
      '#!/bin/bash',
      'case " $* " in *" show "* | *" getdefault "*) exec /usr/sbin/ip "$@";; esac',
      'echo >>"$COUNT"',
      `if [ $(wc -l <"$COUNT") = ${String(nth)} ]; then ${action}; fi`,
      'exec /usr/sbin/ip "$@"',
    ].join('\\n');
    return `d=$(mktemp -d); export COUNT=$d/count PATH=$d:$PATH; printf '${script}' >$d/ip; chmod +x $d/ip`;
  }

  // tuntap add, two of xfrm policy, txqueuelen, mtu, up, two routes, five rules.
  const changes = Array.from({ length: 13 }, (_, index) => index + 1);

  test.each(changes)('change %i of up fails: it takes back what it did', (nth) => {
    states['one forwarding interface on a host']?.();
    const before = net.fingerprint();
    const result = net.gatewayAfter(sabotage(nth, 'echo no luck >&2; exit 2'), 'up');
    expectUserError(result, /failed: no luck\. The guard is up, the rest was taken back/);
    expect(net.fingerprint('but for the guard')).toEqual(before);
    expect(net.isGuarded()).toBe(true);
    expect(existsSync(net.recordFile())).toBe(false);
  });

  test('a sysctl is read-only: up takes back what it did', () => {
    const before = net.fingerprint();
    const file = '/proc/sys/net/ipv4/ip_forward';
    const lock = `mount --bind ${file} ${file}; mount -o remount,bind,ro ${file}`;
    expectUserError(net.gatewayAfter(lock, 'up'), /cannot set net\.ipv4\.ip_forward to 1: EROFS/);
    expect(net.fingerprint('but for the guard')).toEqual(before);
  });

  test.each(changes)('up is killed at change %i: down goes back, up goes on', (nth) => {
    const before = net.fingerprint();
    const kill = sabotage(nth, 'kill -9 $PPID; exit 1');
    expect(net.gatewayAfter(kill, 'up').code).not.toBe(0);
    // Whatever there is, it forwards nothing yet.
    expect(net.sysctl('ipv4/ip_forward')).toBe('0');
    net.down();
    expect(net.fingerprint()).toEqual(before);

    expect(net.gatewayAfter(kill, 'up').code).not.toBe(0);
    net.up();
    expect(status().ok).toBe(true);
    net.down();
    expect(net.fingerprint()).toEqual(before);
  });

  // Five rules, two routes, two of xfrm policy, the device.
  test.each([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])('down is killed at change %i: down goes on', (nth) => {
    const before = net.fingerprint();
    net.up();
    expect(net.gatewayAfter(sabotage(nth, 'kill -9 $PPID; exit 1'), 'down').code).not.toBe(0);
    expect(net.sysctl('ipv4/ip_forward')).toBe('0');
    net.down();
    expect(net.fingerprint()).toEqual(before);
  });
});

describe('the record', () => {
  test('of an earlier namespace with this inode number is not believed', async () => {
    net.up();
    const record = net.must('gateway', 'cat', net.recordFile());
    await net.remove();
    net = await GatewayNamespaces.create();
    const before = net.fingerprint();
    const forged = record.replace('"ipv4/ip_forward": "0"', '"ipv4/ip_forward": "1"');
    expect(forged).not.toBe(record);
    writeFileSync(net.recordFile(), forged);
    expect(status()).toMatchObject({ ok: false, recorded: false });
    net.up();
    net.down();
    expect(net.fingerprint()).toEqual(before);
  });

  test('is missing: up refuses, down removes what is ours and stops forwarding', () => {
    net.up();
    rmSync(net.recordFile());
    expect(status()).toMatchObject({ ok: false, recorded: false });
    expectUserError(net.gateway('up'), /its record .* is gone/);
    const { stderr } = net.down();
    expect(stderr).toContain('no record');
    expect(net.sysctl('ipv4/ip_forward')).toBe('0');
    expect(net.must('gateway', 'ip', 'rule')).not.toMatch(/fw0|lookup 100/);
    expect(net.must('gateway', 'ip', 'link')).not.toContain('fw0');
  });
});

test('what namespaces that are gone have left is pruned; what is of living ones stays', () => {
  net.up();
  const here = /\d+/.exec(readlinkSync('/proc/self/ns/net'))![0];
  // Inodes of namespaces are larger. Another run of this test has files of its own.
  const dead = String(process.pid);
  const device = `d${dead}`;
  const of = (inode: string): string[] => [
    ...[`gateway-${inode}-${device}.json`, `${inode}-${device}.sock`, `flows-${device}-${inode}`],
    ...[`hits-${device}-${inode}.0`, `hits-${device}-${inode}.1`],
    ...[`charts-${device}-${inode}`, `flows-${device}-${inode}.next`],
    ...[`gateway-${inode}-${device}.json.lock`, `gateway-${inode}-${device}.json.foreign-01ab`],
  ];
  const paths = (inode: string): string[] => of(inode).map((name) => join('/run/tunwall', name));
  const gone = [...paths(dead), `/run/tunwall-watch-${dead}.lock`];
  const living = paths(here);
  const foreign = `/run/tunwall/gateway-${dead}.json.foreign-02cd`;
  mkdirSync(foreign);
  for (const path of [...gone, ...living]) writeFileSync(path, 'x');
  try {
    net.up();
    const there = [...gone, ...living, net.recordFile(), foreign].filter((path) =>
      existsSync(path),
    );
    expect(there).toEqual([...living, net.recordFile(), foreign]);
  } finally {
    for (const path of [...living, foreign]) rmSync(path, { recursive: true });
  }
});
