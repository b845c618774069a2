/** The seed's notation: every form, every message, and what is printed is read back. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatRule, parseRuleNotation } from '../../../src/policy/rule-notation.ts';
import type { RuleTraffic } from '../../../src/policy/rule-notation.ts';
import { ruleBody } from '../../../src/policy/template-body.ts';
import { validateTemplate } from '../../../src/policy/validate.ts';
import { trafficText } from '../../../src/text/rule-text.ts';
import { seed } from '../../support/seed.ts';

const range = (from: number, to = from): { from: number; to: number } => ({ from, to });

describe('reading', () => {
  it.each<[string, RuleTraffic]>([
    ['ALL', { protocol: 'all' }],
    ['all', { protocol: 'all' }],
    ['ALL: ALL', { protocol: 'all' }],
    ['ICMP', { protocol: 'icmp' }],
    [' icmp : all ', { protocol: 'icmp' }],
    ['TCP: ALL', { protocol: 'tcp' }],
    ['tcp', { protocol: 'tcp' }],
    ['TCP: 443', { protocol: 'tcp', ports: [range(443)] }],
    ['tcp:443', { protocol: 'tcp', ports: [range(443)] }],
    ['TCP: 20-22', { protocol: 'tcp', ports: [range(20, 22)] }],
    ['TCP : 20 - 22 ', { protocol: 'tcp', ports: [range(20, 22)] }],
    ['TCP: 22,80,8000-8100', { protocol: 'tcp', ports: [range(22), range(80), range(8000, 8100)] }],
    ['Udp: 53 , 1-65535', { protocol: 'udp', ports: [range(53), range(1, 65_535)] }],
  ])('%j', (text, value) => {
    expect(parseRuleNotation(text)).toEqual({ value });
  });

  const forms =
    'expected ALL, ICMP, TCP or UDP, and for TCP and UDP ports behind a colon: ALL, 443, 20-22 or a list like 22,80,8000-8100';
  const port = 'expected a port from 1 to 65535 or a range like "8000-8100"';
  it.each([
    ['', `${forms}; found ""`],
    ['SCTP: 1', `${forms}; found "SCTP: 1"`],
    ['TCP 443', `${forms}; found "TCP 443"`],
    ['443', `${forms}; found "443"`],
    ['TCP: 1: 2', `${forms}; found "TCP: 1: 2"`],
    ['TCP:', `${forms}; found nothing behind the colon of "TCP:"`],
    ['ICMP: 8', 'only TCP and UDP have ports: write ICMP, found "ICMP: 8"'],
    ['ALL: 443', 'only TCP and UDP have ports: write ALL, found "ALL: 443"'],
    ['TCP: 0', `${port}, found "0"`],
    ['TCP: 65536', `${port}, found "65536"`],
    ['TCP: http', `${port}, found "http"`],
    ['TCP: 22,,80', `${port}, found ""`],
    ['TCP: 22,80,', `${port}, found ""`],
    ['TCP: 22,all', `${port}, found "all"`],
    ['TCP: 22-20', 'the range "22-20" ends before it begins'],
  ])('%j is refused', (text, message) => {
    expect(parseRuleNotation(text)).toEqual({ message });
  });
});

describe('printing', () => {
  const port = fc.integer({ min: 1, max: 65_535 });
  const ports = fc
    .array(
      fc.tuple(port, port).map(([a, b]) => range(Math.min(a, b), Math.max(a, b))),
      { minLength: 1, maxLength: 6 },
    )
    .chain((ranges) => fc.constantFrom(undefined, ranges));
  const traffic: fc.Arbitrary<RuleTraffic> = fc.oneof(
    fc.constantFrom<RuleTraffic>({ protocol: 'all' }, { protocol: 'icmp' }),
    fc.tuple(fc.constantFrom('tcp' as const, 'udp' as const), ports).map(([protocol, list]) => ({
      protocol,
      ...(list !== undefined && { ports: list }),
    })),
  );

  it('is read back as the same, whatever case and blanks', () => {
    fc.assert(
      fc.property(traffic, fc.boolean(), fc.boolean(), (value, lower, tight) => {
        let text = trafficText(ruleBody(value, 'inbound'));
        if (lower) text = text.toLowerCase();
        text = tight ? text.replaceAll(' ', '') : text.replaceAll(/[,:-]/g, ' $& ');
        expect(parseRuleNotation(text)).toEqual({ value });
      }),
      { seed, numRuns: 1000 },
    );
  });

  it('tells a whole rule, addresses as they were written', () => {
    const { value } = validateTemplate(
      'web',
      'web.yaml',
      `inbound:
  - { protocol: tcp, ports: [443, "8000-8100"], sources: [10.0.0.0/8, 192.0.2.1-192.0.2.9] }
  - { protocol: icmp, except: ["server:db"], enabled: false }
outbound:
  - { protocol: all, destinations: [any] }
  - { protocol: udp, destinations: [192.0.2.7] }`,
    );
    expect(value!.inbound.map((rule) => formatRule('inbound', rule))).toEqual([
      'TCP: 443,8000-8100 from 10.0.0.0/8, 192.0.2.1-192.0.2.9',
      'ICMP from any except server:db (off)',
    ]);
    expect(value!.outbound.map((rule) => formatRule('outbound', rule))).toEqual([
      'ALL to any',
      'UDP: ALL to 192.0.2.7',
    ]);
  });
});
