/**
 * The store against a naive twin that knows nothing of files: after any operations, refused ones among them, what the files
 * say is what the twin says. And servers.yaml read item by item against reading it as a whole.
 */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { serverBody, templateBody } from '../../../../src/policy/bodies.ts';
import type { ServerBody } from '../../../../src/policy/bodies.ts';
import type { RuleBody } from '../../../../src/policy/template-body.ts';
import type { TemplateBody } from '../../../../src/policy/template-body.ts';
import { validateServers } from '../../../../src/policy/validate.ts';
import { readConfigDirectory } from '../../../../src/control/store/files/config-directory.ts';
import { ServersFile, editServers } from '../../../../src/control/store/servers-file.ts';
import { StoreError } from '../../../../src/control/store/store.ts';
import type { Operation } from '../../../../src/control/store/store.ts';
import { seed } from '../../../support/seed.ts';
import { TestDirectory, alice, serversText, webText } from '../../../support/stores.ts';

type Rules = RuleBody[];
type Twin = {
  templates: Map<string, { description?: string; inbound: Rules; outbound: Rules }>;
  servers: Map<string, ServerBody>;
};

/** Applies an operation; false if it has to be refused. */
function apply(twin: Twin, operation: Operation): boolean {
  const { templates, servers } = twin;
  const rename = (from: string, to: string | undefined): void => {
    for (const [name, server] of servers) {
      const next = server.templates.flatMap((each) => (each === from ? (to ?? []) : each));
      servers.set(name, { ...server, templates: next });
    }
  };
  switch (operation.kind) {
    case 'create-template':
    case 'replace-template': {
      if (templates.has(operation.name) === (operation.kind === 'create-template')) return false;
      const body = operation.body as Partial<TemplateBody>;
      templates.set(operation.name, {
        inbound: [],
        outbound: [],
        ...structuredClone(body),
      } as never);
      return true;
    }
    case 'clone-template':
    case 'rename-template':
      if (!templates.has(operation.name) || templates.has(operation.to)) return false;
      templates.set(operation.to, structuredClone(templates.get(operation.name)!));
      if (operation.kind === 'clone-template') return true;
      templates.delete(operation.name);
      rename(operation.name, operation.to);
      return true;
    case 'destroy-template': {
      const { name, force } = operation;
      const used = [...servers.values()].some((each) => each.templates.includes(name));
      if (!templates.has(name) || (used && force !== true)) return false;
      templates.delete(name);
      rename(name, undefined);
      return true;
    }
    case 'add-rule':
    case 'replace-rule':
    case 'remove-rule':
    case 'move-rule': {
      const rules = templates.get(operation.template)?.[operation.direction];
      const { index = rules?.length ?? 0 } = operation;
      const end = (rules?.length ?? 0) + (operation.kind === 'add-rule' ? 1 : 0);
      if (rules === undefined || index >= end) return false;
      if (operation.kind === 'move-rule') {
        if (operation.to >= end) return false;
        rules.splice(operation.to, 0, ...rules.splice(index, 1));
      } else if (operation.kind === 'remove-rule') rules.splice(index, 1);
      else rules.splice(index, operation.kind === 'add-rule' ? 0 : 1, operation.rule as RuleBody);
      return true;
    }
    case 'create-server':
    case 'replace-server': {
      const { name } = operation;
      if (servers.has(name) === (operation.kind === 'create-server')) return false;
      const body = operation.body as Omit<ServerBody, 'name'>;
      const taken = [...servers.values()].some(
        (each) => each.name !== name && each.addresses.some((own) => body.addresses.includes(own)),
      );
      if (taken || !body.templates.every((each) => templates.has(each))) return false;
      servers.set(name, { name, ...body });
      return true;
    }
    case 'destroy-server':
      return servers.delete(operation.name);
    case 'assign':
    case 'unassign':
      if (!operation.servers.every((name) => servers.has(name))) return false;
      if (!operation.templates.every((name) => templates.has(name))) return false;
      for (const name of operation.servers) {
        const server = servers.get(name)!;
        const rest = server.templates.filter((each) => !operation.templates.includes(each));
        const more = operation.templates.filter((each) => !server.templates.includes(each));
        const next = operation.kind === 'assign' ? [...server.templates, ...new Set(more)] : rest;
        servers.set(name, { ...server, templates: next });
      }
      return true;
    case 'restore-template':
      throw new Error('the twin has no memory');
  }
}

