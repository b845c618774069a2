/**
 * The store against a naive twin that knows nothing of files: after any operations, refused ones among them, what the files
 * say is what the twin says. And servers.yaml read item by item against reading it as a whole.
 */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { serverBody, setBody, templateBody } from '../../../../src/policy/bodies.ts';
import type { ServerBody } from '../../../../src/policy/bodies.ts';
import type { RuleBody } from '../../../../src/policy/template-body.ts';
import type { TemplateBody } from '../../../../src/policy/template-body.ts';
import { validateServers } from '../../../../src/policy/validate.ts';
import { readConfigDirectory } from '../../../../src/control/store/files/config-directory.ts';
import { ServersFile, editServers } from '../../../../src/control/store/servers-file.ts';
import { editYaml } from '../../../../src/control/store/yaml-edit.ts';
import { StoreError } from '../../../../src/control/store/store.ts';
import type { Operation } from '../../../../src/control/store/store.ts';
import { seed } from '../../../support/seed.ts';
import { TestDirectory, alice, serversText, webText } from '../../../support/stores.ts';

type Rules = RuleBody[];
type Twin = {
  templates: Map<string, { description?: string; inbound: Rules; outbound: Rules }>;
  servers: Map<string, ServerBody>;
  sets: Map<string, { addresses: string[]; include: string[] }>;
};

/** Every list of groups in the twin, but for those of one owner. */
function groupLists({ templates, sets }: Twin, but = ''): string[][] {
  const rules = [...templates].flatMap(([name, { inbound, outbound }]) =>
    name === but ? [] : [...inbound, ...outbound],
  );
  const lists = rules.flatMap(({ sources = [], except = [] }) => [sources, except]);
  return [...lists, ...[...sets.values()].map(({ include }) => include)] as string[][];
}

/** Whether others name it. */
function isNamed(twin: Twin, group: string): boolean {
  const own = group.startsWith('template:') ? group.slice('template:'.length) : '';
  return groupLists(twin, own).some((list) => list.includes(group));
}

/** Gives a group another name wherever it is named; without one it is named no longer. */
function renameGroup(twin: Twin, group: string, to: string | undefined): void {
  const renamed = (list: string[]): string[] =>
    list.flatMap((each) => (each === group ? (to ?? []) : each));
  for (const each of twin.sets.values()) each.include = renamed(each.include);
  for (const each of twin.templates.values()) {
    for (const direction of ['inbound', 'outbound'] as const) {
      each[direction] = each[direction].flatMap((rule) => {
        const { sources, except, ...rest } = rule;
        const [from, but] = [sources && renamed([...sources]), except && renamed([...except])];
        if (from?.length === 0) return [];
        const next = { ...(from && { sources: from }), ...(but?.length && { except: but }) };
        return [{ ...rest, ...next }];
      });
    }
  }
}

/** Whether all that is named is there, and no set contains itself. */
function isSound(twin: Twin): boolean {
  const there = new Set([
    ...[...twin.templates.keys()].map((each) => `template:${each}`),
    ...[...twin.servers.keys()].map((each) => `server:${each}`),
    ...[...twin.sets.keys()].map((each) => `set:${each}`),
  ]);
  const within = (set: string, depth: number): boolean =>
    depth > twin.sets.size ||
    twin.sets.get(set)!.include.some((each) => within(each.slice('set:'.length), depth + 1));
  return (
    groupLists(twin).every((list) =>
      list.every((each) => !each.includes(':') || there.has(each)),
    ) && ![...twin.sets.keys()].some((each) => within(each, 0))
  );
}

