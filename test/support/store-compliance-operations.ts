/**
 * What each operation does to the texts of a policy, and what is refused: cases of the suite that every store has to pass
 * (`store-compliance.ts`).
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { templateBody } from '../../src/policy/bodies.ts';
import { describeFailure } from '../../src/control/store/store.ts';
import type {
  ChangeResult,
  Operation,
  PolicyStore,
  Snapshot,
} from '../../src/control/store/store.ts';
import type { CreateSubject, Subject } from './store-compliance.ts';
import { alice, assign, failuresOf, serversText as servers, webText as web } from './stores.ts';

const names = (snapshot: Snapshot): string[] => snapshot.templates.map(({ name }) => name);
const assigned = (snapshot: Snapshot): Record<string, readonly string[]> =>
  Object.fromEntries(snapshot.servers.map((each) => [each.name, each.templates]));
const ping = { protocol: 'icmp' };

export function operationCases(create: CreateSubject): void {
  let subject: Subject;
  let store: PolicyStore;
  beforeEach(async () => {
    subject = await create({ 'templates/web.yaml': web, 'servers.yaml': servers });
    store = await subject.store();
  });
  afterEach(() => subject.remove());
  const change = (...operations: Operation[]): Promise<ChangeResult> =>
    store.change(alice, () => operations);
  const refused = async (...operations: Operation[]): Promise<string[]> =>
    (await failuresOf(change(...operations))).map(describeFailure);

  describe('templates', () => {
    it('are created in the layout of a hand-written file', async () => {
      const { snapshot, changed } = await change({
        kind: 'create-template',
        name: 'mail',
        body: {
          name: 'mail',
          description: 'Mail: in and out',
          inbound: [
            { protocol: 'tcp', ports: [25, '8000-8100'], sources: ['10.0.0.0/8', 'any'] },
            { protocol: 'icmp' },
          ],
          outbound: [],
        },
      });
      expect(await subject.text('templates/mail.yaml')).toBe(`description: "Mail: in and out"
inbound:
  - { protocol: tcp, ports: [25, "8000-8100"], sources: [10.0.0.0/8, any] }
  - { protocol: icmp }
`);
      expect(names(snapshot)).toEqual(['mail', 'web']);
      const after = snapshot.revisions.templates.get('mail');
      expect(changed).toEqual([{ kind: 'template', name: 'mail', after }]);
      expect(await store.read()).toEqual(snapshot);
    });

    it('are replaced, and keep the lines that say the same', async () => {
      const body = templateBody((await store.read()).templates[0]!);
      // As a panel does it: everything that was read, with one thing changed, and in its own spelling.
      const inbound = [body.inbound[0]!, { ...body.inbound[1]!, ports: [22, 2222] }];
      await change({ kind: 'replace-template', name: 'web', body: { ...body, inbound } });
      expect(await subject.text('templates/web.yaml')).toBe(web.replace('[22]', '[22, 2222]'));
    });

    it('are changed rule by rule', async () => {
      const rule = (kind: 'remove-rule', index: number): Operation => ({
        ...{ kind, template: 'web', direction: 'inbound', index },
      });
      await change({ kind: 'add-rule', template: 'web', direction: 'inbound', rule: ping });
      expect(await subject.text('templates/web.yaml')).toBe(`${web}  - { protocol: icmp }\n`);
      await change({ kind: 'add-rule', template: 'web', direction: 'outbound', rule: ping });
      await change(rule('remove-rule', 2));
      expect(await subject.text('templates/web.yaml')).toBe(
        `${web}\noutbound:\n  - { protocol: icmp }\n`,
      );
      await change(
        { kind: 'move-rule', template: 'web', direction: 'inbound', index: 1, to: 0 },
        {
          ...{ kind: 'replace-rule', template: 'web', direction: 'inbound', index: 1 },
          rule: { protocol: 'tcp', ports: [80], comment: 'HTTP' },
        },
      );
      expect(await subject.text('templates/web.yaml')).toBe(`# The public servers.
description: Public web server

inbound:
  # from the office
  - protocol: tcp
    ports: [22]
    sources: [198.51.100.0/24]
  - { protocol: tcp, ports: [80], comment: HTTP } # both

outbound:
  - { protocol: icmp }
`);
    });

    it('keep one value that stands for a list where nothing is changed', async () => {
      const short = 'inbound:\n  - { protocol: tcp, ports: 443, sources: any }\n';
      const one = 'servers:\n  - { name: web-1, addresses: 10.0.0.2, templates: web }\n';
      await subject.write({ 'templates/web.yaml': short, 'servers.yaml': one });
      await change({ kind: 'add-rule', template: 'web', direction: 'inbound', rule: ping });
      expect(await subject.text('templates/web.yaml')).toBe(`${short}  - { protocol: icmp }\n`);
      await change({ kind: 'clone-template', name: 'web', to: 'ssh' }, assign(['web-1'], ['ssh']));
      expect(await subject.text('servers.yaml')).toBe(
        'servers:\n  - { name: web-1, addresses: [10.0.0.2], templates: [web, ssh] }\n',
      );
    });

    it('are cloned and renamed with their comments, and servers follow the name', async () => {
      await change({ kind: 'clone-template', name: 'web', to: 'copy' });
      expect(await subject.text('templates/copy.yaml')).toBe(web);
      const { snapshot, changed } = await change({
        kind: 'rename-template',
        name: 'web',
        to: 'site',
      });
      expect(names(snapshot)).toEqual(['copy', 'site']);
      expect(await subject.text('servers.yaml')).toBe(servers.replace('[web]', '[site]'));
      expect(changed.map(({ kind, name }) => `${kind} ${name}`)).toEqual([
        'template web',
        'template site',
        'server web-1',
      ]);
    });

    it('in use are destroyed only by force', async () => {
      const before = await subject.contents();
      expect(await failuresOf(change({ kind: 'destroy-template', name: 'web' }))).toEqual([
        {
          kind: 'in-use',
          what: 'template',
          name: 'web',
          usedBy: [{ kind: 'server', name: 'web-1', path: 'templates[0]' }],
        },
      ]);
      expect(await subject.contents()).toEqual(before);
      const { snapshot } = await change({ kind: 'destroy-template', name: 'web', force: true });
      expect(snapshot.templates).toEqual([]);
      expect(await subject.contents()).toEqual({ 'servers.yaml': servers.replace('[web]', '[]') });
    });
  });

  describe('servers', () => {
    it('are created, replaced and destroyed among hand-written ones', async () => {
      const body = { addresses: ['10.0.0.9'], templates: ['web'], labels: { a: 'b' } };
      await change({ kind: 'create-server', name: 'web-2', body });
      const added = `
  - name: web-2
    addresses: [10.0.0.9]
    templates: [web]
    labels: { a: b }
`;
      expect(await subject.text('servers.yaml')).toBe(servers + added);
      await change(
        { kind: 'replace-server', name: 'web-2', body: { ...body, region: 'hk', labels: {} } },
        { kind: 'destroy-server', name: 'db-1' },
      );
      expect(await subject.text('servers.yaml')).toBe(
        servers.slice(0, servers.indexOf('  - name: db-1')) +
          added.slice(1).replace('labels: { a: b }', 'region: hk\n    labels: {}'),
      );
    });

    it('get and lose many templates at once, which is idempotent', async () => {
      await change({ kind: 'clone-template', name: 'web', to: 'ssh' });
      const both = await change(assign(['web-1', 'db-1'], ['web', 'ssh']));
      expect(assigned(both.snapshot)).toEqual({ 'web-1': ['web', 'ssh'], 'db-1': ['web', 'ssh'] });
      expect(await subject.text('servers.yaml')).toBe(
        `${servers.replace('[web]', '[web, ssh]')}    templates: [web, ssh]\n`,
      );
      expect((await change(assign(['web-1', 'db-1'], ['web', 'ssh']))).changed).toEqual([]);
      const none = await change(assign(['web-1', 'db-1'], ['web'], 'unassign'));
      expect(assigned(none.snapshot)).toEqual({ 'web-1': ['ssh'], 'db-1': ['ssh'] });
      expect(none.changed.map(({ name }) => name)).toEqual(['web-1', 'db-1']);
    });

    it('may be the first', async () => {
      const empty = await create({});
      const first = await empty.store();
      await first.change(alice, () => [
        { kind: 'create-template', name: 'ping', body: { inbound: [ping] } },
        {
          ...{ kind: 'create-server', name: 'a' },
          body: { addresses: ['10.0.0.1'], templates: ['ping'] },
        },
      ]);
      expect(await empty.text('servers.yaml')).toBe(
        'servers:\n  - name: a\n    addresses: [10.0.0.1]\n    templates: [ping]\n',
      );
    });
  });

  describe('is refused, and nothing is written:', () => {
    let before: Record<string, string>;
    beforeEach(async () => (before = await subject.contents()));
    afterEach(async () => {
      expect(await subject.contents()).toEqual(before);
    });

    it('what is not there, and what is there already', async () => {
      expect(
        await refused(
          { kind: 'create-template', name: 'web', body: {} },
          { kind: 'clone-template', name: 'no', to: 'yes' },
          { kind: 'replace-template', name: 'no', body: {} },
          { kind: 'remove-rule', template: 'web', direction: 'inbound', index: 2 },
          { kind: 'create-server', name: 'db-1', body: { addresses: ['10.9.9.9'] } },
          assign(['web-1', 'web-9'], ['web', 'ssh']),
          { kind: 'restore-template', name: 'web', version: 7 },
        ),
      ).toEqual([
        'there is a template "web" already',
        'there is no template "no"',
        'there is no template "no"',
        'there is no rule "web.inbound[2]"',
        'there is a server "db-1" already',
        'there is no template "ssh"',
        'there is no server "web-9"',
        'there is no version "web 7"',
      ]);
    });

    it('a body with errors: all of them, with paths as in the body', async () => {
      const failures = await failuresOf(
        change(
          {
            ...{ kind: 'create-template', name: 'x' },
            body: { name: 'y', inbound: [{ protocol: 'tcp', ports: [0, 80, '9-1'] }], outbond: [] },
          },
          { kind: 'add-rule', template: 'web', direction: 'outbound', rule: { sources: ['any'] } },
          {
            ...{ kind: 'create-server', name: 'c' },
            body: { addresses: ['10.0.0.3', '10.0.0.256'], templates: ['wbe'] },
          },
          { kind: 'create-server', name: 'd', body: { addresses: ['10.0.0.3'] } },
          { kind: 'create-server', name: 'e', body: null },
        ),
      );
      const problems = failures.flatMap((each) => (each.kind === 'invalid' ? each.problems : []));
      expect(problems.map((each) => `${each.operation} ${each.path}: ${each.message}`)).toEqual([
        '0 name: expected "x", as it is called, found "y"',
        '0 inbound[0].ports[0]: expected a port from 1 to 65535 or a range like "8000-8100", found "0"',
        '0 inbound[0].ports[2]: the range "9-1" ends before it begins',
        '0 outbond: unknown key "outbond"; did you mean "outbound"? (known: description, appliesTo, inbound, outbound)',
        '1 : the key "protocol" is missing',
        '2 addresses[1]: "10.0.0.256" is not an IPv4 address in four decimal parts',
        '2 templates[0]: there is no template "wbe"; did you mean "web"?',
        "3 addresses[0]: this address is server db-1's already",
        '4 : expected a server, found nothing',
      ]);
    });

    it.each(['../x', '..', '.hidden', 'a/b', '', 'A', 'a\0b', '-', 'x'.repeat(64), 'a\nb'])(
      'the name %j',
      async (name) => {
        for (const operation of [
          { kind: 'create-template', name, body: {} },
          { kind: 'clone-template', name: 'web', to: name },
          { kind: 'rename-template', name: 'web', to: name },
          { kind: 'create-server', name, body: { addresses: ['10.9.9.9'] } },
        ] as const) {
          const [failure] = await failuresOf(change(operation));
          expect(failure!.kind).toBe('invalid');
        }
        for (const operation of [
          { kind: 'restore-template', name, version: 1 },
          { kind: 'destroy-template', name },
        ] as const) {
          expect((await failuresOf(change(operation)))[0]!.kind).toBe('not-found');
        }
        expect(await store.history.list(name)).toEqual([]);
      },
    );

    it('what another change has changed meanwhile', async () => {
      const { revisions } = await store.read();
      const old = revisions.templates.get('web')!;
      expect(
        await failuresOf(
          change(
            { kind: 'replace-template', name: 'web', body: {}, ifRevision: 'other' },
            { kind: 'destroy-server', name: 'db-1', ifRevision: 'other' },
            { kind: 'replace-template', name: 'gone', body: {}, upsert: true, ifRevision: old },
          ),
        ),
      ).toEqual([
        { kind: 'precondition-failed', what: 'template', name: 'web', revision: old },
        {
          kind: 'precondition-failed',
          what: 'server',
          name: 'db-1',
          revision: revisions.servers.get('db-1'),
        },
        { kind: 'precondition-failed', what: 'template', name: 'gone' },
      ]);
    });

    it('one bad operation among good ones', async () => {
      expect(
        await refused(
          { kind: 'create-template', name: 'good', body: {} },
          { kind: 'destroy-server', name: 'no' },
        ),
      ).toEqual(['there is no server "no"']);
    });
  });
}
