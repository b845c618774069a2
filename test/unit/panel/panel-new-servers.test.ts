/** Servers that come with a new firewall in the panel: lists that are pasted, and errors at their rows. */
import { describe, expect, it } from 'vitest';
import {
  creationOf,
  meant,
  nameErrors,
  newServer,
  parseServers,
  serverErrors,
} from '../../../src/panel/pages/firewalls/new-servers.ts';

describe('a list of servers', () => {
  it.each<[string, string, readonly [string, string, string, string]]>([
    ['name and address', 'web-1 10.0.0.2', ['web-1', '10.0.0.2', '', '']],
    ['commas', 'web-1,10.0.0.2', ['web-1', '10.0.0.2', '', '']],
    ['tabs of a table', 'web-1\t10.0.0.2\thkg', ['web-1', '10.0.0.2', 'hkg', '']],
    ['more addresses', 'db 10.0.0.3, 10.0.0.4/31', ['db', '10.0.0.3, 10.0.0.4/31', '', '']],
    [
      'all of it, in any order',
      'web-1; 10.0.0.2; role=web; hkg; env=prod\r',
      ['web-1', '10.0.0.2', 'hkg', 'role=web, env=prod'],
    ],
    ['an address that is none, for the API to refuse', 'a 10.0.0.999', ['a', '10.0.0.999', '', '']],
  ])('%s', (_, text, [name, addresses, region, labels]) => {
    const { servers, errors } = parseServers(`# what we have\n\n${text} # a note\n`);
    expect(errors).toEqual([]);
    expect(servers).toMatchObject([{ name, addresses, region, labels }]);
  });

  it('tells every line that says too little or too much', () => {
    const text = 'web-1\n10.0.0.2 web-2\nweb-3 10.0.0.3 hkg sgp\nweb-4 10.0.0.4';
    expect(parseServers(text).errors).toEqual([
      'line 1: web-1 has no address',
      'line 2: a name comes first, not 10.0.0.2',
      'line 3: sgp is no address and no label (key=value), and hkg is the region already',
    ]);
    expect(parseServers('\n # nothing\n')).toEqual({ servers: [], errors: [] });
  });
});

it('a row becomes an operation; one in which nothing was typed becomes none', () => {
  const row = newServer({ name: ' web-1 ', addresses: '10.0.0.2 10.0.0.3', labels: 'role=web' });
  expect(meant([newServer(), row, newServer({ name: ' ' })])).toEqual([row]);
  expect(creationOf(row, 'site')).toEqual({
    kind: 'create-server',
    name: 'web-1',
    body: {
      ...{ name: 'web-1', addresses: ['10.0.0.2', '10.0.0.3'], templates: ['site'] },
      labels: { role: 'web' },
    },
  });
});

it('errors are of the row that they are about', () => {
  const [one, two] = [newServer({ name: 'a' }), newServer({ name: 'b' })];
  const found = serverErrors(
    [
      { path: 'operations[0].body.inbound[0].ports[0]', message: 'of the firewall' },
      { path: 'operations[1].name', message: 'not a name' },
      { path: 'operations[2].body.addresses[0]', message: 'not an address' },
      { path: 'operations[2].body.addresses[1]', message: 'nor this' },
      { path: 'operations[3].servers[0]', message: 'of what is assigned' },
    ],
    [one, two],
  );
  expect([...found.rows]).toEqual([
    [`${one.key} name`, 'not a name'],
    [`${two.key} addresses`, 'not an address; nor this'],
  ]);
  expect(found.others.map(({ message }) => message)).toEqual([
    ...['of the firewall', 'of what is assigned'],
  ]);
  expect([...nameErrors([one, two, newServer({ name: 'b' })], new Set(['a'])).values()]).toEqual([
    ...['there is a server "a" already', '"b" is written twice'],
  ]);
});