/** Applies an operation; false if it has to be refused. */
function apply(twin: Twin, operation: Operation): boolean {
  const { templates, servers, sets } = twin;
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
      renameGroup(twin, `template:${operation.name}`, `template:${operation.to}`);
      return true;
    case 'destroy-template': {
      const { name, force } = operation;
      const used = [...servers.values()].some((each) => each.templates.includes(name));
      const named = isNamed(twin, `template:${name}`);
      if (!templates.has(name) || ((used || named) && force !== true)) return false;
      templates.delete(name);
      rename(name, undefined);
      renameGroup(twin, `template:${name}`, undefined);
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
    case 'rename-server': {
      const { name, to } = operation;
      if (!servers.has(name) || servers.has(to)) return false;
      const all = [...servers.values()];
      servers.clear();
      for (const each of all) {
        const next = each.name === name ? { ...each, name: to } : each;
        servers.set(next.name, next);
      }
      renameGroup(twin, `server:${name}`, `server:${to}`);
      return true;
    }
    case 'destroy-server':
      if (isNamed(twin, `server:${operation.name}`)) {
        if (operation.force !== true) return false;
        renameGroup(twin, `server:${operation.name}`, undefined);
      }
      return servers.delete(operation.name);
    case 'create-set':
    case 'replace-set': {
      const { name } = operation;
      if (sets.has(name) === (operation.kind === 'create-set')) return false;
      sets.set(name, { addresses: [], include: [], ...structuredClone(operation.body as object) });
      return true;
    }
    case 'clone-set':
    case 'rename-set': {
      const { name, to } = operation;
      if (!sets.has(name) || sets.has(to)) return false;
      sets.set(to, structuredClone(sets.get(name)!));
      if (operation.kind === 'clone-set') return true;
      sets.delete(name);
      renameGroup(twin, `set:${name}`, `set:${to}`);
      return true;
    }
    case 'destroy-set':
      if (!sets.has(operation.name)) return false;
      if (isNamed(twin, `set:${operation.name}`)) {
        if (operation.force !== true) return false;
        renameGroup(twin, `set:${operation.name}`, undefined);
      }
      return sets.delete(operation.name);
    case 'change-addresses': {
      const { set, add = [], remove = [] } = operation;
      const found = sets.get(set);
      if (found === undefined || !remove.every((each) => found.addresses.includes(each))) {
        return false;
      }
      const kept = found.addresses.filter((each) => !remove.includes(each));
      const added = add.filter((each) => !found.addresses.includes(each));
      sets.set(set, { ...found, addresses: [...kept, ...new Set(added)] });
      return true;
    }
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
    case 'restore-set':
    case 'restore-policy':
    case 'replace-policy':
      throw new Error('the twin has no memory');
  }
}

