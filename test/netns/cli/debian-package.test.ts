/**
 * The Debian package, on a machine with systemd: installed, enabled, upgraded while connections run through it, removed and purged,
 * each by the commands that docs/install.md tells.
 */
import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { planHosts } from '../../../src/lab/lab-plan.ts';
import { Network } from '../../../src/lab/network.ts';
import { buildTopology } from '../../../src/lab/topology.ts';
import { blocksTagged } from '../../support/documents.ts';
import { DebianMachine, whyNoMachine, whyNoPackagedNode } from '../support/debian-machine.ts';
import { obstacle, repository, web } from '../support/firewall.ts';
import { runScript } from '../support/scripts.ts';
import type { RunningScript } from '../support/scripts.ts';

const dpkg = spawnSync('dpkg-deb', ['--version']).status === 0;
const noPackage = dpkg ? undefined : 'dpkg-deb is missing: this is no Debian';
if (noPackage !== undefined) console.log(`the Debian package is not tested: ${noPackage}`);
const noLintian = spawnSync('lintian', ['--version']).status === 0 ? undefined : 'it is missing';
if (noLintian !== undefined) console.log(`lintian is not run: ${noLintian}`);
const noMachine = obstacle ?? (await whyNoPackagedNode()) ?? (await whyNoMachine());
if (noMachine !== undefined) console.log(`the Debian package is not installed: ${noMachine}`);

const commands = (tag: string): string[] => blocksTagged('docs/install.md', `sh ${tag}`);

let place: string;
/** Two versions. */
let packages: readonly string[];

beforeAll(async () => {
  if (noPackage !== undefined) return;
  place = mkdtempSync(join(tmpdir(), 'twt-package-'));
  const run = promisify(execFile);
  const env = { ...process.env, TUNWALL_DEB_COMPRESSION: '1' };
  // The suite has built it.
  const [make] = commands('make');
  const made = await run('sh', ['-ec', `${make!} --no-build --output ${place}`], {
    env,
    cwd: repository,
  });
  const first = made.stdout.trim();
  const next = first.replace('-1_', '-2_');
  const again = `dpkg-deb -R "$1" "$1.d" && sed -i '/^Version/s/-1$/-2/' "$1.d/DEBIAN/control" && dpkg-deb -z1 -b "$1.d" "$2"`;
  await run('sh', ['-c', again, 'sh', first, next]);
  packages = [first, next];
});
afterAll(() => {
  if (noPackage === undefined) rmSync(place, { recursive: true });
});

describe.skipIf(noPackage !== undefined || noLintian !== undefined)('lintian', () => {
  it('finds nothing wrong', () => {
    const args = ['--fail-on', 'error,warning', '--allow-root', packages[0]!];
    const { status, stdout, stderr } = spawnSync('lintian', args, { encoding: 'utf8' });
    expect({ status, said: stdout + stderr }).toEqual({ status: 0, said: '' });
  });
});

describe.skipIf(noPackage !== undefined)('the package', () => {
  const list = (): string[] => {
    const text = execFileSync('dpkg-deb', ['--fsys-tarfile', packages[0]!], { maxBuffer: 1 << 28 });
    return execFileSync('tar', ['t'], { input: text, encoding: 'utf8' }).split('\n');
  };

  it('has a manual page for every verb, and completions', () => {
    const help = execFileSync(process.execPath, [join(repository, 'dist/main.js'), '--help'], {
      encoding: 'utf8',
    });
    const verbs = [...help.matchAll(/^ {2}([a-z]+)(?= .* {2}|$)/gm)].map(([, verb]) => verb!);
    const files = list();
    expect(verbs.length).toBeGreaterThan(15);
    const pages = verbs.filter((verb) => verb !== 'help').map((verb) => `tunwall-${verb}.1.gz`);
    expect(files).toEqual(
      expect.arrayContaining(
        ['tunwall.1.gz', ...pages].map((page) => `./usr/share/man/man1/${page}`),
      ),
    );
    expect(files).toContain('./usr/share/bash-completion/completions/tunwall');
    expect(files).toContain('./usr/share/zsh/vendor-completions/_tunwall');
  });
});