const template = fc.constantFrom('web', 'ssh', 'b');
const name = fc.constantFrom('web-1', 'db-1', 'c');
const direction = fc.constantFrom('inbound' as const, 'outbound' as const);
const index = fc.nat(3);
const rule = fc.oneof(
  fc.record(
    {
      protocol: fc.constantFrom('tcp', 'udp'),
      ports: fc.uniqueArray(fc.constantFrom(22, 80, 443, '8000-8100'), { minLength: 1 }),
      comment: fc.constantFrom('a', 'b: c', '# d', ''),
    },
    { requiredKeys: ['protocol'] },
  ),
  fc.constant({ protocol: 'icmp' }),
);
const body = fc.record(
  {
    description: fc.string({ maxLength: 8 }),
    inbound: fc.array(rule, { maxLength: 4 }),
    outbound: fc.array(rule, { maxLength: 2 }),
  },
  { requiredKeys: [] },
);
const server = fc.record(
  {
    addresses: fc.uniqueArray(fc.constantFrom('10.0.0.2', '10.0.0.3', '10.0.0.7', '10.0.0.8'), {
      minLength: 1,
      maxLength: 2,
    }),
    templates: fc.uniqueArray(template),
    region: fc.constantFrom('hk', 'no'),
    labels: fc.constant({ env: 'live' }),
  },
  { requiredKeys: ['addresses', 'templates'] },
);
const kind = <K extends string>(...kinds: K[]): fc.Arbitrary<K> => fc.constantFrom(...kinds);
const operation = fc.oneof(
  fc.record({ kind: kind('create-template', 'replace-template'), name: template, body }),
  fc.record({ kind: kind('clone-template', 'rename-template'), name: template, to: template }),
  fc.record({ kind: kind('destroy-template'), name: template, force: fc.boolean() }),
  fc.record({ kind: kind('add-rule', 'replace-rule'), template, direction, index, rule }),
  fc.record({ kind: kind('remove-rule'), template, direction, index }),
  fc.record({ kind: kind('move-rule'), template, direction, index, to: index }),
  fc.record({ kind: kind('create-server', 'replace-server'), name, body: server }),
  fc.record({ kind: kind('destroy-server'), name }),
  fc.record({
    kind: kind('assign', 'unassign'),
    servers: fc.array(name, { minLength: 1, maxLength: 3 }),
    templates: fc.array(template, { minLength: 1, maxLength: 2 }),
  }),
);

const start = {
  'templates/web.yaml': webText.replace('"443"', '443'),
  'servers.yaml': serversText,
};

function firstTwin(): Twin {
  const content = parse(start['templates/web.yaml']) as { inbound: Rules };
  const { servers } = parse(serversText) as { servers: ServerBody[] };
  return {
    templates: new Map([['web', { outbound: [], ...content }]]),
    servers: new Map(
      servers.map((each) => [
        each.name,
        { ...each, templates: (each as Partial<ServerBody>).templates ?? [] },
      ]),
    ),
  };
}

it('any operations, in changes of several, leave what a naive twin says', async () => {
  const changes = fc.array(fc.array(operation, { minLength: 1, maxLength: 3 }), { maxLength: 12 });
  await fc.assert(
    fc.asyncProperty(changes, async (all) => {
      const directory = await TestDirectory.create(start);
      try {
        const store = await directory.store();
        let twin = firstTwin();
        for (const operations of all) {
          const next = structuredClone(twin);
          const allowed = operations.every((each) => apply(next, each));
          const done = await store
            .change(alice, () => operations as Operation[])
            .then(
              () => true,
              (error: unknown) => {
                if (error instanceof StoreError) return false;
                throw error;
              },
            );
          expect(done, JSON.stringify(operations)).toBe(allowed);
          if (allowed) twin = next;
        }
        const { templates, servers, problems } = await readConfigDirectory(directory.path);
        expect(problems).toEqual([]);
        expect(
          Object.fromEntries(templates.map((each) => [each.name, templateBody(each)])),
        ).toEqual(
          Object.fromEntries(
            [...twin.templates].map(([key, value]) => [key, { name: key, ...value }]),
          ),
        );
        expect(servers.map(serverBody)).toEqual([...twin.servers.values()]);
      } finally {
        await directory.remove();
      }
    }),
    { seed, numRuns: 30 },
  );
});

const line = fc.constantFrom('', '# a remark', '  # R&D *', '    # deep');
const layout = fc.record({
  lines: fc.array(line, { maxLength: 12 }),
  apart: fc.boolean(),
  indentSeq: fc.boolean(),
  flow: fc.boolean(),
});
const known = new Set(['web', 'ssh', 'b']);
const list = fc.uniqueArray(server, {
  maxLength: 4,
  selector: ({ addresses }) => addresses.join(),
});

it('servers.yaml item by item is read and edited as the whole of it would be', () => {
  fc.assert(
    fc.property(
      list,
      list,
      layout,
      fc.nat(),
      (before, wanted, { lines, apart, indentSeq, flow }, cut) => {
        const bodies = before.map(({ addresses, templates, region }, index) => ({
          ...{ name: `s-${index}`, addresses, templates },
          ...(region !== undefined && { region }),
        }));
        let text = stringify(
          { servers: bodies },
          { indentSeq, collectionStyle: flow ? 'flow' : 'any' },
        );
        // Remarks and empty lines at the ends of lines that begin an item or a key.
        const rows = text.split('\n');
        lines.forEach((each, index) => rows.splice((index * 3 + cut) % rows.length, 0, each));
        text = `${rows.join('\n')}${apart ? '\n' : ''}`;
        const file = new ServersFile();
        for (let again = 0; again < 2; again++) {
          expect(file.validate('s', text, known)).toEqual(validateServers('s', text, known));
        }
        const shorter = text.slice(0, cut % (text.length + 1));
        expect(file.validate('s', shorter, known)).toEqual(validateServers('s', shorter, known));

        const { value } = validateServers('s', text, known);
        if (value === undefined) return;
        const after = wanted.map(({ addresses, templates }, index) => ({
          ...{ name: `s-${(index + cut) % 6}`, addresses, templates },
        }));
        const edited = editServers(text, value, after);
        const says = (parse(edited) as { servers: Partial<ServerBody>[] }).servers;
        expect(says.map((each) => ({ templates: [], ...each }))).toEqual(after);
      },
    ),
    { seed, numRuns: 300 },
  );
});
