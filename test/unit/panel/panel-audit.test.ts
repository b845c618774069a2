/** The audit log as CSV: quoting, and what must not become a formula. */
import { expect, it } from 'vitest';
import { auditCsv } from '../../../src/panel/pages/audit/audit-csv.ts';

const record = {
  ...{ id: '1', at: '2030-01-31T12:00:00.000Z', action: 'template.update', result: 'ok' },
  actor: { name: 'alice', via: 'http', address: '192.0.2.7' },
};

it('has a line for each record', () => {
  const told = { target: ['web', 'ssh'], summary: 'said "no", twice', why: 'a\nb', count: 3 };
  expect(auditCsv([{ ...record, ...told }, record])).toBe(
    'time,who,via,token,address,action,target,result,summary,why,times\r\n' +
      '2030-01-31T12:00:00.000Z,alice,http,,192.0.2.7,template.update,web ssh,ok,"said ""no"", twice","a\nb",3\r\n' +
      '2030-01-31T12:00:00.000Z,alice,http,,192.0.2.7,template.update,,ok,,,1\r\n',
  );
});

it.each(['=HYPERLINK("http://x")', '+1', '-1', '@sum', '\tx'])('%j is no formula', (name) => {
  const csv = auditCsv([{ ...record, actor: { name, via: 'http' } }]);
  expect(csv.split('\r\n')[1]!.split('Z,')[1]).toMatch(/^"?'/);
});
