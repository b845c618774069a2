/** The ends of rules in log, audit log and history: once each, also over restarts, and when the clock goes back. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { reportEnds, reportMissedEnds } from '../../../../src/control/service/rule-ends.ts';
import type { ReportEnds } from '../../../../src/control/service/rule-ends.ts';
import type { FileStore } from '../../../../src/control/store/files/file-store.ts';
import { changedByTime, compilePolicy } from '../../../../src/policy/compile.ts';
import type { CompiledPolicy } from '../../../../src/policy/compile.ts';
import { TestDirectory } from '../../../support/stores.ts';

const end = Date.parse('2026-06-01T12:00:00Z');
let directory: TestDirectory;
let store: FileStore;
let logged: string[];

beforeEach(async () => {
  directory = await TestDirectory.create({
    'templates/web.yaml': `inbound:
  - { protocol: icmp }
  - { protocol: tcp, ports: [80], expires: 2026-06-01T12:00:00Z }
  - { protocol: tcp, ports: [81], expires: 2026-06-01T12:00:00Z, enabled: false }
outbound:
  - { protocol: tcp, ports: [80], expires: 2026-06-01T14:00:00+02:00 }
`,
    'servers.yaml': 'servers:\n  - { name: web-1, addresses: [10.0.0.2], templates: [web] }\n',
  });
  store = await directory.store();
  logged = [];
});
afterEach(async () => {
  expect(directory.warnings).toEqual([]);
  await directory.remove();
});

const report = (): ReportEnds => ({
  log: {
    info: (fields: { direction: string; rule: string }, what: string) =>
      logged.push(`${fields.direction} ${fields.rule}: ${what}`),
  } as unknown as ReportEnds['log'],
  audit: store.audit,
  mark: (...args) => store.markEnd(...args),
});
const policyAt = async (nowMs: number): Promise<CompiledPolicy> =>
  compilePolicy(await store.read(), 1, { nowMs });
const audited = async (): Promise<(string | undefined)[]> =>
  (await store.audit.query({ action: 'rule.expire' })).records.map(({ summary }) => summary);
const history = async (): Promise<string[]> =>
  (await store.history.list('web')).map(({ action, actor }) => `${action} by ${actor.name}`);

it('an end is reported once, also by a firewall that is started again', async () => {
  const before = await policyAt(end - 1);
  await reportMissedEnds(before, end - 1, report());
  expect(logged).toEqual([]);

  expect(changedByTime(before, end - 1)).toEqual([]);
  await reportEnds(changedByTime(before, end), report());
  const inbound = 'TCP: 80 from any (until 2026-06-01T12:00:00Z): rule has expired';
  const outbound = 'TCP: 80 to any (until 2026-06-01T14:00:00+02:00): rule has expired';
  expect(logged).toEqual([`inbound ${inbound}`, `outbound ${outbound}`]);
  expect(await audited()).toEqual([`outbound[0] ${outbound}`, `inbound[1] ${inbound}`]);
  expect(await history()).toEqual(['expire by clock', 'create by file']);
  expect(await store.history.diff('web', 1, 2)).toBe('');

  for (let start = 0; start < 2; start++) {
    await reportMissedEnds(await policyAt(end + start), end + start, report());
  }
  expect(await audited()).toHaveLength(2);
  // Also when it stands in another place by now.
  const text = await directory.text('templates/web.yaml');
  await directory.write({ 'templates/web.yaml': text.replace('  - { protocol: icmp }\n', '') });
  await reportMissedEnds(await policyAt(end), end, report());
  expect(await audited()).toHaveLength(2);
});

it('an end that came while no firewall ran is reported by the next one', async () => {
  await reportMissedEnds(await policyAt(end), end, report());
  await reportMissedEnds(await policyAt(end), end, report());
  expect(logged).toHaveLength(2);
  expect(await history()).toEqual(['expire by clock', 'create by file']);
});

it('a clock that was set back is reported, while a firewall runs and at the next start', async () => {
  const past = end - 60_000;
  await reportEnds(changedByTime(await policyAt(end - 1), end), report());
  await reportEnds(changedByTime(await policyAt(end), past), report());
  expect(logged.slice(2)).toEqual([
    'inbound TCP: 80 from any (until 2026-06-01T12:00:00Z): rule counts again: the clock was set back',
    'outbound TCP: 80 to any (until 2026-06-01T14:00:00+02:00): rule counts again: the clock was set back',
  ]);
  await reportMissedEnds(await policyAt(past), past, report());
  expect(logged).toHaveLength(4);
  await reportMissedEnds(await policyAt(end), end, report());
  await reportMissedEnds(await policyAt(past), past, report());
  expect(logged).toHaveLength(8);
  expect(await history()).toEqual([
    ...['revive by clock', 'expire by clock', 'revive by clock', 'expire by clock'],
    'create by file',
  ]);
});
