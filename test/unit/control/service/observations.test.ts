/** Servers that begin to observe and that end, in log and audit log: once each, also over restarts. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import {
  reportMissedObservations,
  reportObservations,
} from '../../../../src/control/service/observations.ts';
import type { ReportObservations } from '../../../../src/control/service/observations.ts';
import type { FileStore } from '../../../../src/control/store/files/file-store.ts';
import { compilePolicy } from '../../../../src/policy/compile.ts';
import type { CompiledPolicy } from '../../../../src/policy/compile.ts';
import { momentText } from '../../../../src/text/moment.ts';
import { TestDirectory } from '../../../support/stores.ts';

const endMs = Math.floor(Date.now() / 1000) * 1000 + 3_600_000;
const until = momentText(endMs);
const servers = (mode: string): string =>
  `servers:\n  - { name: a, addresses: [10.0.0.2]${mode} }\n  - { name: b, addresses: [10.0.0.3] }\n`;
let directory: TestDirectory;
let store: FileStore;
let logged: string[];

beforeEach(async () => {
  directory = await TestDirectory.create({
    'servers.yaml': servers(`, mode: observe, until: ${until}`),
  });
  store = await directory.store();
  logged = [];
});
afterEach(async () => {
  expect(directory.warnings).toEqual([]);
  await directory.remove();
});

const note =
  (level: string) =>
  (fields: { server: string }, what: string): void =>
    void logged.push(`${level} ${fields.server}: ${what}`);
const report = (): ReportObservations => ({
  log: { info: note('info'), warn: note('warn') } as unknown as ReportObservations['log'],
  audit: store.audit,
});
const policyAt = async (nowMs: number): Promise<CompiledPolicy> =>
  compilePolicy(await store.read(), 1, { nowMs });
const audited = async (): Promise<(string | undefined)[]> =>
  (await store.audit.query({ action: 'server.observe-end' })).records.map(
    ({ target, summary }) => `${target?.join() ?? ''}: ${summary ?? ''}`,
  );
const begun = 'warn a: server observes: what no rule allows passes, and is listed as would-drop';

it('begins and ends once each, also by a firewall that is started again', async () => {
  const live = await policyAt(endMs - 1);
  await reportMissedObservations(live, report());
  await reportObservations(undefined, live, report());
  await reportObservations(live, await policyAt(endMs - 1), report());
  expect(logged).toEqual([begun]);
  const over = await policyAt(endMs);
  await reportObservations(live, over, report());
  await reportMissedObservations(over, report());
  expect(logged.slice(1)).toEqual(['info a: observing has ended: server enforces its rules']);
  expect(await audited()).toEqual([
    `a: observing has ended at ${until}: the server enforces its rules`,
  ]);
});

it('an end that came while no firewall ran is reported by the next one', async () => {
  await reportMissedObservations(await policyAt(endMs), report());
  await reportMissedObservations(await policyAt(endMs + 1), report());
  expect(logged).toHaveLength(1);
  expect(await audited()).toHaveLength(1);
});

it('what somebody has ended is logged, and is audited as that change', async () => {
  const live = await policyAt(endMs - 1);
  await directory.write({ 'servers.yaml': servers('') });
  await reportObservations(live, await policyAt(endMs - 1), report());
  expect(logged).toEqual(['info a: server enforces its rules again']);
  expect(await audited()).toEqual([]);
});

it('another end is a new beginning, not an end', async () => {
  const live = await policyAt(endMs - 1);
  const later = momentText(endMs + 60_000);
  await directory.write({ 'servers.yaml': servers(`, mode: observe, until: ${later}`) });
  await reportObservations(live, await policyAt(endMs - 1), report());
  expect(logged).toEqual([begun]);
});
