/**
 * Alert rules and dashboard: every metric in them exists, and has the labels that they use. Where promtool is installed, Prometheus
 * itself reads the rules; it is not installed for that alone, because it takes 96 MB.
 */
import { spawnSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { parse } from 'yaml';
import { createMetrics } from '../../../src/control/metrics/metrics.ts';
import { readText, root } from '../../support/documents.ts';
import { metricsSource } from '../../support/metrics-source.ts';

/** What Prometheus itself adds. */
const ownLabels = ['instance', 'job'];

const labelsOf = new Map(
  createMetrics(metricsSource)
    .getMetricsAsArray()
    .map((metric) => {
      const { labelNames } = metric as unknown as { labelNames: readonly string[] };
      return [metric.name, [...labelNames, ...ownLabels]] as const;
    }),
);
labelsOf.set('up', ownLabels);

interface Rules {
  groups: { rules: { alert: string; expr: string; annotations: { summary: string } }[] }[];
}

interface Dashboard {
  panels: { title: string; targets: { expr: string; legendFormat: string }[] }[];
  templating: { list: { query: string }[] };
}

/** What is wrong with an expression, as far as names go. */
function problemsOf(expression: string, legend = ''): string[] {
  const names = [...expression.matchAll(/\b(?:tunwall_\w+|up)\b/g)].map(([name]) => name);
  const unknown = names.filter((name) => !labelsOf.has(name)).map((name) => `no metric ${name}`);
  const known = names.flatMap((name) => labelsOf.get(name) ?? []);
  const used = [
    ...[...expression.matchAll(/[{,]\s*(\w+)\s*[=!]/g)].map(([, label]) => label!),
    ...[...expression.matchAll(/\b(?:by|on) \(([^)]*)\)/g)].flatMap(([, list]) =>
      list!.split(/,\s*/),
    ),
    ...[...legend.matchAll(/\{\{(\w+)\}\}/g)].map(([, label]) => label!),
  ];
  const none = names.length === 0 ? ['no metric at all'] : [];
  const wrong = used.filter((label) => !known.includes(label)).map((label) => `no label ${label}`);
  return [...none, ...unknown, ...wrong];
}

it('the check finds what is wrong', () => {
  expect(problemsOf('sum by (colour) (rate(tunwall_drop_total{reason="x"}[5m]))')).toEqual([
    'no metric tunwall_drop_total',
    'no label reason',
    'no label colour',
  ]);
  expect(problemsOf('tunwall_drops_total{job="x"}', '{{verdict}}')).toEqual(['no label verdict']);
});

it('alert rules', () => {
  const { groups } = parse(readText('scripts/monitoring/alerts.yaml')) as Rules;
  const rules = groups.flatMap((group) => group.rules);
  expect(rules.length).toBeGreaterThan(5);
  expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length);
  for (const { alert, expr, annotations } of rules) {
    expect([alert, ...problemsOf(expr)]).toEqual([alert]);
    expect(annotations.summary).toMatch(/^[A-Z]/);
  }
});

const promtool = spawnSync('promtool', ['--version']).status === 0;
if (!promtool) console.log('promtool check rules does not run: it is missing (Debian: prometheus)');
it.skipIf(!promtool)('alert rules, as Prometheus reads them', () => {
  const args = ['check', 'rules', 'scripts/monitoring/alerts.yaml'];
  const { status, stderr } = spawnSync('promtool', args, { cwd: root, encoding: 'utf8' });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
});

it('dashboard', () => {
  const { panels, templating } = JSON.parse(
    readText('scripts/monitoring/dashboard.json'),
  ) as Dashboard;
  expect(panels.length).toBeGreaterThan(5);
  for (const { title, targets } of panels) {
    for (const { expr, legendFormat } of targets) {
      expect([title, expr, ...problemsOf(expr, legendFormat)]).toEqual([title, expr]);
    }
  }
  const [, variable] = templating.list;
  expect(labelsOf.has(/\((\w+),/.exec(variable!.query)![1]!)).toBe(true);
});
