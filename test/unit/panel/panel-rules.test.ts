/** Rules while they are edited in the panel: what the fields do not hold is shown, and is saved as it was. */
import { expect, it } from 'vitest';
import type { Rule } from '../../../src/panel/data/types.ts';
import { bodyOf, draftOf, restText } from '../../../src/panel/pages/firewalls/draft.ts';

const until = '2030-01-31T18:00:00Z';

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
])('%j', (text, rule) => {
  const draft = draftOf({ name: 'web', inbound: [rule], outbound: [] });
  expect(restText(draft.inbound[0]!.rest)).toBe(text);
  expect(bodyOf(draft)).toEqual({ inbound: [rule], outbound: [] });
});
