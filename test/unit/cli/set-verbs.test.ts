/** Sets on the command line, without a firewall: made, changed, imported, edited, renamed, destroyed and brought back. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { words } from '../../support/cli.ts';
import { OfflineCli } from '../../support/offline-cli.ts';

let cli: OfflineCli;
const ok = (line: string): Promise<string> => cli.ok(...words(line));
const text = (name: string): Promise<string> => cli.directory.text(name);

beforeEach(async () => {
  cli = await OfflineCli.createWithTemplates();
});
afterEach(() => cli.remove());

test('a set is made of addresses and other sets, and says who names it', async () => {
  expect(await ok('set create vpn --address 10.8.0.0/16 --description "From home"')).toMatch(
    /^set "vpn" created with 65,536 addresses in 1 range; not in force: /,
  );
  await ok('set create all --include vpn --except 10.8.0.0/24,10.8.9.9');
  await ok('template add-rule spare inbound "TCP: 22" --from set:all,server:db-1');
  expect(await text('sets/all.yaml')).toBe(
    'except: [10.8.0.0/24, 10.8.9.9]\ninclude: ["set:vpn"]\n',
  );
  const shown = await ok('set show vpn');
  expect(shown).toContain('  addresses: 10.8.0.0/16\n  named in:\n    set all include[0]\n');
  expect(await ok('set list')).toMatch(/^all +65,279 +2 +1 .*\nvpn +65,536 +1 +1 .*From home$/m);
  const { code, err } = await cli.run(words('set destroy all'));
  expect([code, err.split('\n')[0]]).toEqual([
    1,
    'tunwall: set "all" is named by template spare (inbound[1].sources[0])',
  ]);
  await ok('set destroy all --force');
  await ok('server rename db-1 db-9');
  expect(await text('templates/spare.yaml')).toContain('sources: ["server:db-9"]');
  await ok('set rename vpn home');
  expect(JSON.parse(await ok('set list --json'))).toMatchObject({ sets: [{ name: 'home' }] });
});

test('addresses come and go one by one; what is not there is an error', async () => {
  await ok('set create office --address 192.0.2.0/24');
  expect(await ok('set add office 10.0.0.1,10.0.0.2 192.0.2.0/24')).toContain(
    'added to set "office": 258 addresses in 2 ranges;',
  );
  await ok('set remove office 10.0.0.1');
  expect(await text('sets/office.yaml')).toBe('addresses: [192.0.2.0/24, 10.0.0.2]\n');
  const { code, err } = await cli.run(words('set remove office 192.0.2.7'));
  expect(code).toBe(1);
  expect(err).toContain('remove[0]: "192.0.2.7" is not in the set as such');
});

test('a list is imported under the name of its file, again and again, and never in part', async () => {
  const list = '# FireHOL\n192.0.2.0/24\n198.51.100.7 # one\n';
  const first = await cli.run(words('set import Level_1.netset'), list);
  expect([first.code, first.err]).toEqual([0, '']);
  expect(first.out).toContain('1 set imported: "level_1" with 257 addresses in 2 ranges;');
  expect(await text('sets/level_1.txt')).toBe(list);
  const bad = await cli.run(words('set import - --name level_1'), 'not found\n');
  expect([bad.code, bad.err]).toEqual([1, expect.stringContaining('line 1: "not found" is not')]);
  expect(await text('sets/level_1.txt')).toBe(list);
  await cli.run(words('set import - --name level_1'), '203.0.113.0/24\n');
  expect(await ok('set show level_1 --list')).toBe('203.0.113.0/24\n');
  expect(await ok('set diff level_1')).toContain('-192.0.2.0/24\n');
  await ok('set rollback level_1 1');
  expect(await text('sets/level_1.txt')).toBe(list);
});

test('a set is edited as YAML', async () => {
  await ok('set create office --address 192.0.2.0/24');
  const script = join(cli.directory.path, 'editor.sh');
  writeFileSync(script, 'echo "except: [192.0.2.9]" >> "$1"\n');
  cli.editor = `sh ${script}`;
  expect(await ok('set edit office')).toContain('set "office" changed;');
  expect(await text('sets/office.yaml')).toBe('addresses: [192.0.2.0/24]\nexcept: [192.0.2.9]\n');
  cli.editor = 'true';
  expect(await ok('set edit office')).toBe('set "office" is unchanged\n');
});
