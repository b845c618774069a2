/** `tunwall history`, `diff` and `rollback`, and the reason of a change. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { words } from '../../support/cli.ts';
import { OfflineCli } from '../../support/offline-cli.ts';

let cli: OfflineCli;
beforeEach(async () => {
  cli = await OfflineCli.createWithTemplates();
});
afterEach(() => cli.remove());

test('what was done with its reason, what differs, and the way back', async () => {
  const before = await cli.directory.contents();
  await cli.ok(...words('server create extra --address 10.3.0.9 -m'), 'ticket 4711: größer');
  const listed = await cli.ok('history');
  expect(listed).toMatch(/ {2}create server extra: .* {2,}ticket 4711: größer\n/);
  const { changes } = JSON.parse(await cli.ok('history', '--json')) as {
    changes: { number: number; why?: string }[];
  };
  expect(changes[0]).toMatchObject({ why: 'ticket 4711: größer' });
  const base = changes[1]!.number;
  await cli.ok(...words('server rename extra more'));
  expect(await cli.ok('diff')).toContain('+  - name: more');
  expect(await cli.ok('diff', String(base))).toContain(`--- servers.yaml revision ${base}`);
  expect(await cli.ok('audit')).toContain('(ticket 4711: größer)');

  const dry = await cli.run(['rollback', String(base), '--dry-run']);
  expect([dry.code, dry.out]).toEqual([2, expect.stringContaining('-  - name: more')]);
  expect(dry.err).toContain('would be undone: rename server extra to more');
  const { code, out, err } = await cli.run(['rollback', String(base), '--message', 'no']);
  expect([code, out]).toEqual([0, expect.stringContaining(`is as after revision ${base}`)]);
  expect(err).toContain('is undone: create server extra');
  expect(await cli.directory.contents()).toEqual(before);
  const nothing = await cli.run(['rollback', String(base), '--dry-run']);
  expect([nothing.code, nothing.out]).toEqual([0, 'nothing differs\n']);
  const unknown = await cli.run(['rollback', '99999']);
  expect([unknown.code, unknown.err]).toEqual([1, expect.stringContaining('revision "99999"')]);
});

test('a change says what it opens', async () => {
  const { code, err } = await cli.run(words('template add-rule web inbound "TCP: 8443"'));
  expect([code, err]).toEqual([
    0,
    expect.stringMatching(/^opens web-1.*: TCP, port 8443, from the whole Internet/),
  ]);
});

test('a change that is to be confirmed is kept, or undone, and others wait', async () => {
  const before = await cli.directory.contents();
  const made = await cli.run(words('server create extra --address 10.3.0.9 --confirm 60s'));
  expect([made.code, made.err]).toEqual([
    0,
    expect.stringMatching(/undone in (60|59|1 min 0) ?.*unless you say: tunwall confirm/),
  ]);
  const other = await cli.run(words('server create more --address 10.3.0.10'));
  expect([other.code, other.err]).toEqual([1, expect.stringContaining('waits for confirmation')]);
  expect(other.err).toContain('tunwall confirm --revert');
  expect((await cli.run(words('status'))).err).toContain('not confirmed');
  await cli.ok('confirm', '--revert');
  expect(await cli.directory.contents()).toEqual(before);
  await cli.run(words('server create extra --address 10.3.0.9 --confirm 60s'));
  expect(await cli.ok('confirm')).toMatch(/^revision \d+ stays: create server extra/);
  const none = await cli.run(['confirm']);
  expect([none.code, none.err]).toEqual([1, expect.stringContaining('no change waits')]);
  const usage = await cli.run(words('server destroy extra --confirm soon'));
  expect([usage.code, usage.err]).toEqual([2, expect.stringContaining('from 5s to 24h')]);
});
