/** Rules in words: what is always there, and what only some rules have. */
import { describe, expect, it } from 'vitest';
import { lifeText, peersText, ruleText, trafficText } from '../../../src/text/rule-text.ts';

type Rule = Parameters<typeof ruleText>[1];

const until = '2030-01-31T18:00:00Z';

describe('a rule in words', () => {
  it.each<[string, Rule]>([
    ['ALL from any', { protocol: 'all' }],
    ['ICMP from any', { protocol: 'icmp' }],
    ['TCP: ALL from any', { protocol: 'tcp' }],
    ['TCP: 22,8000-8100 from any', { protocol: 'tcp', ports: [22, '8000-8100'] }],
    [
      'UDP: 53 from 10.0.0.0/8, label:role=web',
      { protocol: 'udp', ports: [53], sources: ['10.0.0.0/8', 'label:role=web'] },
    ],
    [
      'ICMP from 10.0.0.0/8 except 10.0.0.7, server:web-9',
      { protocol: 'icmp', sources: ['10.0.0.0/8'], except: ['10.0.0.7', 'server:web-9'] },
    ],
    ['ICMP from any except 10.0.0.7', { protocol: 'icmp', except: ['10.0.0.7'] }],
    ['ALL from any', { protocol: 'all', enabled: true }],
    ['ALL from any (off)', { protocol: 'all', enabled: false }],
    [`ALL from any (until ${until})`, { protocol: 'all', expires: until }],
    [`ALL from any (expired ${until})`, { protocol: 'all', expires: until, expired: true }],
    [`ALL from any (off, until ${until})`, { protocol: 'all', enabled: false, expires: until }],
  ])('%s', (text, rule) => {
    expect(ruleText('inbound', rule)).toBe(text);
    const { sources, ...rest } = rule;
    const outbound = sources === undefined ? rest : { ...rest, destinations: sources };
    expect(ruleText('outbound', outbound)).toBe(text.replace(' from ', ' to '));
    const parts = [trafficText(rule), peersText(rule), lifeText(rule)];
    expect(parts.every((part) => text.includes(part))).toBe(true);
  });
});
