/** Tables of docs that list all of something: nothing is missing, and nothing is left over. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { problemKinds } from '../../../src/control/api/http-problem.ts';
import { createMetrics } from '../../../src/control/metrics/metrics.ts';
import { DropReason, dropReasonNames } from '../../../src/dataplane/wire/drop-reason.ts';
import { documentOf } from '../../support/api-answers.ts';
import { routeTable } from '../../support/api-table.ts';
import { ApiLab } from '../../support/api.ts';
import { codeIn, readText, tableRows } from '../../support/documents.ts';
import { metricsSource } from '../../support/metrics-source.ts';

describe('docs/api.md', () => {
  const page = readText('docs/api.md');
  const words = { public: 'everybody', anyone: 'user', view: 'viewer', owner: 'owner' };
  let lab: ApiLab;
  beforeAll(async () => {
    lab = await ApiLab.create();
  });
  afterAll(() => lab.close());

  it('has every route of /openapi.json, and for whom it is', () => {
    const routes = Object.entries(documentOf(lab.api).paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
    const listed = tableRows(page, '## Routes').map(([route, , access]) => [
      codeIn(route!),
      access,
    ]);
    const expected = routes.map((route) => [route, words[routeTable[route]!.access]]);
    expect(listed.sort()).toEqual(expected.sort());
  });

  it('has every kind of problem, with its status', () => {
    const listed = tableRows(page, '## Errors').map(([kind, status]) => [
      codeIn(kind!),
      Number(status),
    ]);
    expect(listed).toEqual(Object.entries(problemKinds).map(([kind, [status]]) => [kind, status]));
  });
});

it('docs/metrics.md has every metric, with its type and labels', () => {
  const metrics = createMetrics(metricsSource)
    .getMetricsAsArray()
    .filter(({ name }) => name.startsWith('tunwall_'))
    .map((metric) => {
      const { labelNames } = metric as unknown as { labelNames: readonly string[] };
      // prom-client knows the type of a metric as an enumeration only when it is read.
      return [metric.name, metric.constructor.name.toLowerCase(), labelNames.join(' ')];
    });
  const page = readText('docs/metrics.md');
  const listed = tableRows(page.slice(0, page.indexOf('\n## '))).map(([name, type, labels]) => [
    codeIn(name!),
    type!,
    labels!.replace(/[`,]/g, ''),
  ]);
  expect(listed.sort()).toEqual(metrics.sort());
});

it('docs/troubleshooting.md has every drop reason', () => {
  const page = readText('docs/troubleshooting.md');
  const listed = tableRows(page, '## By drop reason').map(([reason]) => codeIn(reason!));
  const expected = dropReasonNames.filter((_, code) => code !== DropReason.none);
  expect(listed.sort()).toEqual([...expected].sort());
});

it('README.md quotes the figures of bench/RESULTS.md', () => {
  const results = new Map(
    tableRows(readText('bench/RESULTS.md'), '## Whole run').map((row) => [row[0], row]),
  );
  const quoted = tableRows(readText('README.md'), '## How fast it is');
  expect(quoted).toHaveLength(5);
  for (const [title, ...figures] of quoted) {
    const measured = results.get(title)!.map((cell) => cell.replace(/ \(.*$/, ''));
    figures.forEach((figure, column) => {
      if (figure !== '–') expect(figure, title).toBe(measured[column + 1]);
    });
  }
});

it('docs/dependencies.md has every package', () => {
  const { dependencies, devDependencies } = JSON.parse(readText('package.json')) as Record<
    'dependencies' | 'devDependencies',
    Record<string, string>
  >;
  const page = readText('docs/dependencies.md');
  const listed = (heading: string): string[] => tableRows(page, heading).map(([name]) => name!);
  expect(listed('## In the product').sort()).toEqual(Object.keys(dependencies).sort());
  expect([...listed('## In the panel'), ...listed('## In development')].sort()).toEqual(
    Object.keys(devDependencies).sort(),
  );
});
