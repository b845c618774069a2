/** `tunwall reach` and `tunwall find`, where no firewall runs. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findCommand } from '../../../src/cli/find-command.ts';
import { reachCommand } from '../../../src/cli/reach-command.ts';
import { runCli } from '../../support/cli.ts';
import type { Ran } from '../../support/cli.ts';
import { offlineConnections } from '../../support/control-plane.ts';
import { TestDirectory } from '../../support/stores.ts';

const files = {
  'templates/web.yaml': `inbound:
  - { protocol: tcp, ports: [80, "8000-8100"], comment: Public site }
  - { protocol: tcp, ports: [22], sources: ["set:office"], except: [192.0.2.9] }
outbound:
  - { protocol: tcp, ports: [5432], destinations: ["label:role=db"] }
`,
  'templates/db.yaml': `inbound:
  - protocol: tcp
    ports: [5432]
    sources: ["server:web-1"]
  - { protocol: tcp, sources: [10.2.0.0/15], enabled: false }
`,
  'sets/office.yaml': 'addresses: [192.0.2.0/24]\n',
  'servers.yaml': `servers:
  - { name: web-1, addresses: [10.0.0.1], templates: [web] }
  - { name: web-2, addresses: [10.0.0.2], templates: [web] }
  - { name: db-1, addresses: [10.0.0.3], templates: [db], labels: { role: db } }
`,
};

let directory: TestDirectory;
beforeEach(async () => {
  directory = await TestDirectory.create(files);
});
afterEach(() => directory.remove());

async function run(...args: string[]): Promise<Ran> {
  const connections = offlineConnections();
  const ran = await runCli(
    [reachCommand(connections), findCommand(connections)],
    [...args, '--config', directory.path],
  );
  return { ...ran, out: ran.out.replaceAll(`${directory.path}/templates/`, '') };
}

describe('reach', () => {
  it('says who can open a port, by which rules of both sides', async () => {
    expect(await run('reach', '--to', 'db-1:5432')).toEqual({
      code: 0,
      err: '',
      out: `web-1 (10.0.0.1) -> db-1 (10.0.0.3)  TCP: 5432
  TCP: 5432 to label:role=db  web.yaml:5: outbound[0]
  TCP: 5432 from server:web-1  db.yaml:2: inbound[0]
`,
    });
  });

  it('says what an end can open, and takes groups', async () => {
    const { out } = await run('reach', '--from', 'set:office', '--to', 'web-2');
    expect(out)
      .toBe(`192.0.2.0-192.0.2.8, 192.0.2.10-192.0.2.255 (no server) -> web-2 (10.0.0.2)  TCP: 22,80,8000-8100
  TCP: 80,8000-8100 from any  web.yaml:2: inbound[0] (Public site)
  TCP: 22 from set:office except 192.0.2.9  web.yaml:3: inbound[1]

192.0.2.9 (no server) -> web-2 (10.0.0.2)  TCP: 80,8000-8100
  TCP: 80,8000-8100 from any  web.yaml:2: inbound[0] (Public site)
`);
    expect((await run('reach', '--from', 'db-1')).out).toBe('nobody: no rule lets that through\n');
  });

  it('as JSON', async () => {
    const { out } = await run('reach', '--to', 'db-1', '--from', 'web-1', '--json');
    expect(JSON.parse(out)).toEqual({
      rows: [
        {
          from: { servers: ['web-1'], addresses: ['10.0.0.1'] },
          to: { servers: ['db-1'], addresses: ['10.0.0.3'] },
          protocol: 'tcp',
          ports: ['5432'],
          outbound: [
            {
              ...{ template: 'web', direction: 'outbound', index: 0, line: 5 },
              text: 'TCP: 5432 to label:role=db',
            },
          ],
          inbound: [
            {
              ...{ template: 'db', direction: 'inbound', index: 0, line: 2 },
              text: 'TCP: 5432 from server:web-1',
            },
          ],
        },
      ],
      epoch: 0,
    });
  });

  it('needs an end, and one that is there', async () => {
    expect(await run('reach')).toMatchObject({ code: 2 });
    const unknown = await run('reach', '--to', 'db-2:5432');
    expect(unknown).toMatchObject({ code: 1, out: '' });
    expect(unknown.err).toContain('there is no server "db-2"; did you mean "db-1"?');
  });

  it('does not answer from a directory with errors', async () => {
    await directory.write({ 'templates/db.yaml': 'inbound: [{ protocol: tcpp }]\n' });
    const { code, out, err } = await run('reach', '--to', 'web-1');
    expect([code, out]).toEqual([1, '']);
    expect(err).toContain('db.yaml:1:23: inbound[0].protocol: ');
  });
});

describe('find', () => {
  it.each([
    ['10.3.0.0/16', '  TCP: ALL from 10.2.0.0/15 (off)  db.yaml:5: inbound[1] (10.2.0.0/15)\n'],
    [
      '192.0.2.9',
      '  TCP: 22 from set:office except 192.0.2.9  web.yaml:3: inbound[1] (set:office)\n',
    ],
    ['10.0.0.3', '  TCP: 5432 to label:role=db  web.yaml:5: outbound[0] (label:role=db)\n'],
    ['8080', '  TCP: 80,8000-8100 from any  web.yaml:2: inbound[0] (8000-8100)\n'],
    ['public', '  TCP: 80,8000-8100 from any  web.yaml:2: inbound[0] (Public site)\n'],
    ['server:web', '  TCP: 5432 from server:web-1  db.yaml:2: inbound[0]\n'],
  ])('%s', async (what, out) => {
    expect(await run('find', what)).toMatchObject({ code: 0, out });
  });

  it('says which rules are about it without naming it', async () => {
    expect((await run('find', '10.0.0.3')).err).toBe(
      '1 rule for any address not listed: --wider lists them\n',
    );
    expect((await run('find', '22', '--wider')).out.split('\n')).toEqual([
      '  TCP: 22 from set:office except 192.0.2.9  web.yaml:3: inbound[1] (22)',
      '  TCP: ALL from 10.2.0.0/15 (off)  db.yaml:5: inbound[1] (any)',
      '',
    ]);
  });

  it('fails if there is none', async () => {
    expect(await run('find', '3389')).toMatchObject({
      ...{ code: 1, out: '' },
      err: expect.stringContaining('no rule names it, as one of ports\n') as string,
    });
    expect((await run('find', '10.0.0.1/8')).err).toContain('has bits set behind its length');
  });
});
