/** Dropped packets in the panel: the list that a stream grows into, and the smallest rule that would have let one pass. */
import { describe, expect, it } from 'vitest';
import { keyOf, merged, shownDrops } from '../../../src/panel/data/drops.ts';
import type { Drop } from '../../../src/panel/data/types.ts';
import { allowingRule, canBeAllowed, questionOf } from '../../../src/panel/parts/allowing-rule.ts';

const packet = (values: Partial<Drop> = {}): Drop => ({
  id: 1,
  at: '2026-01-01T00:00:00.000Z',
  reason: 'no-inbound-rule',
  direction: 'inbound',
  protocol: 'tcp',
  source: '192.0.2.1',
  destination: '10.0.0.2',
  sourcePort: 40000,
  destinationPort: 443,
  bytes: 60,
  epoch: 1,
  ...values,
});

const packets = (from: number, to: number): Drop[] =>
  Array.from({ length: to - from }, (_, index) => packet({ id: from + index }));

const ids = (drops: readonly Drop[]): number[] => drops.map(({ id }) => id);

describe('the list of dropped packets', () => {
  it('has the newest first', () => {
    expect(ids(merged(merged([], packets(1, 4)), packets(4, 6)))).toEqual([5, 4, 3, 2, 1]);
  });

  it('shows no packet twice when a stream starts again with known ones', () => {
    const known = merged([], packets(1, 5));
    expect(ids(merged(known, packets(3, 7)))).toEqual([6, 5, 4, 3, 2, 1]);
  });

  it('stays the same object when there is nothing new, so that nothing is drawn again', () => {
    const known = merged([], packets(1, 5));
    expect(merged(known, packets(1, 5))).toBe(known);
    expect(merged(known, [])).toBe(known);
  });

  it('holds as many as can be shown, whatever a flood brings', () => {
    const many = merged(merged([], packets(0, 150)), packets(150, 5000));
    expect(many).toHaveLength(shownDrops);
    expect(ids(many).slice(0, 2)).toEqual([4999, 4998]);
  });

  it('takes a packet of a restarted firewall, whose ids begin again, for another one', () => {
    const before = packet({ id: 7 });
    const after = packet({ id: 7, at: '2026-01-01T00:01:00.000Z' });
    expect(keyOf(before)).not.toBe(keyOf(after));
    expect(merged([before], [after])).toEqual([after, before]);
  });
});

describe('whether a rule would help', () => {
  it.each([
    ['no-inbound-rule', 'tcp', true],
    ['no-outbound-rule', 'udp', true],
    ['no-inbound-rule', 'icmp', true],
    // No rule can name it.
    ['no-inbound-rule', '47', false],
    ['no-server', 'tcp', false],
    ['tcp-out-of-window', 'tcp', false],
  ])('%s, %s: %s', (reason, protocol, helps) => {
    expect(canBeAllowed(packet({ reason, protocol }))).toBe(helps);
  });
});

describe('the smallest rule', () => {
  it('inbound names the source, outbound the destination', () => {
    expect(allowingRule('inbound', packet())).toEqual({
      protocol: 'tcp',
      ports: [443],
      sources: ['192.0.2.1'],
    });
    expect(allowingRule('outbound', packet({ protocol: 'udp' }))).toEqual({
      protocol: 'udp',
      ports: [443],
      destinations: ['10.0.0.2'],
    });
  });

  it('for ICMP has no ports', () => {
    const { sourcePort, destinationPort, ...ping } = packet({ protocol: 'icmp', icmpType: 8 });
    expect([sourcePort, destinationPort]).toEqual([40000, 443]);
    expect(allowingRule('inbound', ping)).toEqual({ protocol: 'icmp', sources: ['192.0.2.1'] });
  });
});

describe('the question what the rules say of it', () => {
  it('has the ports of TCP and UDP', () => {
    expect(questionOf(packet())).toEqual({
      src: '192.0.2.1',
      dst: '10.0.0.2',
      protocol: 'tcp',
      srcPort: 40000,
      dstPort: 443,
    });
  });

  it('has the type of ICMP, and no ports', () => {
    expect(questionOf(packet({ protocol: 'icmp', icmpType: 8 }))).toEqual({
      src: '192.0.2.1',
      dst: '10.0.0.2',
      protocol: 'icmp',
      icmpType: 8,
    });
  });

  it('cannot be asked of other protocols, nor of a fragment that has no ports', () => {
    expect(questionOf(packet({ protocol: '47' }))).toBeUndefined();
    const { destinationPort, ...fragment } = packet();
    expect(destinationPort).toBe(443);
    expect(questionOf(fragment)).toBeUndefined();
  });
});
