/** Records of the audit log as CSV (RFC 4180), for tables of other programs. */
import type { AuditPage } from '../../data/types.ts';

type AuditRecord = AuditPage['records'][number];

const columns: readonly (readonly [string, (record: AuditRecord) => string | number])[] = [
  ['time', ({ at }) => at],
  ['who', ({ actor }) => actor.name],
  ['via', ({ actor }) => actor.via],
  ['token', ({ actor }) => actor.token ?? ''],
  ['address', ({ actor }) => actor.address ?? ''],
  ['action', ({ action }) => action],
  ['target', ({ target = [] }) => target.join(' ')],
  ['result', ({ result }) => result],
  ['summary', ({ summary = '' }) => summary],
  ['why', ({ why = '' }) => why],
  ['times', ({ count = 1 }) => count],
];

/** What a table would take for a formula: texts of others are in the log, names of failed logins too. */
const formula = /^[=+\-@\t\r]/;

function cell(value: string | number): string {
  if (typeof value === 'number') return String(value);
  const text = formula.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

export function auditCsv(records: readonly AuditRecord[]): string {
  const rows = records.map((record) => columns.map(([, value]) => cell(value(record))));
  return [columns.map(([name]) => name), ...rows].map((row) => `${row.join(',')}\r\n`).join('');
}
