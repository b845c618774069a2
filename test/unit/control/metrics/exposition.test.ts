/**
 * What a scrape gets keeps the rules of the text format, whatever stands in a label: read by a parser of its own, written after
 * the format's description (prometheus.io, "Exposition formats"), and compared with what was put in.
 */
import fc from 'fast-check';
import { Gauge } from 'prom-client';
import { beforeAll, describe, expect, it } from 'vitest';
import { createMetrics } from '../../../../src/control/metrics/metrics.ts';
import type { MetricsSource } from '../../../../src/control/metrics/metrics.ts';
import { hostileText } from '../../../support/hostile-text.ts';
import { metricsSource } from '../../../support/metrics-source.ts';
import { seed } from '../../../support/seed.ts';

interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const escapes: Readonly<Record<string, string>> = { n: '\n', '\\': '\\', '"': '"' };

/** Labels between braces, character by character. */
function labelsOf(text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  let rest = text;
  while (rest !== '') {
    const name = /^([a-zA-Z_]\w*)="/.exec(rest);
    if (name === null) throw new Error(`no label: ${rest}`);
    let at = name[0].length;
    let value = '';
    for (; rest[at] !== '"'; at++) {
      if (at >= rest.length) throw new Error(`a value without an end: ${rest}`);
      if (rest[at] !== '\\') {
        value += rest[at]!;
        continue;
      }
      const escaped = escapes[rest[++at] ?? ''];
      if (escaped === undefined) throw new Error(`an unknown escape: ${rest}`);
      value += escaped;
    }
    if (Object.hasOwn(labels, name[1]!)) throw new Error(`a label twice: ${text}`);
    labels[name[1]!] = value;
    rest = rest.slice(at + 1);
    if (rest === '') break;
    if (!rest.startsWith(',')) throw new Error(`no comma: ${rest}`);
    rest = rest.slice(1);
  }
  return labels;
}

/** @throws for anything that the format does not allow */
function parse(text: string): Sample[] {
  if (!text.endsWith('\n')) throw new Error('the last line has no end');
  const samples: Sample[] = [];
  const types = new Set<string>();
  const seen = new Set<string>();
  for (const line of text.slice(0, -1).split('\n')) {
    if (line === '') continue;
    if (line.startsWith('#')) {
      const comment = /^# (HELP|TYPE) ([a-zA-Z_:][\w:]*) (.*)$/s.exec(line);
      if (comment === null) throw new Error(`no comment of the format: ${line}`);
      const [, kind, name, words] = comment as unknown as [string, string, string, string];
      if (kind === 'HELP') continue;
      if (types.has(name)) throw new Error(`a type twice: ${name}`);
      if (!/^(counter|gauge|histogram|summary|untyped)$/.test(words)) throw new Error(line);
      types.add(name);
      continue;
    }
    const sample = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/s.exec(line);
    if (sample === null) throw new Error(`no sample: ${line}`);
    const [, name, labels = '', value] = sample as unknown as [string, string, string?, string?];
    const base = name.replace(/_(?:bucket|sum|count)$/, '');
    if (!types.has(name) && !types.has(base)) throw new Error(`a sample without a type: ${line}`);
    const read = { name, labels: labelsOf(labels), value: Number(value) };
    if (Number.isNaN(read.value) && value !== 'Nan' && value !== 'NaN') throw new Error(line);
    const key = JSON.stringify([name, Object.entries(read.labels).sort()]);
    if (seen.has(key)) throw new Error(`a sample twice: ${line}`);
    seen.add(key);
    samples.push(read);
  }
  return samples;
}

const own = (samples: readonly Sample[]): Sample[] =>
  samples.filter(({ name }) => name.startsWith('tunwall_'));

const scrape = async (source: MetricsSource): Promise<Sample[]> =>
  parse(await createMetrics(source).metrics());

describe('the text of a scrape', () => {
  let usual: Sample[];
  beforeAll(async () => {
    usual = own(await scrape(metricsSource));
  });

  it('has only words of closed lists in its labels: no name that somebody chose', () => {
    expect(usual.length).toBeGreaterThan(100);
    for (const { labels } of usual) {
      for (const value of Object.values(labels)) expect(value).toMatch(/^[A-Za-z0-9_-]+$/);
    }
  });

  it('has no other samples for a state that it does not know', async () => {
    await fc.assert(
      fc.asyncProperty(hostileText, async (evil) => {
        const found = own(
          await scrape({
            ...metricsSource,
            gateway: () => ({ state: evil as 'ok', bypassPackets: 8, repairs: 9 }),
          }),
        );
        const shape = ({ name, labels }: Sample): unknown => [name, labels];
        expect(found.map(shape)).toEqual(usual.map(shape));
      }),
      { seed, numRuns: 10 },
    );
  });

  it('gives any text of a label back as it was', async () => {
    await fc.assert(
      fc.asyncProperty(hostileText, hostileText, async (server, user) => {
        const metrics = createMetrics(metricsSource);
        const labelNames = ['server', 'user'];
        const gauge = new Gauge({
          name: 'test_names',
          help: 'x',
          labelNames,
          registers: [metrics],
        });
        gauge.set({ server, user }, 7);
        const samples = parse(await metrics.metrics());
        expect(samples.filter(({ name }) => name === 'test_names')).toEqual([
          { name: 'test_names', labels: { server, user }, value: 7 },
        ]);
        expect(own(samples)).toHaveLength(usual.length);
      }),
      { seed, numRuns: 30 },
    );
  });
});

it.each([
  'a 1',
  'x\n',
  '# TYPE a gauge\na{b="c} 1\n',
  '# TYPE a gauge\na{b="\\q"} 1\n',
  '# TYPE a gauge\na 1\na 2\n',
])('the parser refuses %j', (text) => {
  expect(() => parse(text)).toThrow();
});
