/** A configuration directory on a real disk: what is read, what is overlooked, and what is refused. */
import { chmod, mkdir, mkdtemp, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { execFileSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { formatProblem } from '../../../../src/policy/problem.ts';
import { defaultGatewayConfig } from '../../../../src/policy/validate-gateway.ts';
import {
  ConfigReader,
  readConfigDirectory,
} from '../../../../src/control/store/files/config-directory.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'twt-config-'));
  await mkdir(join(directory, 'templates'));
});
afterEach(async () => {
  await rm(directory, { recursive: true });
});

async function write(files: Record<string, string | Uint8Array>): Promise<void> {
  for (const [name, text] of Object.entries(files)) await writeFile(join(directory, name), text);
}

/** The problems, with the directory's own name left out. */
async function problems(): Promise<string[]> {
  const { problems: found } = await readConfigDirectory(directory);
  return found.map((problem) => formatProblem(problem).replaceAll(`${directory}/`, ''));
}

const noServers =
  'servers.yaml: warning: does not exist: no server is protected, and everything forwarded is dropped';
const good = {
  'servers.yaml': 'servers: [{ name: a, addresses: [10.0.0.1], templates: [web] }]',
  'templates/web.yaml': 'inbound: [{ protocol: tcp, ports: [80] }]',
};

describe('a configuration directory', () => {
  it('gives templates, servers and settings', async () => {
    await write({ ...good, 'gateway.yaml': 'device: tun3' });
    const config = await readConfigDirectory(directory);
    expect(config.problems).toEqual([]);
    expect(config.gateway).toEqual({ ...defaultGatewayConfig, device: 'tun3' });
    expect(config.templates.map(({ name }) => name)).toEqual(['web']);
    expect(config.servers.map(({ name, templates }) => [name, templates])).toEqual([
      ['a', ['web']],
    ]);
  });

  it('may be empty: then nothing is forwarded, and it says so', async () => {
    expect(await problems()).toEqual([noServers]);
    await rm(join(directory, 'templates'), { recursive: true });
    expect(await problems()).toEqual([noServers]);
  });

  it('reports the errors of all files at once', async () => {
    await write({
      'gateway.yaml': 'queues: 0',
      'servers.yaml': 'servers: [{ name: a, addresses: [10.0.0.1], templates: [wbe] }]',
      'templates/web.yaml': 'inbound: [{ protocol: igmp }]',
      'templates/ssh.yaml': 'inbound: [',
    });
    expect((await problems()).map((line) => line.split(' ')[0])).toEqual([
      'gateway.yaml:1:9:',
      'templates/ssh.yaml:1:11:',
      'templates/web.yaml:1:23:',
      'servers.yaml:1:57:',
    ]);
  });

  it('a template with an error is still known by name', async () => {
    await write({ ...good, 'templates/web.yaml': 'inbound: [' });
    expect(await problems()).toHaveLength(1);
  });

  it('overlooks what editors leave, and nothing else', async () => {
    const left = [
      ...['.web.yaml.swp', 'web.yaml~', '#web.yaml#', '4913', 'web.yaml.bak', 'x.tmp'],
      ...['web.yaml.save', 'web.yaml.dpkg-dist', 'web.yaml.dpkg-old', 'web.yaml.ucf-dist'],
      ...['web.yaml.rpmsave', 'web.yaml.rpmnew', 'web.yaml.pacnew'],
    ];
    await write({ ...good, ...Object.fromEntries(left.map((name) => [`templates/${name}`, '['])) });
    expect(await problems()).toEqual([]);
    await mkdir(join(directory, 'templates/lost+found'));
    expect(await problems()).toEqual([]);
  });

  it('warns of what is no template, and is valid all the same', async () => {
    const strays = ['ssh.yml', 'README.md', 'web.json', 'Copy of web.yaml', 'web.yaml.disabled'];
    await write({
      ...good,
      ...Object.fromEntries(strays.map((name) => [`templates/${name}`, '['])),
    });
    await mkdir(join(directory, 'templates/old'));
    execFileSync('mkfifo', [join(directory, 'templates/README')]);
    const { problems: found } = await readConfigDirectory(directory);
    expect(new Set(found.map(({ severity }) => severity))).toEqual(new Set(['warning']));
    expect(found.map(({ file }) => basename(file)).sort()).toEqual(
      [...strays, 'README', 'old'].sort(),
    );
    expect(found.find(({ file }) => file.endsWith('.yml'))?.message).toContain('(ssh.yaml)');
  });

  it('refuses what is not text, too large, or cannot be read', async () => {
    await write({ ...good, 'templates/latin.yaml': Uint8Array.of(0x23, 0xe4, 0x0a) });
    await write({ 'templates/large.yaml': '' });
    await truncate(join(directory, 'templates/large.yaml'), (4 << 20) + 1);
    await mkdir(join(directory, 'templates/folder.yaml'));
    expect(await problems()).toEqual([
      'templates/folder.yaml: cannot be read: it is a directory',
      'templates/large.yaml: cannot be read: larger than 4 MiB',
      'templates/latin.yaml: cannot be read: it is not UTF-8 text',
    ]);
  });

  it('refuses what is forbidden', async () => {
    await write(good);
    await chmod(join(directory, 'servers.yaml'), 0);
    await chmod(directory, 0o755);
    // Root may read everything, so the test reads as the user nobody.
    const { seteuid, geteuid } = process;
    const root = geteuid!() === 0;
    if (root) seteuid!(65_534);
    const found = await problems();
    if (root) seteuid!(0);
    expect(found).toEqual(['servers.yaml: cannot be read: permission denied']);
  });

  it('follows links, and says when they lead nowhere', async () => {
    await write(good);
    await symlink('web.yaml', join(directory, 'templates/link.yaml'));
    const { templates } = await readConfigDirectory(directory);
    expect(templates.map(({ name }) => name)).toEqual(['link', 'web']);
    await symlink('gone.yaml', join(directory, 'templates/broken.yaml'));
    expect(await problems()).toEqual([
      'templates/broken.yaml: cannot be read: the link leads nowhere',
    ]);
  });

  it('lists templates by their names, which is not the order of their files', async () => {
    await write({ ...good, 'templates/web-2.yaml': '', 'templates/we.yaml': '' });
    const { templates } = await readConfigDirectory(directory);
    expect(templates.map(({ name }) => name)).toEqual(['we', 'web', 'web-2']);
  });

  it('that is not there, or not a directory, is one error', async () => {
    const missing = join(directory, 'missing');
    const absent = await readConfigDirectory(missing);
    expect(absent.problems.map(formatProblem)).toEqual([
      `${missing}: cannot be read: it does not exist`,
    ]);
    await write({ file: '' });
    const file = join(directory, 'file');
    const { problems: found } = await readConfigDirectory(file);
    expect(found.map(formatProblem)).toEqual([`${file}: cannot be read: it is not a directory`]);
  });
});

