/** Groups and a rule's life on the command line: labels, selectors, rules for a time, and what has expired. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { words } from '../../support/cli.ts';
import { OfflineCli } from '../../support/offline-cli.ts';
import type { TestDirectory } from '../../support/stores.ts';

let cli: OfflineCli;
let directory: TestDirectory;
const run: OfflineCli['run'] = (...args) => cli.run(...args);
const ok: OfflineCli['ok'] = (...args) => cli.ok(...args);

beforeEach(async () => {
  cli = await OfflineCli.createWithTemplates();
  directory = cli.directory;
});
afterEach(() => cli.remove());

test('a rule for two hours, for servers by label but one', async () => {
  const before = Date.now();
  const line =
    'template add-rule spare inbound "TCP: 5432" --from label:role=web --except server:db-1 --for 2h';
  const { code, out, err } = await run(words(line));
  expect([code, err]).toEqual([
    0,
    'warning: spare.yaml: no server matches "role=web": it means nobody until one does\n',
  ]);
  expect(out).toMatch(
    /^spare inbound\[1\] added: TCP: 5432 from label:role=web except server:db-1 \(until .*Z\);/,
  );
  const { inbound } = JSON.parse(await ok('template', 'show', 'spare', '--json')) as {
    inbound: { expires: string }[];
  };
  expect(inbound[1]!.expires).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  const atMs = Date.parse(inbound[1]!.expires) - 7_200_000;
  // In whole seconds, up or down.
  expect(atMs).toBeGreaterThan(before - 1000);
  expect(atMs).toBeLessThan(Date.now() + 1000);
});

test('a server observes for two days, shows it everywhere, and stops', async () => {
  const line = 'server observe web-1 --for 2d';
  const before = Date.now();
  const out = await ok(...words(line));
  const until = /observes until (\S+Z): what no rule allows passes/.exec(out)![1]!;
  expect(Math.abs(Date.parse(until) - before - 172_800_000)).toBeLessThan(60_000);
  expect(await directory.text('servers.yaml')).toContain(`until: "${until}"`);
  expect(await ok('server', 'show', 'web-1')).toContain(`mode: observes until ${until}`);
  expect(await ok('server', 'list')).toMatch(new RegExp(`observes until[^]*web-1 .*${until}`));
  const shown = JSON.parse(await ok(...words('server show web-1 --json'))) as {
    exposure: string[];
  };
  expect(shown.exposure).toContain(`all that no rule allows: observed until ${until}`);
  const status = JSON.parse((await run(words('status --json'))).out) as { observing: unknown };
  expect(status.observing).toEqual([{ server: 'web-1', until }]);
  // What else is changed leaves it alone.
  await ok('server', 'change', 'web-1', '--region', 'hkg');
  expect(await directory.text('servers.yaml')).toContain(`until: "${until}"`);
  expect(await ok('server', 'observe', 'web-1', '--off')).toMatch(/"web-1" enforces its rules/);
  expect(await directory.text('servers.yaml')).not.toMatch(/mode|until/);
});

test('observing without an end, with one that has passed, or one too far ahead is refused', async () => {
  const text = await directory.text('servers.yaml');
  const refused = async (more: string): Promise<string> => {
    const { code, err } = await run(...[words(`server observe web-1${more}`)]);
    return `${code} ${err}`;
  };
  expect(await refused('')).toMatch(/^2 tunwall: how long\? Use --for, --until or --off/);
  expect(await refused(' --for 2d --off')).toMatch(/^2 [^]* cannot be used with/);
  expect(await refused(' --until 2026-01-31T18:00:00Z')).toMatch(/^1 [^]*until: .*has passed/);
  expect(await refused(' --for 15d')).toMatch(
    /^1 [^]*until: expected a time at most 14 days ahead/,
  );
  expect(await directory.text('servers.yaml')).toBe(text);
});

test('in a file, an end that has passed is a warning, and does not refuse other changes', async () => {
  const past = '2026-01-31T18:00:00Z';
  const text = (await directory.text('servers.yaml')).replace(
    /name: web-1/,
    `mode: observe\n    until: ${past}\n    name: web-1`,
  );
  await directory.write({ 'servers.yaml': text });
  const { code, err, out } = await run(words('server show web-1'));
  expect([code, err]).toEqual([0, '']);
  expect(out).toContain(`mode: enforces its rules: observing has ended at ${past}`);
  await ok('server', 'change', 'web-1', '--region', 'hkg');
  expect(await directory.text('servers.yaml')).toContain(`until: ${past}`);
});

test('rules that have expired are marked everywhere, until they are pruned', async () => {
  const past = '2026-01-31T18:00:00Z';
  const text = `# Ours
inbound:
  - { protocol: tcp, ports: [22] } # stays
  - { protocol: tcp, ports: [23], expires: ${past} }
  - { protocol: tcp, ports: [24], expires: 2099-01-31T18:00:00Z }
outbound:
  - { protocol: icmp, expires: ${past} }
  - { protocol: tcp, enabled: false }
`;
  await directory.write({ 'templates/web.yaml': text, 'templates/spare.yaml': text });
  for (const line of ['template show web', 'server rules web-1']) {
    const out = await ok(...words(line));
    expect(out).toMatch(/ 1 +TCP: 23 +any +expired 2026-01-31T18:00:00Z\n/);
    expect(out).toMatch(/ 2 +TCP: 24 +any +until 2099-01-31T18:00:00Z\n/);
  }
  const shown = JSON.parse(await ok('template', 'show', 'web', '--json')) as {
    inbound: { expired?: boolean }[];
  };
  expect(shown.inbound.map(({ expired }) => expired)).toEqual([undefined, true, undefined]);

  const dry = await ok('template', 'prune', '--dry-run');
  expect(dry.split('\n')).toEqual([
    `would be removed: spare inbound[1] TCP: 23 from any (expired ${past})`,
    `would be removed: spare outbound[0] ICMP to any (expired ${past})`,
    `would be removed: web inbound[1] TCP: 23 from any (expired ${past})`,
    `would be removed: web outbound[0] ICMP to any (expired ${past})`,
    '4 expired rules; nothing was changed',
    '',
  ]);
  expect(await directory.text('templates/web.yaml')).toBe(text);
  expect(await ok('template', 'prune', 'web')).toContain('2 expired rules removed;');
  expect(await directory.text('templates/spare.yaml')).toBe(text);
  expect(await directory.text('templates/web.yaml')).toBe(`# Ours
inbound:
  - { protocol: tcp, ports: [22] } # stays
  - { protocol: tcp, ports: [24], expires: 2099-01-31T18:00:00Z }
outbound:
  - { protocol: tcp, enabled: false }
`);
  expect(JSON.parse(await ok('template', 'prune', '--json'))).toMatchObject({
    rules: [
      { template: 'spare', direction: 'inbound', index: 1, rule: { ports: [23] } },
      { direction: 'outbound', index: 0 },
    ],
    changed: [{ kind: 'template', name: 'spare' }],
  });
  expect(await ok('template', 'prune')).toBe('no rule has expired\n');
  expect(await ok('audit')).toMatch(/template.remove-rule +ok +spare/);
  expect((await run(['template', 'prune', 'nope'])).err).toContain('no template "nope"');
});

test('templates for servers by label: assigned in bulk, and those that apply by themselves', async () => {
  await directory.write({
    'servers.yaml': `servers:
  - { name: web-1, addresses: [10.0.0.2], templates: [web], region: hk, labels: { role: web } }
  - { name: web-2, addresses: [10.0.0.3], labels: { role: web } }
  - { name: db-1, addresses: [10.0.0.4], labels: { role: db } }
`,
    'templates/ssh.yaml':
      'appliesTo: [role=db, region=hk]\ninbound: [{ protocol: tcp, ports: [22] }]\n',
  });
  expect(await ok('server', 'assign', '--to', 'role=web', 'web', 'spare')).toContain(
    '2 templates given to 2 servers',
  );
  expect(await ok('server', 'list', '--label', 'role=web')).toMatch(
    /^server +addresses +templates +region +labels\nweb-1 +10\.0\.0\.2 +web, spare, ssh \(region=hk\) +hk +role=web\nweb-2 +10\.0\.0\.3 +web, spare +role=web\n$/,
  );
  expect(await ok('server', 'unassign', '--from', 'role=web,region', 'web')).toContain(
    '1 template taken from 1 server',
  );
  const shown = await ok('server', 'show', 'web-1');
  expect(shown).toContain('  templates: spare\n  applied: ssh (region=hk)\n');
  expect(shown).toContain('  labels: role=web\n');
  expect(await ok('server', 'list', '--template', 'ssh')).toMatch(/\nweb-1 .*\ndb-1 .*\n$/);
  expect(await ok('server', 'rules', 'web-1')).toMatch(
    /template +# +by label +rule +from\n {2}spare +0 +ICMP +any\n {2}ssh +0 +region=hk +TCP: 22 +any\n/,
  );
  const ssh = await ok('template', 'show', 'ssh');
  expect(ssh).toContain('  applies to: role=db or region=hk\n  servers: none\n');
  expect(ssh).toContain('  servers by label: web-1 (region=hk), db-1 (role=db)\n');
  expect(await ok('template', 'list')).toMatch(/ssh +1 +2 /);
  expect(await run(['server', 'assign', '--to', 'role=mail', 'web'])).toMatchObject({
    code: 0,
    err: 'warning: no server matches "role=mail": nothing was done\n',
  });
  expect((await run(['server', 'assign', '--to', 'role=', 'nope'])).err).toContain(
    'there is no template "nope"',
  );
  expect((await run(['server', 'assign', '--to', 'a b', 'web'])).err).toContain(
    'expected a selector like role=web',
  );

  expect(await run(['server', 'edit', 'web-1', '--unlabel', 'role', '--region', ''])).toMatchObject(
    {
      code: 0,
      err: 'warning: ssh.yaml: no server matches "region=hk": it means nobody until one does\n',
    },
  );
  expect(await directory.text('servers.yaml')).toContain(
    '  - { name: web-1, addresses: [10.0.0.2], templates: [spare] }\n',
  );
});

test('the editor keeps what a template applies to', async () => {
  await directory.write({
    'templates/web.yaml':
      'appliesTo: [role=web]\ninbound: [{ protocol: icmp, expires: 2026-01-31T18:00:00Z }]\n',
  });
  cli.editor = `sh -c 'sed -i s/icmp/udp/ "$0"'`;
  await run(['template', 'edit', 'web']);
  expect(await directory.text('templates/web.yaml')).toBe(
    'appliesTo: [role=web]\ninbound: [{ protocol: udp, expires: 2026-01-31T18:00:00Z }]\n',
  );
});
