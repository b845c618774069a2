/** `tunwall template`, `server`, `user`, `status` and `audit` as they are typed, on a directory without a firewall. */
import { afterEach, beforeEach, describe, expect, it, test } from 'vitest';
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

const notInForce = 'not in force: no firewall runs';
describe('what is done is reported, and is in the files', () => {
  test.each<[line: string, reported: string, file: string, content: RegExp]>([
    ['template create new', 'template "new" created with 0 rules', 'templates/new.yaml', /^$/],
    [
      'template create new --description "a b"',
      '"new" created',
      'templates/new.yaml',
      /description: a b/,
    ],
    ['template create new --preset ssh', 'with 1 rule;', 'templates/new.yaml', /ports: \[22\]/],
    ['template create new --clone web', 'with 2 rules', 'templates/new.yaml', /# from the office/],
    [
      'template create new --assign db-1,web-1',
      'created',
      'servers.yaml',
      /db-1\n.*\n +templates: \[new\]/,
    ],
    ['template clone web new', 'template "web" cloned to "new"', 'templates/new.yaml', /# both/],
    [
      'template rename web new',
      'template "web" renamed to "new"',
      'servers.yaml',
      /\[new\] # a union/,
    ],
    ['template destroy spare', 'template "spare" destroyed', 'servers.yaml', /web/],
    ['template destroy web --force', 'template "web" destroyed', 'servers.yaml', /templates: \[\]/],
    [
      'template add-rule web inbound "TCP: 443" --from 10.0.0.0/8 --comment HTTPS',
      'web inbound[2] added: TCP: 443 from 10.0.0.0/8',
      'templates/web.yaml',
      /protocol: tcp, ports: \[443\], sources: \[10\.0\.0\.0\/8\], comment: HTTPS/,
    ],
    [
      'template add-rule web inbound icmp --at 0',
      'web inbound[0] added: ICMP from any',
      'templates/web.yaml',
      /inbound:\n +- \{? ?protocol: icmp/,
    ],
    [
      'template add-rule web outbound "udp:53, 8000-8100" --to 192.0.2.1,192.0.2.2 --to 10.0.0.0/8',
      'web outbound[0] added: UDP: 53,8000-8100 to 192.0.2.1, 192.0.2.2, 10.0.0.0/8',
      'templates/web.yaml',
      /ports: \[53, "?8000-8100"?\]/,
    ],
    [
      'template replace-rule web inbound 1 "TCP: ALL"',
      'web inbound[1] replaced: TCP: ALL from any',
      'templates/web.yaml',
      /# from the office\n +- protocol: tcp\n$/,
    ],
    [
      'template remove-rule web inbound 0',
      'web inbound[0] removed',
      'templates/web.yaml',
      /inbound:\n +# from/,
    ],
    [
      'template move-rule web inbound 1 0',
      'web inbound[1] moved to inbound[0]',
      'templates/web.yaml',
      /22\][^]*HTTP/,
    ],
    [
      'server create new --address 10.0.0.9',
      'server "new" created',
      'servers.yaml',
      /name: new\n +addresses: \[10\.0\.0\.9\]/,
    ],
    [
      'server create new --address 10.0.0.9,10.0.0.8 --template web,spare --region hk --label role=x',
      'server "new" created',
      'servers.yaml',
      /addresses: \[10\.0\.0\.9, 10\.0\.0\.8\]\n +templates: \[web, spare\]\n +region: hk\n +labels: \{ role: x \}/,
    ],
    [
      'server change web-1 --address 10.0.0.9',
      'server "web-1" changed',
      'servers.yaml',
      /web-1[^]*addresses: \[10\.0\.0\.9\][^]*a union/,
    ],
    [
      'server change web-1 --region hk --label role=x',
      'server "web-1" changed',
      'servers.yaml',
      /web-1[^]*region: hk\n +labels: \{ role: x \}/,
    ],
    [
      'server edit web-1 --label env=prod,role=x --unlabel nothing',
      'server "web-1" changed',
      'servers.yaml',
      /web-1[^]*labels: \{ env: prod, role: x \}/,
    ],
    [
      'server create new --address 10.0.0.9 --reject both',
      'server "new" created',
      'servers.yaml',
      /name: new\n[^]*reject: \{ inbound: true, outbound: true \}/,
    ],
    [
      'server change web-1 --reject outbound',
      'server "web-1" changed',
      'servers.yaml',
      /web-1[^]*reject: \{ inbound: false, outbound: true \}/,
    ],
    ['server destroy db-1', 'server "db-1" destroyed', 'servers.yaml', /web-1/],
    [
      'server assign web-1 db-1 --template spare',
      '1 template given to 2 servers',
      'servers.yaml',
      /\[spare\]/,
    ],
    [
      'server unassign web-1 --template web,spare',
      '2 templates taken from 1 server',
      'servers.yaml',
      /templates: \[\] # a union/,
    ],
    [
      'user create bob --role member',
      'user "bob" created: member',
      'users.yaml',
      /name: bob[^]*scrypt/,
    ],
    [
      'user create ci --role owner --no-password',
      'user "ci" created: owner',
      'users.yaml',
      /ci\n +role: owner\n/,
    ],
  ])('%s', async (line, reported, file, content) => {
    const out = await ok(...words(line));
    expect(out).toContain(reported);
    if (!line.startsWith('user')) expect(out).toContain(notInForce);
    expect(await directory.text(file)).toMatch(content);
  });

  test('with --json it is the answer of the API', async () => {
    const made = JSON.parse(await ok('template', 'create', 'new', '--json')) as object;
    expect(made).toMatchObject({ name: 'new', inbound: [], applied: { applied: false } });
    const gone = JSON.parse(await ok('template', 'destroy', 'new', '--json')) as object;
    expect(gone).toMatchObject({ changed: [{ name: 'new' }], applied: { applied: false } });
    const added = await ok('template', 'add-rule', 'web', 'outbound', 'ALL', '--json');
    expect(JSON.parse(added)).toMatchObject({ outbound: [{ protocol: 'all' }] });
  });

  test('a revision that is not there any more changes nothing', async () => {
    const shown = JSON.parse(await ok('template', 'show', 'web', '--json')) as { revision: string };
    const { revision } = shown;
    await ok('template', 'remove-rule', 'web', 'inbound', '0', '--revision', revision);
    const again = await run([
      'template',
      'remove-rule',
      'web',
      'inbound',
      '0',
      '--revision',
      revision,
    ]);
    expect(again).toMatchObject({ code: 1, out: '' });
    expect(again.err).toMatch(/changed by somebody else meanwhile\n {2}look at it again/);
    expect(await ok('template', 'show', 'web')).toContain('TCP: 22');
  });
});

describe('what is there is printed', () => {
  test.each<[line: string, out: RegExp]>([
    [
      'template list',
      /^template +rules +servers +changed +description\nspare +1 +0 +-\nweb +2 +1 +- +Public web server\n$/,
    ],
    [
      'template show web',
      /^template web, revision \w+\n {2}Public web server\n {2}servers: web-1\n\ninbound\n {2}# +rule +from +comment\n {2}0 +TCP: 80,443 +any +HTTP\n {2}1 +TCP: 22 +198\.51\.100\.0\/24\n\noutbound: no rules, everything is dropped\n$/,
    ],
    ['template presets', /^preset +category +title\n[^]*\npostgresql +database/],
    ['template presets ssh', /^preset ssh \(administration\): SSH\n[^]*0 +TCP: 22 +any/],
    [
      'server list',
      /^server +addresses +templates +region\nweb-1 +10\.0\.0\.2 +web\ndb-1 +10\.0\.0\.3, 10\.0\.1\.3 +none: everything is dropped\n$/,
    ],
    ['server list --template web', /\nweb-1[^\n]*\n$/],
    ['server list --region mars', /^there are no servers\n$/],
    [
      'server show db-1',
      /^server db-1, revision \w+\n {2}addresses: 10\.0\.0\.3, 10\.0\.1\.3\n {2}templates: none/,
    ],
    [
      'server rules web-1',
      /inbound\n {2}template +# +rule +from +comment\n {2}web +0 +TCP: 80,443 +any +HTTP\n {2}web +1/,
    ],
    ['user list', /^user +role +password +tokens\n$/],
    ['audit', /^at +who +action +result +target +summary\n$/],
  ])('%s', async (line, out) => {
    expect(await ok(...words(line))).toMatch(out);
  });

  test.each<[line: string, json: object]>([
    [
      'template list',
      { templates: [{ name: 'spare' }, { name: 'web', ruleCount: 2, servers: ['web-1'] }] },
    ],
    ['template show web', { name: 'web', inbound: [{ ports: [80, 443] }, {}] }],
    ['template presets', { presets: expect.any(Array) as unknown }],
    ['template presets ssh', { name: 'ssh' }],
    ['server list', { servers: [{ name: 'web-1' }, { name: 'db-1' }] }],
    ['server show db-1', { name: 'db-1', templates: [] }],
    [
      'server rules web-1',
      { inbound: [{ template: 'web', index: 0 }, { index: 1 }], outbound: [] },
    ],
    ['user list', { users: [] }],
    ['audit', { records: [] }],
  ])('%s --json', async (line, json) => {
    expect(JSON.parse(await ok(...words(line), '--json'))).toMatchObject(json);
  });

  test('a server rejects by its own setting, or by that of the gateway', async () => {
    const rejects = async (): Promise<string> =>
      /rejects: .*/.exec(await ok('server', 'show', 'web-1'))![0];
    expect(await rejects()).toBe("rejects: nothing (the gateway's setting)");
    await ok('server', 'change', 'web-1', '--reject', 'inbound');
    expect(await rejects()).toBe('rejects: inbound (its own setting)');
    await ok('server', 'change', 'web-1', '--reject', 'gateway');
    expect(await rejects()).toBe("rejects: nothing (the gateway's setting)");
    expect(await directory.text('servers.yaml')).not.toContain('reject');
  });

  test('rules with exceptions, and rules that are off or end', async () => {
    const temporary = await OfflineCli.create({
      'templates/web.yaml': `inbound:
  - { protocol: tcp, ports: [22], sources: [10.0.0.0/8], except: [10.0.0.7, "server:web-1"] }
  - { protocol: icmp, enabled: false, expires: 2030-01-31T18:00:00Z }
`,
      'servers.yaml':
        'servers:\n  - { name: web-1, addresses: [10.0.0.2], templates: [web], labels: { role: web } }\n',
    });
    for (const line of ['template show web', 'server rules web-1']) {
      const out = await temporary.ok(...words(line));
      expect(out).toMatch(/# +rule +from +in force\n/);
      expect(out).toMatch(/ 0 +TCP: 22 +10\.0\.0\.0\/8 except 10\.0\.0\.7, server:web-1\n/);
      expect(out).toMatch(/ 1 +ICMP +any +off, until 2030-01-31T18:00:00Z\n/);
    }
    await temporary.ok(
      ...['template', 'replace-rule', 'web', 'inbound', '0', 'TCP: 22', '--off'],
      ...['--from', 'label:role=web,env!=test', '--except', '10.0.0.9,10.0.0.7'],
      ...['--until', '2031-01-31T18:00:00Z'],
    );
    const shown = await temporary.ok('template', 'show', 'web', '--json');
    const { inbound } = JSON.parse(shown) as { inbound: object[] };
    expect(inbound[0]).toEqual({
      protocol: 'tcp',
      ports: [22],
      sources: ['label:role=web,env!=test'],
      except: ['10.0.0.9', '10.0.0.7'],
      enabled: false,
      expires: '2031-01-31T18:00:00Z',
    });
    const late = ['web', 'inbound', 'TCP: 23', '--until', '2020-01-31T18:00:00Z'];
    expect(await temporary.ok('template', 'add-rule', ...late)).toContain(
      'added: TCP: 23 from any (expired 2020-01-31T18:00:00Z)',
    );
    await temporary.remove();
  });

  test('a directory without templates says how to begin', async () => {
    const empty = await OfflineCli.create({});
    expect(await empty.ok('template', 'list')).toContain('tunwall template create');
    await empty.remove();
  });
});

describe('what is refused says all that is wrong, and changes nothing', () => {
  const failing: [line: string, err: RegExp][] = [
    ['template show nope', /^tunwall: there is no template "nope"/],
    ['template create web', /^tunwall: there is a template "web" already\n$/],
    ['template create ../x', /^tunwall: some values are not valid:\n {2}name: /],
    ['template create new --preset nope', /\n {2}preset: there is no preset "nope"/],
    ['template create new --clone nope', /\n {2}clone: there is no template "nope"/],
    ['template create new --assign web-1,nope', /\n {2}assignTo\[1\]: there is no server "nope"/],
    ['template destroy web', /^tunwall: template "web" is assigned to web-1\n {2}.*--force\n$/],
    ['template rename web spare', /there is a template "spare" already/],
    ['template presets nope', /there is no preset "nope"/],
    ['template remove-rule web inbound 7', /there is no rule/],
    [
      'template add-rule web inbound "TCP: 443" --from 10.0.0.0/33,x',
      /^tunwall: some values are not valid:\n {2}sources\[0\]: .*\n {2}sources\[1\]: /,
    ],
    ['template rollback web 9', /there is no history of a template/],
    ['server create web-1 --address 10.0.0.9', /there is a server "web-1" already/],
    ['server create new --address 10.0.0.2,x', /\n {2}addresses\[1\]: /],
    [
      'server create new --address 10.0.0.9 --label x',
      /^tunwall: "x" is no label\n {2}expected one like/,
    ],
    ['server assign web-1 nope --template web', /there is no server "nope"/],
    ['server change web-1', /nothing to change\n {2}give --address/],
    ['server change web-1 --address x', /\n {2}addresses\[0\]: /],
    ['server change nope --region x', /there is no server "nope"/],
    ['server change web-1 --region x --revision 0000', /was changed by somebody else/],
    ['server show nope', /there is no server "nope"/],
    ['server rules nope', /there is no server "nope"/],
    ['user role nope member', /there is no user "nope"/],
    ['user destroy nope', /there is no user "nope"/],
    ['user token revoke nope x', /there is no/],
    ['audit --since yesterday', /since: /],
  ];
  test.each(failing)('%s', async (line, err) => {
    const before = await directory.contents();
    const ran = await run(words(line));
    expect(ran.err).toMatch(err);
    expect(ran.err).not.toContain('    at ');
    expect({ code: ran.code, out: ran.out }).toEqual({ code: 1, out: '' });
    expect(await directory.contents()).toEqual(before);
  });

  test('errors of the directory are reported with their place', async () => {
    await directory.write({ 'templates/bad.yaml': 'inbound: [{ protocol: tpc }]\n' });
    const { code, err } = await run(['template', 'create', 'new']);
    expect(code).toBe(1);
    expect(err).toMatch(
      /errors in the configuration stand in the way:\n {2}.*bad\.yaml:1:\d+: inbound\[0\]\.protocol: /,
    );
    expect(err).toContain('tunwall check');
    const status = await run(['status']);
    expect(status.code).toBe(1);
    expect(status.err).toMatch(/bad\.yaml:1:\d+: inbound\[0\]\.protocol: /);
  });

  test.each<[line: string, err: RegExp]>([
    ['template', /Usage: tunwall template/],
    ['template shw web', /Did you mean show/],
    ['template show', /missing required argument 'template'/],
    ['template create new --preset ssh --clone web', /cannot be used with/],
    ['template add-rule web sideways ICMP', /Allowed choices are inbound, outbound/],
    ['template add-rule web inbound "TCP: 0-70000"', /port/],
    ['template add-rule web inbound SCTP', /expected ALL, ICMP, TCP or UDP/],
    ['template add-rule web inbound ICMP --to 10.0.0.1', /inbound rule has sources: use --from/],
    ['template replace-rule web outbound 0 ICMP --from 10.0.0.1', /outbound rule has destinations/],
    ['template remove-rule web inbound -- -1', /expected a rule's number from 0 up/],
    ['template rollback web x', /expected a version from 0 up/],
    ['server create new', /required option '--address/],
    ['server assign web-1', /which templates\? Use --template/],
    ['server assign --template web', /which servers\? Name them, or use --to/],
    ['server unassign --from role=web', /which templates\?/],
    ['template add-rule web inbound ICMP --for 2', /expected a length of time like 30m/],
    ['template add-rule web inbound ICMP --for 2h --until x', /cannot be used with/],
    ['user create bob', /required option '--role/],
    ['user create bob --role boss', /Allowed choices are owner, member/],
    ['user token', /Usage: tunwall user token/],
    ['audit --result maybe', /Allowed choices/],
    ['audit --limit 5000', /expected a number from 1 to 1000/],
    ['status --url http://x --socket y', /cannot be used with/],
  ])('%s is a usage error', async (line, message) => {
    const { code, out, err } = await cli.runBare(words(line));
    expect(err).toMatch(message);
    expect({ code, out }).toEqual({ code: 2, out: '' });
  });
});

describe('users and tokens', () => {
  it('creates, changes, revokes and destroys', async () => {
    await ok('user', 'create', 'alice', '--role', 'owner');
    await ok('user', 'create', 'ci', '--role', 'member', '--no-password');
    const { code, out, err } = await run(['user', 'token', 'create', 'ci', 'deploy']);
    expect(code).toBe(0);
    expect(out).toMatch(/^\S{20,}\n$/);
    expect(err).toContain('not shown again');
    expect(await directory.text('users.yaml')).not.toContain(out.trim());
    expect(await ok('user', 'list')).toMatch(/\nalice +owner +yes\nci +member +no +deploy\n$/);
    expect(await ok('user', 'role', 'ci', 'billing-member')).toBe('user "ci" is billing-member\n');
    cli.secrets = ['another fine password', 'and a third one'];
    const kept = await run(['user', 'password', 'ci']);
    expect([kept.code, kept.out]).toEqual([0, 'user "ci" has a new password\n']);
    expect(kept.err).toBe(
      'API tokens made before stay valid: deploy (--revoke-tokens ends them)\n',
    );
    expect(await ok('user', 'password', 'ci', '--revoke-tokens')).toBe(
      'user "ci" has a new password and no API tokens any more\n',
    );
    await run(['user', 'token', 'create', 'ci', 'deploy']);
    expect(await ok('user', 'token', 'revoke', 'ci', 'deploy')).toContain('revoked');
    expect(await ok('user', 'destroy', 'ci')).toBe('user "ci" destroyed\n');
    const last = await run(['user', 'destroy', 'alice']);
    expect([last.code, last.err]).toEqual([1, expect.stringContaining('last owner')]);
  });

  it('says why, in the audit log', async () => {
    await ok('user', 'create', 'alice', '--role', 'owner', '-m', 'the first');
    await ok('user', 'create', 'ci', '--role', 'member', '--no-password', '-m', 'größer, 100 %');
    await run(['user', 'token', 'create', 'ci', 'deploy', '-m', 'for the pipeline']);
    await ok('user', 'destroy', 'ci', '-m', 'moved');
    const { records } = JSON.parse(await ok('audit', '--json')) as { records: { why: string }[] };
    expect(records.map(({ why }) => why)).toEqual([
      ...['moved', 'for the pipeline', 'größer, 100 %', 'the first'],
    ]);
  });

  it('refuses a short password without repeating it', async () => {
    cli.secrets = ['s3cr'];
    const { code, err } = await run(['user', 'create', 'bob', '--role', 'member']);
    expect(code).toBe(1);
    expect(err).toMatch(/password/);
    expect(err).not.toContain('s3cr');
  });
});

describe('status and audit', () => {
  it('status says that no firewall runs, and ends with 1', async () => {
    const { code, out } = await run(['status']);
    expect(code).toBe(1);
    expect(out).toContain(`no firewall is running: this is what ${directory.path} says`);
    expect(out).toContain('2 templates, 2 servers, 3 rules');
    const json = await run(['status', '--json']);
    expect([json.code, JSON.parse(json.out)]).toEqual([
      1,
      expect.objectContaining({ running: false }),
    ]);
  });

  it('audit prints actors and actions, page by page', async () => {
    await ok('template', 'create', 'a');
    await ok('template', 'create', 'b');
    await run(['template', 'create', 'b']);
    const { out, err } = await run(['audit', '--limit', '2']);
    expect(out).toMatch(
      /alice \(cli\) +template\.create +refused +b .*\n.*alice \(cli\) +template\.create +ok +b/,
    );
    const [, before] = /there is more: --before (\S+)/.exec(err)!;
    expect(await ok('audit', '--before', before!)).toMatch(/template\.create +ok +a /);
    expect(await ok('audit', '--result', 'refused', '--action', 'template')).not.toContain(' ok ');
    expect(await ok('audit', '--actor', 'nobody')).not.toContain('template');
    expect(await ok('audit', '--since', '2000-01-01', '--until', '2000-01-02')).not.toContain(
      'template',
    );
    expect(await ok('audit', '--since', '2000-01-01')).toContain('template');
  });
});