describe('a reader', () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  /** What is written from now on has another time than what was written before: a file system's clock goes in steps. */
  async function untilFileTimeGoesOn(): Promise<void> {
    const changedNs = async (name: string): Promise<bigint> =>
      (await stat(join(directory, name), { bigint: true })).ctimeNs;
    const beforeNs = await changedNs('templates/web.yaml');
    do await write({ '.later': '' });
    while ((await changedNs('.later')) <= beforeNs);
  }

  it('sees each of many edits in a row, all of the same size', async () => {
    await write(good);
    const reader = new ConfigReader(directory);
    for (let port = 1000; port < 1100; port++) {
      await write({ 'templates/web.yaml': `inbound: [{ protocol: tcp, ports: [${port}] }]` });
      const [template] = reader.read().snapshot.templates;
      expect(template?.inbound[0]?.ports).toEqual([{ from: port, to: port }]);
    }
  });

  it('sees what comes, changes and goes after it was quiet for a while', async () => {
    await write(good);
    const reader = new ConfigReader(directory);
    const names = (): string[] => reader.read().snapshot.templates.map(({ name }) => name);
    await untilFileTimeGoesOn();
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 2000 });
    expect(names()).toEqual(['web']);
    const quiet = reader.read().snapshot;
    expect(reader.read().snapshot).toBe(quiet);
    await write({ 'templates/web.yaml': good['templates/web.yaml'].replace('80', '81') });
    expect(reader.read().snapshot.templates[0]?.inbound[0]?.ports).toEqual([{ from: 81, to: 81 }]);
    await write({ 'templates/ssh.yaml': 'inbound: []' });
    expect(names()).toEqual(['ssh', 'web']);
    await rm(join(directory, 'templates/web.yaml'));
    expect(names()).toEqual(['ssh']);
  });
});
