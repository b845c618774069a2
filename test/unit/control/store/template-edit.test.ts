/** Templates from files, in an editor, and back to what they were: `tunwall template create --file`, `edit`, `history`, `rollback`. */
import { chmod, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, test } from 'vitest';
import type { Ran } from '../../../support/cli.ts';
import { OfflineCli } from '../../../support/offline-cli.ts';
import type { TestDirectory } from '../../../support/stores.ts';
import { webText } from '../../../support/stores.ts';

let cli: OfflineCli;
let directory: TestDirectory;
const run: OfflineCli['run'] = (...args) => cli.run(...args);
const ok: OfflineCli['ok'] = (...args) => cli.ok(...args);

beforeEach(async () => {
  cli = await OfflineCli.createWithTemplates();
  directory = cli.directory;
});
afterEach(() => cli.remove());

describe('template create --file', () => {
  test.each([
    ['YAML', 'description: x\ninbound:\n  - { protocol: udp, ports: [53] }\n'],
    ['JSON', '{ "description": "x", "inbound": [{ "protocol": "udp", "ports": [53] }] }'],
  ])('takes %s', async (_, text) => {
    const { code, out } = await run(['template', 'create', 'new', '--file', '-'], text);
    expect([code, out]).toEqual([0, expect.stringContaining('with 1 rule;')]);
  });

  test.each([
    ['a: [', /^tunwall: standard input:1:\d+: .*\n {2}expected a template in YAML or JSON\n$/],
    ['[]', /standard input is no template/],
    ['inbond: []', /some values are not valid:\n {2}inbond: unknown key "inbond".*inbound/],
    ['inbound: [{ protocol: tcp, ports: [0] }]', /\n {2}inbound\[0\]\.ports\[0\]: expected a port/],
  ])('refuses %s', async (text, message) => {
    const { code, err } = await run(['template', 'create', 'new', '--file', '-'], text);
    expect(code).toBe(1);
    expect(err).toMatch(message);
  });
});

describe('history', () => {
  it('lists, shows, compares and goes back', async () => {
    await ok('template', 'create', 'new', '--preset', 'ssh');
    await ok('template', 'add-rule', 'new', 'inbound', 'icmp');
    await ok('template', 'destroy', 'new');
    expect(await ok('template', 'history', 'new')).toMatch(
      /^version +at +who +action\n3 +\S+Z +alice \(cli\) +destroy\n2 +\S+ +alice \(cli\) +edit\n1 +\S+ +alice \(cli\) +create\n$/,
    );
    expect(await ok('template', 'history', 'new', '1')).not.toContain('icmp');
    expect(await ok('template', 'history', 'new', '2')).toContain('icmp');
    expect(JSON.parse(await ok('template', 'history', 'new', '2', '--json'))).toMatchObject({
      version: 2,
      text: expect.stringContaining('icmp') as string,
    });
    const diff = await ok('template', 'diff', 'new', '1', '2');
    expect(diff).toMatch(/^\+ +- .*icmp/m);
    expect(await ok('template', 'diff', 'new', '0', '1')).toMatch(/^\+.*22/m);
    const coloured = await run(['template', 'diff', 'new', '1', '2'], '', { tty: true });
    expect(coloured.out).toMatch(/\u001b\[32m\+ +- .*icmp/);
    expect(await ok('template', 'rollback', 'new', '2')).toContain('is as in version 2');
    expect(await directory.text('templates/new.yaml')).toContain('icmp');
    expect((await run(['template', 'history', 'nope'])).code).toBe(1);
    expect((await run(['template', 'diff', 'nope'])).code).toBe(1);
  });
});

describe('template edit', () => {
  /** An editor that runs a shell script on its file, `$1`. */
  async function useEditor(script: string): Promise<void> {
    const path = join(directory.path, 'editor.sh');
    await writeFile(path, `#!/bin/sh\n${script}\n`);
    await chmod(path, 0o755);
    cli.editor = path;
  }
  const edit = (): Promise<Ran> => run(['template', 'edit', 'web']);

  it('changes what was changed, and keeps the comments of the file', async () => {
    await useEditor(`sed -i 's/- 443/- 8443/' "$1"`);
    const { code, out } = await edit();
    expect([code, out]).toEqual([
      0,
      expect.stringContaining('template "web" changed; not in force'),
    ]);
    const text = await directory.text('templates/web.yaml');
    expect(text).toContain('# The public servers.');
    expect(text).toMatch(/8443.*# both/);
    expect(text).toContain('# from the office');
  });

  it.each([
    ['an unchanged text', 'true'],
    ['a text without what it says', ': > "$1"'],
    ['only other comments', `echo '# hello' >> "$1"`],
  ])('%s changes nothing', async (_, script) => {
    await useEditor(script);
    expect(await edit()).toMatchObject({ code: 0, out: 'template "web" is unchanged\n' });
    expect(await directory.text('templates/web.yaml')).toBe(webText);
  });

  it('shows what is wrong in the editor again, until it is mended', async () => {
    await useEditor(`cp "$1" "$0.$(ls "$0".* 2>/dev/null | wc -l)"
      if grep -q 'expected a port' "$1"; then sed -i 's/99999/8443/' "$1"; else sed -i 's/- 443/- 99999/' "$1"; fi`);
    expect(await edit()).toMatchObject({
      code: 0,
      out: expect.stringContaining('changed') as string,
    });
    expect(await directory.text('editor.sh.1')).toMatch(
      /^# some values are not valid:\n# {3}inbound\[0\]\.ports\[1\]: expected a port/,
    );
    expect(await directory.text('templates/web.yaml')).toContain('8443');
  });

  it('gives up when it is saved as wrong as it was, and keeps the text', async () => {
    await useEditor(`sed -i 's/- 443/- 99999/' "$1"`);
    const { code, err } = await edit();
    expect(code).toBe(1);
    expect(err).toMatch(/inbound\[0\]\.ports\[1\]: expected a port/);
    const [, path] = /your text is in (\S+)/.exec(err)!;
    expect(await readFile(path!, 'utf8')).toContain('99999');
    await rm(dirname(path!), { recursive: true });
    expect(await directory.text('templates/web.yaml')).toBe(webText);
  });

  it('does not overwrite what another user has saved meanwhile', async () => {
    const other = webText.replace('HTTP', 'other');
    await useEditor(
      `cat > '${directory.path}/templates/web.yaml' <<'END'\n${other}END\nsed -i 's/- 443/- 8443/' "$1"`,
    );
    const { code, err } = await edit();
    expect(code).toBe(1);
    expect(err).toMatch(/changed by somebody else meanwhile\n.*your text is in/);
    expect(await directory.text('templates/web.yaml')).toBe(other);
  });

  it('an editor that fails changes nothing', async () => {
    cli.editor = 'false';
    const { code, err } = await edit();
    expect([code, err]).toEqual([
      1,
      expect.stringContaining('the editor (false) has ended with 1'),
    ]);
  });

  it('takes a file instead, but makes no new template of it', async () => {
    const text = 'inbound: [{ protocol: icmp }]\n';
    expect((await run(['template', 'edit', 'web', '--file', '-'], text)).code).toBe(0);
    expect(await directory.text('templates/web.yaml')).toContain('icmp');
    const missing = await run(['template', 'edit', 'nope', '--file', '-'], text);
    expect(missing.code).toBe(1);
    expect(Object.keys(await directory.contents())).not.toContain('templates/nope.yaml');
  });
});
