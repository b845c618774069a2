/**
 * Root in a directory that belongs to the firewall's user, who can put anything there: root's command line reads and
 * writes nothing that this user could not.
 */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { obstacle, program } from '../support/firewall.ts';

const nobody = 65_534;
const web = 'inbound: [{ protocol: tcp, ports: [80] }]\n';

let directory: string;
let config: string;
let secrets: string;

describe.skipIf(obstacle !== undefined)("root in another user's directory", () => {
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'twt-root-'));
    chmodSync(directory, 0o755);
    config = join(directory, 'config');
    secrets = join(directory, 'secrets');
    mkdirSync(join(config, 'templates'), { recursive: true });
    writeFileSync(join(config, 'templates/web.yaml'), web);
    writeFileSync(join(config, 'servers.yaml'), 'servers: []\n');
    mkdirSync(secrets, { mode: 0o700 });
    writeFileSync(join(secrets, 'file'), web, { mode: 0o600 });
    for (const name of ['', 'templates', 'templates/web.yaml', 'servers.yaml']) {
      chownSync(join(config, name), nobody, 65_534);
    }
  });
  afterEach(() => {
    rmSync(directory, { recursive: true });
  });

  function tunwall(...args: string[]): { code: number; out: string } {
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [program, ...args, '--config', config],
      { encoding: 'utf8', env: { ...process.env, NO_COLOR: '1' }, timeout: 30_000 },
    );
    return { code: status ?? -1, out: stdout + stderr };
  }

  /** As the firewall's user would. */
  function plant(make: (state: string) => void): void {
    const state = join(config, '.state');
    if (!existsSync(state)) {
      mkdirSync(state, { mode: 0o750 });
      chownSync(state, nobody, nobody);
    }
    make(state);
  }

  const untouched = (): void => {
    expect(readdirSync(secrets)).toEqual(['file']);
    expect(readFileSync(join(secrets, 'file'), 'utf8')).toBe(web);
    const { uid, mode } = statSync(join(secrets, 'file'));
    expect([uid, mode & 0o7777]).toEqual([0, 0o600]);
    expect([statSync(secrets).uid, statSync(secrets).mode & 0o7777]).toEqual([0, 0o700]);
  };

  it('makes what the owner would make', () => {
    expect(tunwall('template', 'clone', 'web', 'copy')).toMatchObject({ code: 0 });
    const made = ['templates/copy.yaml', '.state', '.state/audit.log', '.state/history/copy'];
    for (const name of made) {
      const { uid, gid } = lstatSync(join(config, name));
      expect([name, uid, gid]).toEqual([name, nobody, nobody]);
    }
    expect(tunwall('audit').out).toContain('template.clone');
  });

  it.each<[string, (state: string) => void]>([
    ['the audit log', (state) => symlinkSync(join(secrets, 'file'), join(state, 'audit.log'))],
    ['a new audit log', (state) => symlinkSync(join(secrets, 'new'), join(state, 'audit.log'))],
    [
      'the audit log, by a second name',
      (state) => linkSync(join(secrets, 'file'), join(state, 'audit.log')),
    ],
    [
      'the state directory',
      (state) => {
        rmSync(state, { recursive: true });
        symlinkSync(secrets, state);
      },
    ],
  ])('is not led out by a link: %s', (_what, make) => {
    plant(make);
    const { code, out } = tunwall('template', 'clone', 'web', 'copy');
    expect([code, existsSync(join(config, 'templates/copy.yaml'))]).toEqual([1, false]);
    expect(out).toMatch(/cannot be (written|made)/);
    rmSync(join(config, '.state'), { recursive: true });
    untouched();
  });

  it.each<[string, (state: string) => void]>([
    ['the history', (state) => symlinkSync(secrets, join(state, 'history'))],
    [
      'the history of a template',
      (state) => {
        mkdirSync(join(state, 'history'));
        chownSync(join(state, 'history'), nobody, nobody);
        symlinkSync(secrets, join(state, 'history/copy'));
      },
    ],
    [
      'the note of a change',
      (state) => symlinkSync(join(secrets, 'file'), join(state, 'pending.json')),
    ],
  ])('is not led out by a link: %s', (_what, make) => {
    plant(make);
    tunwall('template', 'clone', 'web', 'copy');
    untouched();
  });

  it('does not read what the owner cannot read', () => {
    symlinkSync(join(secrets, 'file'), join(config, 'templates/stolen.yaml'));
    for (const args of [
      ['check'],
      ['template', 'show', 'stolen'],
      ['export', 'nft'],
      ['gateway', 'status'],
    ]) {
      const { out } = tunwall(...args);
      expect(out, args.join(' ')).not.toMatch(/stolen.*80/);
      if (['check', 'export'].includes(args[0]!)) expect(out).toContain('permission denied');
    }
    rmSync(join(config, 'templates/stolen.yaml'));
    symlinkSync(join(secrets, 'file'), join(config, 'users.yaml'));
    expect(tunwall('user', 'create', 'bob', '--role', 'member', '--no-password').code).not.toBe(0);
    untouched();
  });

  it('imports as the owner', () => {
    const rules = join(secrets, 'rules');
    writeFileSync(
      rules,
      '*filter\n:INPUT DROP [0:0]\n-A INPUT -p tcp --dport 22 -j ACCEPT\nCOMMIT\n',
    );
    expect(tunwall('import', rules, '--name', 'ssh')).toMatchObject({ code: 0 });
    expect(lstatSync(join(config, 'templates/ssh.yaml')).uid).toBe(nobody);
    rmSync(rules);
    rmSync(join(config, 'templates'), { recursive: true });
    // Not even if the link is root's own.
    symlinkSync(secrets, join(config, 'templates'));
    writeFileSync(
      join(directory, 'rules'),
      '*filter\n:INPUT DROP [0:0]\n-A INPUT -p tcp --dport 22 -j ACCEPT\nCOMMIT\n',
    );
    expect(tunwall('import', join(directory, 'rules'), '--name', 'ssh').code).toBe(1);
    untouched();
  });

  it('does not wait for a FIFO, nor read a device', () => {
    spawnSync('mkfifo', [join(config, 'templates/fifo.yaml')]);
    symlinkSync('/dev/zero', join(config, 'templates/zero.yaml'));
    const { code, out } = tunwall('check');
    expect(code).toBe(1);
    expect(out).toContain('fifo.yaml: cannot be read: it is a FIFO, expected a regular file');
    expect(out).toContain('zero.yaml: cannot be read: it is a device, expected a regular file');
  });
});
