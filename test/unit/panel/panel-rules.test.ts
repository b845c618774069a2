/** Rules while they are edited in the panel: what is typed is what is saved, and groups are suggested. */
import { expect, it } from 'vitest';
import type { Rule } from '../../../src/panel/data/types.ts';
import {
  bodyOf,
  draftOf,
  momentText,
  optionsText,
  ruleOf,
} from '../../../src/panel/pages/firewalls/draft.ts';
import { suggestions } from '../../../src/panel/parts/suggestions.ts';

const until = '2030-01-31T18:00:00Z';
const nowMs = Date.parse('2030-01-01T00:00:00Z');

it.each<[string, Rule]>([
  ['', { protocol: 'icmp' }],
  ['except 10.0.0.7, server:db', { protocol: 'icmp', except: ['10.0.0.7', 'server:db'] }],
  ['off', { protocol: 'tcp', ports: [80, '8000-8100'], enabled: false }],
  [
    `except 10.0.0.7; off, until ${until}`,
    {
      ...{ protocol: 'udp', sources: ['10.0.0.0/8'], except: ['10.0.0.7'] },
      ...{ enabled: false, expires: until, comment: 'for now' },
    },
  ],
  ['expired 2029-12-31T18:00:00Z', { protocol: 'icmp', expires: '2029-12-31T18:00:00Z' }],
])('%j is kept', (text, rule) => {
  const appliesTo = ['role=web,env!=test', 'region in (hkg,sgp)'];
  const draft = draftOf({ name: 'web', appliesTo, inbound: [rule], outbound: [] });
  expect(optionsText(draft.inbound[0]!, nowMs)).toBe(text);
  expect(bodyOf(draft)).toEqual({ appliesTo, inbound: [rule], outbound: [] });
});

it('what is typed becomes a rule', () => {
  const [rule] = draftOf({
    ...{ name: 'web', inbound: [{ protocol: 'tcp' }], outbound: [] },
  }).inbound;
  const typed = {
    ...{ ports: '443 8443', peers: 'label:role=web,env in (a,b), 10.0.0.1 - 10.0.0.9' },
    ...{ except: 'server:web-9, 10.0.0.3', enabled: false, expires: momentText(nowMs) },
  };
  expect(ruleOf('inbound', { ...rule!, ...typed })).toEqual({
    ...{ protocol: 'tcp', ports: [443, 8443] },
    sources: ['label:role=web,env in (a,b)', '10.0.0.1-10.0.0.9'],
    ...{ except: ['server:web-9', '10.0.0.3'], enabled: false, expires: '2030-01-01T00:00:00Z' },
  });
});

it.each<[string, string[]]>([
  ['', []],
  ['zzz', []],
  ['10.0.0.1, ', []],
  ['ro', ['label:role=db', 'label:role=web']],
  ['10.0.0.1, serv', ['10.0.0.1, server:db-1', '10.0.0.1, server:web-1']],
  ['label:env in (a,b), HKG', ['label:env in (a,b), label:region=hkg']],
  ['template:', ['template:ssh']],
  ['any, OFF', ['any, set:office']],
])('%j is completed', (text, completed) => {
  const servers = [
    { name: 'db-1', labels: { role: 'db' } },
    { name: 'web-1', region: 'hkg', labels: { role: 'web' } },
  ];
  expect(suggestions(text, { servers, templates: ['ssh'], sets: ['office'] })).toEqual(completed);
});
