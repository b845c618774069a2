/** Rules while they are edited in the panel: what is typed is what is saved, and groups are suggested. */
import { expect, it } from 'vitest';
import type { Rule, Template } from '../../../src/panel/data/types.ts';
import {
  bodyOf,
  draftOf,
  edit,
  optionsText,
  ruleOf,
} from '../../../src/panel/pages/firewalls/draft.ts';
import { formatTime } from '../../../src/panel/parts/format.ts';
import { hitTimes } from '../../../src/panel/parts/hit-times.ts';
import { suggestions } from '../../../src/panel/parts/suggestions.ts';
import { momentText } from '../../../src/text/moment.ts';

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

const byHand: readonly Rule[] = [
  { protocol: 'tcp', ports: [22], enabled: true, log: false, comment: '  two  blanks ' },
  { protocol: 'tcp', sources: ['any'], except: [], comment: '' },
  { protocol: 'udp', sources: ['label:role in (web,  api),env=prod', '10.0.0.1 - 10.0.0.9'] },
];

it('rules, and fields of a rule, that nobody touches are said as they were', () => {
  const draft = draftOf({ name: 'web', inbound: [...byHand], outbound: [] });
  expect(bodyOf(draft).inbound).toEqual(byHand);
  const [first, second, third] = draft.inbound;
  expect(ruleOf('inbound', { ...first!, ports: '23' })).toEqual({ ...byHand[0], ports: [23] });
  expect(ruleOf('inbound', { ...second!, comment: 'for now' })).toEqual({
    ...byHand[1],
    comment: 'for now',
  });
  expect(ruleOf('inbound', { ...third!, enabled: false, peers: 'any' })).toEqual({
    ...{ protocol: 'udp', enabled: false },
  });
  expect(ruleOf('inbound', { ...first!, protocol: 'icmp' })).not.toHaveProperty('ports');
  const base = { ...template(byHand), description: ' The front ' };
  const changed = edit({ ...draftOf(base), servers: ['web-1'] }, base)[0];
  expect(changed).toMatchObject({ body: { description: ' The front ', inbound: byHand } });
});

function template(inbound: readonly Rule[]): Template {
  return {
    ...{ name: 'web', inbound: [...inbound], outbound: [], revision: '0' },
    ...{ servers: [], appliedServers: [], exposure: [] },
  };
}

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

const since = '2030-01-01T00:00:00.000Z';

it.each([
  [{}, undefined],
  [{ hits: 0, hitsSince: since }, `Never hit since ${formatTime(since)}`],
  [
    { hits: 2, hitsSince: since, lastHit: until },
    `Last hit ${formatTime(until)}. Counted since ${formatTime(since)}`,
  ],
])('hits %j are told with their times', (hits, text) => {
  expect(hitTimes(hits)).toBe(text);
});
