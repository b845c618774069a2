/** When the fast path is off: what counts as somebody else's way with forwarded packets. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { foreignChains, isKernelNewEnough } from '../../../src/host/fast-path.ts';
import { slotsFor } from '../../../src/host/fast-path-pins.ts';
import { guardTable } from '../../../src/host/guard.ts';
import type { Ruleset } from '../../../src/host/nft.ts';

/** What `nft -j -t list ruleset` has printed of other programs (nft 1.0.6, iptables 1.8.9). */
const rulesets = JSON.parse(
  readFileSync(new URL('../../fixtures/nft/rulesets.json', import.meta.url), 'utf8'),
) as Record<string, Ruleset>;

const rules = (chain: string): string => `chain ${chain} (rules for forwarded packets)`;

describe('chains of others on the way of forwarded packets', () => {
  it.each([
    ['debian-default', [rules('inet filter forward')]],
    // Rules for the host itself are no reason.
    ['iptables-input', []],
    [
      'iptables-forward',
      [rules('ip filter FORWARD'), 'chain ip nat POSTROUTING (NAT)', rules('ip mangle PREROUTING')],
    ],
    // Frames between ports of a bridge, IPv6 and ARP are not what is carried.
    ['others', [rules('netdev n i')]],
  ])('of %s', (name, reasons) => {
    expect(foreignChains(rulesets[name]!)).toEqual(reasons);
  });

  it('are not those of the guard', () => {
    const chain = { family: 'inet', table: guardTable, name: 'forward', hook: 'forward' };
    expect(foreignChains([{ chain }])).toEqual([]);
    expect(foreignChains([{ chain: { ...chain, family: 'netdev' } }])).toEqual([]);
    expect(foreignChains([{ chain: { ...chain, table: 'own' } }])).toHaveLength(1);
  });
});

it('needs Linux 6.6', () => {
  const versions = ['6.6.0', '6.10.1-amd64', '7.0', '6.5.13', '5.15.0-1', 'strange'];
  expect(versions.map(isKernelNewEnough)).toEqual([true, true, true, false, false, false]);
});

it('has a power of two of slots, at least as many as flows up to a million', () => {
  expect([undefined, 1024, 1025, 262_144, 5_000_000].map(slotsFor)).toEqual([
    ...[65_536, 1024, 2048, 262_144, 1_048_576],
  ]);
});
