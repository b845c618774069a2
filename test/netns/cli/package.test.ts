/**
 * The package as somebody else has it: packed and installed by the commands that docs/install.md tells, in an empty directory with
 * an empty HOME, without the network. Its program runs, its addon is there, and its exports have types.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { blocksTagged } from '../../support/documents.ts';
import { obstacle } from '../support/firewall.ts';

const root = new URL('../../..', import.meta.url).pathname;

/** Installs it in a project, and runs the demonstration. */
const commands = blocksTagged('docs/install.md', 'sh project')[0]!.split('\n');

interface Lock {
  readonly packages: Record<string, { version?: string; dev?: boolean; devOptional?: boolean }>;
}

describe.skipIf(obstacle !== undefined)('the package', () => {
  let place: string;
  let app: string;
  let environment: NodeJS.ProcessEnv;
  const own = (path: string): string => join(app, 'node_modules/tunwall', path);

  beforeAll(() => {
    place = mkdtempSync(join(tmpdir(), 'twt-installed-'));
    app = join(place, 'app');
    mkdirSync(app);
    mkdirSync(join(place, 'home'));
    environment = { PATH: process.env['PATH'], HOME: join(place, 'home') };
    const clone = join(place, 'tunwall');
    mkdirSync(clone);
    // The suite has built it; and nothing is written into the repository.
    const [pack] = blocksTagged('docs/install.md', 'sh pack');
    execFileSync('sh', ['-ec', `${pack!} --silent --ignore-scripts --pack-destination ${clone}`], {
      cwd: root,
    });
    // What npm finds on the network is what our own lock has: its cache knows these, whatever HOME is.
    const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as Lock;
    const { overrides } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      overrides: { cookie: string };
    };
    const { '': self, ...others } = lock.packages;
    const file = `file:../tunwall/tunwall-${self!.version}.tgz`;
    const wanted = {
      ...{ name: 'app', version: '1.0.0', type: 'module' },
      ...{ dependencies: { tunwall: file }, overrides: { cookie: overrides.cookie } },
    };
    const used = Object.entries(others).filter(([, { dev, devOptional }]) => !dev && !devOptional);
    const packages = {
      '': wanted,
      'node_modules/tunwall': { ...self, devDependencies: undefined, resolved: file },
      ...Object.fromEntries(used),
    };
    writeFileSync(join(app, 'package.json'), JSON.stringify(wanted));
    writeFileSync(
      join(app, 'package-lock.json'),
      JSON.stringify({
        name: 'app',
        version: '1.0.0',
        lockfileVersion: 3,
        requires: true,
        packages,
      }),
    );
    const cache = execFileSync('npm', ['config', 'get', 'cache'], {
      cwd: root,
      encoding: 'utf8',
    }).trim();
    const settings = { npm_config_cache: cache, npm_config_prefer_offline: 'true' };
    Object.assign(environment, settings, { npm_config_audit: 'false', npm_config_fund: 'false' });
    const [install] = commands;
    execFileSync('sh', ['-ec', install!], { cwd: app, env: environment, stdio: 'pipe' });
  });
  afterAll(() => {
    rmSync(place, { recursive: true });
  });

  it('runs the demonstration', () => {
    const { status, stdout, stderr } = spawnSync('sh', ['-ec', commands[1]!], {
      cwd: app,
      env: environment,
      encoding: 'utf8',
    });
    expect({ status, stderr: status === 0 ? '' : stdout + stderr }).toEqual({
      status: 0,
      stderr: '',
    });
  });

  it('has types for every export, under strict, and runs', () => {
    writeFileSync(
      join(app, 'use.mts'),
      `import { createFirewall, fragments, icmpError, matchers, ping, tcp, udp } from 'tunwall/testing';
import type { DropReasonName, Firewall, Outcome, TestFlow } from 'tunwall/testing';
import { Lab, LabError } from 'tunwall/lab';
import type { Fetched, Host } from 'tunwall/lab';
async function inLab(): Promise<Fetched> {
  await using lab = await Lab.create({ hosts: { a: '10.0.0.2/24', b: '10.0.1.2/24' } });
  const a: Host = lab.hosts.a;
  // @ts-expect-error there is no such host
  void lab.hosts.c;
  return await a.curl('http://10.0.1.2/');
}
void [inLab, LabError];
const fw: Firewall = createFirewall({
  templates: { web: { inbound: [{ protocol: 'tcp', ports: 443 }] } },
  servers: [{ name: 'web-1', addresses: '10.0.0.2', templates: 'web' }],
});
const outcome: Outcome = fw.send(tcp('198.51.100.2:1', '10.0.0.2:443').handshake());
const flows: readonly TestFlow[] = fw.flows();
const reason: DropReasonName | undefined = outcome.reason;
// @ts-expect-error there is no such reason
matchers.toDrop(outcome, 'bad-luck');
void [fragments, icmpError, ping, udp];
console.log(outcome.verdict, flows[0]?.state, reason);
`,
    );
    const compilerOptions = {
      ...{ strict: true, exactOptionalPropertyTypes: true, module: 'nodenext' },
      ...{ target: 'es2023', lib: ['es2023', 'dom'], types: [] },
    };
    writeFileSync(
      join(app, 'tsconfig.json'),
      JSON.stringify({ compilerOptions, files: ['use.mts'] }),
    );
    const tsc = spawnSync(join(root, 'node_modules/.bin/tsc'), ['-p', app], { encoding: 'utf8' });
    expect(tsc.stdout).toBe('');
    const ran = spawnSync('node', ['use.mjs'], { cwd: app, env: environment, encoding: 'utf8' });
    expect(ran.stdout).toBe('pass established undefined\n');
  });

  it('needs no compiler where its own build of the addon fits, and says what is missing elsewhere', () => {
    const bare = { ...environment, PATH: '/nowhere' };
    const build = join(own('native'), 'build');
    const prebuilt = own(`native/prebuilt/${process.platform}-${process.arch}.node`);
    const install = (...flags: string[]): { status: number | null; stdout: string } =>
      spawnSync(process.execPath, [...flags, own('native/install.js')], {
        env: bare,
        encoding: 'utf8',
      });
    // As `npm pack` leaves it, whether or not that was run in this clone before.
    mkdirSync(own('native/prebuilt'), { recursive: true });
    cpSync(join(root, 'native/build/tunwall.node'), prebuilt);
    rmSync(build, { recursive: true, force: true });
    expect(install()).toMatchObject({ status: 0, stdout: '' });
    expect(existsSync(build)).toBe(false);
    const load = `import(${JSON.stringify(own('dist/system/addon.js'))}).then((m) => m.loadAddon())`;
    expect(spawnSync(process.execPath, ['-e', load], { env: bare }).status).toBe(0);

    rmSync(prebuilt);
    const without = install();
    expect(without.status).toBe(0);
    expect(without.stdout).toMatch(/^tunwall: its addon could not be built \(needs make.*\n$/);
    const elsewhere =
      'data:text/javascript,Object.defineProperty(process,"platform",{value:"darwin"})';
    expect(install('--import', elsewhere)).toMatchObject({
      status: 0,
      stdout:
        'tunwall: the firewall needs Linux, this is darwin: tunwall/testing and tunwall test work, the firewall does not run\n',
    });
    const ran = spawnSync('node', ['use.mjs'], { cwd: app, env: environment, encoding: 'utf8' });
    expect(ran.stdout).toBe('pass established undefined\n');
  });
});