const kind = <K extends string>(...kinds: K[]): fc.Arbitrary<K> => fc.constantFrom(...kinds);
const template = fc.constantFrom('web', 'ssh', 'b');
const name = fc.constantFrom('web-1', 'db-1', 'c');
const direction = fc.constantFrom('inbound' as const, 'outbound' as const);
const index = fc.nat(3);
const set = fc.constantFrom('a', 'v', 'w');
const group = fc.oneof(
  set.map((each) => `set:${each}`),
  template.map((each) => `template:${each}`),
  name.map((each) => `server:${each}`),
);
const rule = fc.oneof(
  fc.record(
    {
      protocol: fc.constantFrom('tcp', 'udp'),
      ports: fc.uniqueArray(fc.constantFrom(22, 80, 443, '8000-8100'), { minLength: 1 }),
      except: fc.uniqueArray(group, { minLength: 1, maxLength: 2 }),
      comment: fc.constantFrom('a', 'b: c', '# d', ''),
    },
    { requiredKeys: ['protocol'] },
  ),
  fc.constant({ protocol: 'icmp' }),
);
const body = fc.record(
  {
    description: fc.string({ maxLength: 8 }),
    inbound: fc.array(
      fc.oneof(
        rule,
        fc.record({
          protocol: kind('tcp'),
          sources: fc.uniqueArray(group, { minLength: 1, maxLength: 2 }),
        }),
      ),
      { maxLength: 4 },
    ),
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
const address = fc.constantFrom('10.0.0.1', '10.1.0.0/16', '10.2.0.1-10.2.0.9', '10.0.0.5');
const operation = fc.oneof(
  fc.record({ kind: kind('create-template', 'replace-template'), name: template, body }),
  fc.record({ kind: kind('clone-template', 'rename-template'), name: template, to: template }),
  fc.record({ kind: kind('destroy-template'), name: template, force: fc.boolean() }),
  fc.record({ kind: kind('add-rule', 'replace-rule'), template, direction, index, rule }),
  fc.record({ kind: kind('remove-rule'), template, direction, index }),
  fc.record({ kind: kind('move-rule'), template, direction, index, to: index }),
  fc.record({ kind: kind('create-server', 'replace-server'), name, body: server }),
  fc.record({ kind: kind('rename-server'), name, to: name }),
  fc.record({ kind: kind('destroy-server'), name, force: fc.boolean() }),
  fc.record({
    kind: kind('create-set', 'replace-set'),
    name: set,
    body: fc.record(
      {
        addresses: fc.uniqueArray(address, { maxLength: 3 }),
        include: fc.uniqueArray(
          set.map((each) => `set:${each}`),
          { maxLength: 2 },
        ),
      },
      { requiredKeys: [] },
    ),
  }),
  fc.record({ kind: kind('clone-set', 'rename-set'), name: set, to: set }),
  fc.record({ kind: kind('destroy-set'), name: set, force: fc.boolean() }),
  fc.record({
    kind: kind('change-addresses'),
    set,
    add: fc.uniqueArray(address, { maxLength: 2 }),
    remove: fc.uniqueArray(address, { maxLength: 1 }),
  }),
  fc.record({
    kind: kind('assign', 'unassign'),
    servers: fc.array(name, { minLength: 1, maxLength: 3 }),
    templates: fc.array(template, { minLength: 1, maxLength: 2 }),
  }),
);

const start = {
  'templates/web.yaml': webText.replace('"443"', '443'),
  'servers.yaml': serversText,
  'sets/v.yaml': 'addresses: [10.0.0.1] # one\n',
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
    sets: new Map([['v', { addresses: ['10.0.0.1'], include: [] }]]),
  };
}

// Each run reads and writes files. On a busy machine they take minutes.
it(
  'any operations, in changes of several, leave what a naive twin says',
  { timeout: 300_000 },
  async () => {
    const changes = fc.array(fc.array(operation, { minLength: 1, maxLength: 3 }), {
      maxLength: 12,
    });
    await fc.assert(
      fc.asyncProperty(changes, async (all) => {
        const directory = await TestDirectory.create(start);
        try {
          const store = await directory.store();
          let twin = firstTwin();
          for (const operations of all) {
            const next = structuredClone(twin);
            const allowed = operations.every((each) => apply(next, each)) && isSound(next);
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
          const { templates, servers, sets, problems } = await readConfigDirectory(directory.path);
          expect(Object.fromEntries(sets.map((each) => [each.name, setBody(each)]))).toEqual(
            Object.fromEntries(
              [...twin.sets].map(([key, value]) => [key, { name: key, except: [], ...value }]),
            ),
          );
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
      { seed, numRuns: 60 },
    );
  },
);

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

it('templates of a server are edited as the parser of YAML would', () => {
  const names = fc.uniqueArray(fc.constantFrom('web', 'y', 'no-1', 'db.x', 'a_b', '12'), {
    maxLength: 4,
  });
  const frame = fc.record({
    open: fc.constantFrom('[', '[ ', '[  '),
    comma: fc.constantFrom(', ', ',', ',  ', ' , '),
    close: fc.constantFrom(']', ' ]', '] # by hand', ', ]'),
    quote: fc.boolean(),
    first: fc.boolean(),
    remark: fc.constantFrom('', '# templates: [web]\n', '    # templates: [x]\n'),
    more: fc.constantFrom('', '    region: "templates: [web]"\n', '    labels: { a: b }\n'),
  });
  fc.assert(
    fc.property(names, names, frame, (before, after, each) => {
      const asWritten = before.map((name) => (each.quote || name === '12' ? `"${name}"` : name));
      const templates = `templates: ${each.open}${asWritten.join(each.comma)}${each.close}`;
      const keys = ['name: s-0', templates, 'addresses: [10.0.0.1]'];
      if (each.first) keys.reverse();
      const text = `servers:\n${each.remark}  - ${keys.join('\n    ')}\n${each.more}`;
      const { value } = validateServers(
        's',
        text,
        new Set(['web', 'y', 'no-1', 'db.x', 'a_b', '12']),
      );
      if (value === undefined) return;
      const body = { ...serverBody(value[0]!), templates: after };
      expect(editServers(text, value, [body])).toBe(editYaml(text, { servers: [body] }));
    }),
    { seed, numRuns: 2000 },
  );
});