describe.skipIf(noPackage !== undefined || noMachine !== undefined)('on a machine', () => {
  let lab: Network;
  let machine: DebianMachine;
  let before: { files: string[]; accounts: string };
  let sessions: RunningScript;

  beforeAll(async () => {
    lab = Network.create('twt');
    await buildTopology(lab, planHosts({ client: '198.51.100.2/24', web: `${web}/24` }));
    machine = await DebianMachine.start(lab, 'gateway');
    before = { files: await machine.changed(), accounts: await accounts() };
  });
  afterAll(async () => {
    await lab.close();
    await DebianMachine.removeGroups(lab.tag);
  });

  const accounts = (): Promise<string> =>
    machine.must('sh', '-c', 'cat /etc/passwd /etc/group /etc/shadow /etc/gshadow /etc/sub?id');
  /** Commands as they stand in the document, where the packages lie. */
  const does = (block: string): Promise<string> =>
    machine.must('sh', '-ec', `cd /run/outside\n${block}`);
  /** What the firewall says, once it says this. Its API opens a moment after packets flow. */
  const statusWith = async (wanted: RegExp): Promise<Record<string, unknown>> => {
    for (let tries = 0; ; tries++) {
      const { stdout } = await machine.exec('tunwall', 'status', '--json');
      if (wanted.test(stdout)) return JSON.parse(stdout) as Record<string, unknown>;
      if (tries > 100) throw new Error(`the status has no ${String(wanted)}: ${stdout}`);
      await sleep(500);
    }
  };
  const rounds = (): number => Number(sessions.printed().at(-2)?.split(' ')[1] ?? 0);
  const untilRound = async (round: number): Promise<void> => {
    while (rounds() < round) {
      if (sessions.child.exitCode !== null) await sessions.result();
      await sleep(50);
    }
  };

  it('is installed, and enables nothing', async () => {
    for (const path of packages) await machine.put(path);
    expect(await does(commands('machine')[0]!)).toContain('systemctl enable --now');
    expect((await machine.exec('systemctl', 'is-enabled', 'tunwall')).stdout).toBe('disabled\n');
    expect(await machine.must('tunwall', 'check')).toContain('0 servers');
    const owner = await machine.must('stat', '-c', '%U %a', '/etc/tunwall', '/run/tunwall');
    expect(owner).toBe('tunwall 750\nroot 1775\n');
  });

  it('runs as soon as it is enabled, with what an operator has configured', async () => {
    await does(commands('machine')[1]!);
    await machine.must('tunwall', 'template', 'add-rule', 'web', 'inbound', 'TCP: 7000');
    const server = runScript({ lab }, 'web', 'sessions', 'serve', 7000);
    while (!server.printed().includes('ready')) await sleep(50);
    sessions = runScript({ lab }, 'client', 'sessions', 'keep', `${web}:7000`, 20, 100);
    await untilRound(1);
    const closed = ['curl', '-s', '--max-time', '1', `http://${web}:7001/`];
    expect((await lab.exec('client', closed)).code).toBe(28);
    // Within the unit's sandbox, too, it sees all of the gateway.
    await statusWith(/"state": "ok",\n\s*"problems": \[\],\n\s*"watch": "running"/);
  });

  it('is upgraded, and every connection goes on', async () => {
    const { startedAt } = await statusWith(/startedAt/);
    const parent = await machine.must('systemctl', 'show', '-P', 'MainPID', 'tunwall');
    await does(commands('upgrade')[0]!);
    const after = await statusWith(/survival/);
    expect(after['startedAt']).not.toBe(startedAt);
    expect(after).toMatchObject({ survival: { kept: true, cut: 0, refused: 0 } });
    expect((after['survival'] as { adopted: number }).adopted).toBeGreaterThanOrEqual(20);
    expect(await machine.must('systemctl', 'show', '-P', 'MainPID', 'tunwall')).toBe(parent);
    await untilRound(rounds() + 2);
    expect(await machine.must('tunwall', 'server', 'list')).toContain('web-1');
  });

  it('is removed: the gateway forwards as it did before, and the configuration stays', async () => {
    await does(commands('remove')[0]!);
    expect(await lab.ip('gateway', 'rule')).toMatch(/^0:.*\n32766:.*\n32767:.*\n$/);
    expect(await lab.ip('gateway', '-br', 'link')).not.toContain('fw0');
    expect(await lab.mustExec('gateway', ['nft', 'list', 'tables'])).toBe('');
    const units = await machine.exec('systemctl', 'list-unit-files', '--no-legend', 'tunwall*');
    expect(units.stdout).toBe('');
    expect(await machine.must('cat', '/etc/tunwall/servers.yaml')).toContain('name: web-1');
  });

  it('is purged, and nothing is left behind', async () => {
    await does(commands('purge')[0]!);
    const ofOthers =
      /^\/(?:var\/lib\/dpkg|var\/log\/(?:dpkg\.log|apt)|var\/(?:cache|lib)\/(?:apt|debconf|PackageKit)|(?:run|var)\/log\/journal|run\/systemd)(?:\/|$)/;
    const ofAccounts = /^\/etc\/(?:passwd|group|g?shadow|sub[ug]id)-?$/;
    const left = (await machine.changed()).filter(
      (path) => ![ofOthers, ofAccounts].some((pattern) => pattern.test(path)),
    );
    expect(left.filter((path) => !before.files.includes(path))).toEqual([]);
    expect(await accounts()).toBe(before.accounts);
  });
});
