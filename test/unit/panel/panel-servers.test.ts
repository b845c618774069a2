/** Which servers of a long list are shown, and in which order. */
import { expect, it } from 'vitest';
import type { Server } from '../../../src/panel/data/types.ts';
import { filtered, noFilter, sorted } from '../../../src/panel/pages/servers/server-filter.ts';
import type { ServerFilter, Sorting } from '../../../src/panel/pages/servers/server-filter.ts';

function server(name: string, address: string, more: Partial<Server> = {}): Server {
  return {
    ...{ name, addresses: [address], templates: [], appliedTemplates: [], exposure: [] },
    ...{ observing: false },
    ...{ effectiveReject: { inbound: false, outbound: false }, revision: '0' },
    ...more,
  };
}

const list = [
  server('web-10', '10.0.0.10', { templates: ['web', 'ssh'], labels: { role: 'web' } }),
  server('web-9', '10.0.0.9', {
    ...{ region: 'sgp', exposure: ['TCP, port 22'] },
    appliedTemplates: [{ template: 'base', selector: 'region=sgp' }],
  }),
  server('spare', '9.0.0.200', { region: 'hkg' }),
];
const names = (servers: readonly Server[]): string[] => servers.map(({ name }) => name);

it.each<[Partial<ServerFilter>, string[]]>([
  [{}, ['web-10', 'web-9', 'spare']],
  [{ words: 'WEB 10.0.0.1' }, ['web-10']],
  [{ words: 'role=web' }, ['web-10']],
  [{ region: 'sgp' }, ['web-9']],
  [{ label: 'role=web' }, ['web-10']],
  [{ firewall: 'base' }, ['web-9']],
  [{ firewall: 'base', region: 'hkg' }, []],
  [{ isBare: true }, ['spare']],
])('%j', (filter, found) => {
  expect(names(filtered(list, { ...noFilter, ...filter }))).toEqual(found);
});

it.each<[Sorting, string[]]>([
  ['name', ['spare', 'web-9', 'web-10']],
  ['address', ['spare', 'web-9', 'web-10']],
  ['region', ['spare', 'web-9', 'web-10']],
  ['firewalls', ['spare', 'web-9', 'web-10']],
  ['open', ['web-9', 'spare', 'web-10']],
])('by %s', (by, order) => {
  expect(names(sorted(list, by))).toEqual(order);
});
