/** docs/configure.md against the validators: every key, its default, and the range that is accepted. */
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { validateUsers } from '../../../src/policy/users.ts';
import { defaultGatewayConfig, validateGateway } from '../../../src/policy/validate-gateway.ts';
import { validateServers, validateTemplate } from '../../../src/policy/validate.ts';
import type { Validated } from '../../../src/policy/validate.ts';
import { codeIn, readText, tableRows } from '../../support/documents.ts';

const page = readText('docs/configure.md');
const keysIn = (heading: string): string[] => tableRows(page, heading).map(([key]) => codeIn(key!));

/** The keys that a validator knows where the text has the key `zzz`. */
function knownKeys({ problems }: Validated<unknown>): string[] {
  const [, list = ''] = /unknown key "zzz".*\(known: (.+)\)/.exec(
    problems.map(({ message }) => message).join('\n'),
  )!;
  return list.split(', ');
}

const gateway = (text: string): Validated<unknown> => validateGateway('f', text);
const template = (text: string): Validated<unknown> => validateTemplate('t', 'f', text);
const servers = (text: string): Validated<unknown> => validateServers('f', text, new Set());
const users = (text: string): Validated<unknown> => validateUsers('f', text);

describe('every key', () => {
  it.each<[string, Validated<unknown>[]]>([
    ['## Templates', [template('zzz: 1'), template('inbound: [{ zzz: 1 }]')]],
    ['## servers.yaml', [servers('zzz: 1'), servers('servers: [{ zzz: 1 }]')]],
    [
      '## users.yaml',
      [users('zzz: 1'), users('users: [{ zzz: 1 }]'), users('users: [{ tokens: [{ zzz: 1 }] }]')],
    ],
  ])('of %s', (heading, probes) => {
    expect(keysIn(heading).sort()).toEqual(probes.flatMap(knownKeys).sort());
  });

  it('of gateway.yaml', () => {
    const keys = knownKeys(gateway('zzz: 1')).flatMap((key) => {
      const nested = gateway(`${key}: { zzz: 1 }`);
      const isMapping = key !== 'reload' && /"zzz"/.test(nested.problems[0]!.message);
      return isMapping ? knownKeys(nested).map((each) => `${key}.${each}`) : [key];
    });
    expect(keysIn('## gateway.yaml').sort()).toEqual(keys.sort());
  });
});

describe.each(tableRows(page, '## gateway.yaml'))('%s', (cell, written, range) => {
  const key = codeIn(cell);
  const set = (value: string): Validated<unknown> =>
    gateway(
      key.replace(/^(\w+)\.(\w+)$/, '$1: { $2') + `: ${value}${key.includes('.') ? ' }' : ''}`,
    );

  it('has its default', () => {
    const { host, port, ...api } = defaultGatewayConfig.api;
    const allow = defaultGatewayConfig.metrics.allow.map(({ text }) => text);
    const defaults = {
      ...defaultGatewayConfig,
      api: { ...api, listen: `${host}:${port}` },
      metrics: { allow },
    };
    if (written === 'none') {
      expect(defaults).not.toHaveProperty(key);
      return;
    }
    expect(defaults).toHaveProperty(key, parse(codeIn(written)));
    expect(set(codeIn(written)).problems).toEqual([]);
  });

  it('has its range', () => {
    const bounds = /^(?<min>[\d.]+) to (?<max>[\d.]+)$/.exec(range)?.groups;
    const words = /^`[a-z]+`(, `[a-z]+`)*$/.test(range)
      ? [...range.matchAll(/`(\w+)`/g)].map(([, word]) => word!)
      : [];
    const accepted = [...(bounds === undefined ? [] : [bounds['min']!, bounds['max']!]), ...words];
    for (const value of accepted) expect(set(value).problems, value).toEqual([]);
    if (bounds !== undefined) {
      const { min, max } = bounds;
      const step = Number.isInteger(Number(min)) ? 1 : Number(min);
      for (const value of [Number(min) - step - (step < 1 ? 0.001 : 0), Number(max) + 1]) {
        expect(set(String(value)).problems, String(value)).toHaveLength(1);
      }
    }
    if (words.length > 0) {
      const message = set('zzz').problems[0]!.message;
      for (const word of words) expect(message).toContain(word);
    }
    expect(bounds !== undefined || words.length > 0 || /[a-z]{4}/.test(range)).toBe(true);
  });
});
