/** Edits of YAML texts: what is written says what was wanted, and everything that had not to change is as it was. */
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { Document, isScalar, parse, visit } from 'yaml';
import { planOf } from '../../../../src/control/store/list-plan.ts';
import { editYaml } from '../../../../src/control/store/yaml-edit.ts';
import { documentText } from '../../../../src/control/store/yaml-text.ts';
import { seed } from '../../../support/seed.ts';

interface Fields {
  protocol?: string;
  ports?: unknown[];
  sources?: string[];
  comment?: string;
}

interface Named {
  name: string;
  addresses?: string[];
  templates?: string[];
}

/** What the texts here say. */
interface Value {
  description?: string;
  inbound: Fields[];
  outbound: Fields[];
  servers: Named[];
}

/** Edits the text by changing what it says. */
function edited(text: string, change: (value: Value) => void): string {
  const value = JSON.parse(JSON.stringify(parse(text) ?? {})) as Value;
  change(value);
  return editYaml(text, value);
}

const template = `# Managed by the web team.
description: Public web server   # shown in the panel

inbound:
  # HTTP for everyone
  - { protocol: tcp,  ports: [80, 443] } # both
  - protocol: tcp
    ports: ["8000-8100"]
    sources:
      - 10.0.0.0/8 # office
      - 192.0.2.7  # Bob

  # --- monitoring ---

  - {protocol: icmp}
outbound: [ { protocol: all } ] # everything
# The end.
`;

describe('an edit of a template', () => {
  it('of nothing changes nothing', () => {
    expect(edited(template, () => undefined)).toBe(template);
  });

  it('adds a rule behind the last, and before it', () => {
    const rule = { protocol: 'udp', ports: [53] };
    expect(edited(template, (t) => t.inbound.push(rule))).toBe(
      template.replace(
        '{protocol: icmp}\n',
        '{protocol: icmp}\n  - { protocol: udp, ports: [53] }\n',
      ),
    );
    expect(edited(template, (t) => t.inbound.unshift(rule))).toBe(
      template.replace('  # HTTP for', '  - { protocol: udp, ports: [53] }\n  # HTTP for'),
    );
    expect(edited(template, (t) => t.outbound.push(rule))).toBe(
      template.replace(
        '{ protocol: all } ]',
        '{ protocol: all }, { protocol: udp, ports: [53] } ]',
      ),
    );
  });

  it('removes a rule with its own comments, and no others', () => {
    expect(edited(template, (t) => t.inbound.splice(0, 1))).toBe(
      template.replace(/ {2}# HTTP.*\n.*# both\n/, ''),
    );
    expect(edited(template, (t) => t.inbound.splice(1, 1))).toBe(
      template.replace(/ {2}- protocol: tcp\n(?: {4}.*\n)+/, ''),
    );
    expect(edited(template, (t) => t.inbound.splice(2, 1))).toBe(
      template.replace('  - {protocol: icmp}\n', ''),
    );
  });

  it('changes values within a rule, and leaves its style', () => {
    expect(edited(template, (t) => t.inbound[0]!.ports!.push(8080))).toBe(
      template.replace('[80, 443]', '[80, 443, 8080]'),
    );
    expect(edited(template, (t) => (t.inbound[1]!.sources![1] = '192.0.2.8'))).toBe(
      template.replace('192.0.2.7', '192.0.2.8'),
    );
    expect(edited(template, (t) => t.inbound[1]!.sources!.push('any'))).toBe(
      template.replace('# Bob\n', '# Bob\n      - any\n'),
    );
    expect(edited(template, (t) => (t.inbound[2]!.comment = 'Ping: all'))).toBe(
      template.replace('{protocol: icmp}', '{protocol: icmp, comment: "Ping: all"}'),
    );
    expect(edited(template, (t) => delete t.inbound[1]!.sources)).toBe(
      template.replace(/ {4}sources:\n(?: {6}.*\n)+/, ''),
    );
    expect(edited(template, (t) => delete t.inbound[1]!.protocol)).toBe(
      template.replace('- protocol: tcp\n    ports', '- ports'),
    );
    expect(edited(template, (t) => (t.description = 'Web'))).toBe(
      template.replace('Public web server', 'Web'),
    );
  });

  it('moves a rule with its comments', () => {
    const own = '  # HTTP for everyone\n  - { protocol: tcp,  ports: [80, 443] } # both\n';
    expect(edited(template, (t) => t.inbound.push(t.inbound.shift()!))).toBe(
      template.replace(own, '').replace('{protocol: icmp}\n', `{protocol: icmp}\n${own}`),
    );
  });

  it('adds and removes whole keys', () => {
    expect(edited(template, (t) => Reflect.deleteProperty(t, 'outbound'))).toBe(
      template.replace(/outbound.*\n/, ''),
    );
    const rules = '  - { protocol: icmp }\n  - { protocol: all }\n';
    expect(
      edited(
        'description: x # y\n',
        (t) => (t.inbound = [{ protocol: 'icmp' }, { protocol: 'all' }]),
      ),
    ).toBe(`description: x # y\ninbound:\n${rules}`);
    expect(edited('# only a comment\n', (t) => (t.outbound = [{ protocol: 'all' }]))).toBe(
      '# only a comment\noutbound:\n  - { protocol: all }\n',
    );
  });
});

describe('an edit keeps', () => {
  const servers = `servers:
  - name: web-1 # the first
    addresses: [10.0.0.2]
    templates: [web, ssh] # a union

  # The database.
  - name: db-1
    addresses: [10.0.0.3, 10.0.1.3]
`;
  it('empty lines between servers, and each comment with its own', () => {
    const added = { name: 'c', addresses: ['10.0.0.9'], templates: ['web'] };
    const text = '\n  - name: c\n    addresses: [10.0.0.9]\n    templates: [web]\n';
    expect(edited(servers, (v) => v.servers.push(added))).toBe(servers + text);
    expect(edited(servers, (v) => v.servers.pop())).toBe(
      servers.slice(0, servers.indexOf('\n  # The')),
    );
    expect(edited(servers, (v) => v.servers.shift())).toBe(
      `servers:\n${servers.slice(servers.indexOf('  # The'))}`,
    );
    expect(edited(servers, (v) => (v.servers[1]!.templates = ['web']))).toBe(
      `${servers}    templates: [web]\n`,
    );
    expect(edited(servers, (v) => (v.servers = []))).toBe('servers: []\n');
    expect(edited('servers: []\n', (v) => v.servers.push(added))).toBe(`servers:${text}`);
  });

  it('the lines between rules as they are, where only some are empty', () => {
    const text = `inbound:
  - protocol: tcp
    ports: [80]

  - protocol: tcp # close by
    ports: [443]
  - protocol: udp
    ports: [53]

`;
    const first = text.indexOf('  - ');
    const last = text.trimEnd().length + 1;
    const rule = { protocol: 'icmp' };
    const line = '  - { protocol: icmp }\n';
    expect(edited(text, (t) => t.inbound.push(rule))).toBe(
      text.slice(0, last) + line + text.slice(last),
    );
    expect(edited(text, (t) => t.inbound.unshift(rule))).toBe(
      text.slice(0, first) + line + text.slice(first),
    );
    expect(edited(text, (t) => t.inbound.splice(2, 0, rule))).toBe(
      text.replace('  - protocol: udp', `${line}  - protocol: udp`),
    );
    expect(edited(text, (t) => t.inbound.pop())).toBe(
      text.slice(0, text.indexOf('  - protocol: udp')) + '\n',
    );
  });

  it('line ends of Windows, a byte order mark, and a missing last line end', () => {
    const windows = `\ufeff${template.replaceAll('\n', '\r\n')}`;
    expect(edited(windows, (t) => (t.inbound[0]!.ports![0] = 81))).toBe(
      windows.replace('80, 443', '81, 443'),
    );
    expect(edited('inbound: [{ protocol: all }]', (t) => t.inbound.pop())).toBe('inbound: []\n');
  });

  it('what aliases stand for, when their anchor goes', () => {
    const anchored = `servers:
  - name: a # first
    templates: &all [web, ssh]
  - name: b
    templates: *all # too
`;
    expect(edited(anchored, (v) => v.servers[1]!.templates!.push('x'))).toBe(
      anchored.replace('*all', '[web, ssh, x]'),
    );
    const changed = edited(anchored, (v) => (v.servers[0]!.templates = ['x']));
    expect((parse(changed) as Value).servers.map((each) => each.templates)).toEqual([
      ['x'],
      ['web', 'ssh'],
    ]);
    expect(changed).toContain('# first');
    expect(changed).toContain('# too');
  });

  it('comments within brackets over several lines', () => {
    const text = `inbound: [
  { protocol: tcp, ports: [80] }, # web
  # secure
  { protocol: tcp, ports: [443] } # tls
]
`;
    expect(edited(text, (t) => t.inbound.push({ protocol: 'icmp' }))).toBe(
      text.replace('} # tls', '}, # tls\n  { protocol: icmp }'),
    );
    expect(edited(text, (t) => t.inbound.shift())).toBe(
      'inbound: [\n  # secure\n  { protocol: tcp, ports: [443] } # tls\n]\n',
    );
    expect(edited(text, (t) => t.inbound.pop())).toBe(
      'inbound: [\n  { protocol: tcp, ports: [80] } # web\n]\n',
    );
  });
});

const scalar = fc.oneof(
  fc.string({ maxLength: 12 }),
  fc.string({ unit: 'binary', maxLength: 6 }),
  fc.constantFrom(
    'yes',
    '8000-8100',
    '1e3',
    'null',
    '~',
    '- a',
    'a: b',
    'a #b',
    '*x',
    '10.0.0.0/8',
    '',
  ),
  fc.integer(),
  fc.boolean(),
);
const key = fc.constantFrom('name', 'ports', 'sources', 'comment', 'x');
const inner = fc.dictionary(key, fc.oneof(scalar, fc.array(scalar, { maxLength: 4 })), {
  maxKeys: 4,
});
const value = fc.dictionary(
  fc.constantFrom('description', 'inbound', 'outbound', 'servers'),
  fc.oneof(
    scalar,
    fc.array(fc.oneof({ arbitrary: inner, weight: 5 }, scalar), { maxLength: 5 }),
    inner,
  ),
);
const style = fc.record({ flow: fc.nat(), comments: fc.nat(), width: fc.constantFrom(0, 20, 80) });

/** The value as a text in some style, with comments at some nodes. */
function written(
  wanted: object,
  { flow, comments, width }: { flow: number; comments: number; width: number },
): string {
  const document = new Document(wanted, { aliasDuplicateObjects: false });
  let count = 0;
  visit(document, {
    Collection(_key, node) {
      node.flow = ((flow >> (count % 15)) & 1) === 1;
      count++;
    },
    Node(_key, node) {
      count++;
      if (((comments >> (count % 29)) & 3) === 3) node.commentBefore = ` above ${count}`;
      if (((comments >> (count % 23)) & 3) === 2 && isScalar(node))
        node.comment = ` behind ${count}`;
    },
  });
  return document.toString({ lineWidth: width, indentSeq: count % 2 === 0 });
}

/** A style may make a text that is not valid, or says something else: then there is nothing to try. */
function says(text: string, value: object): boolean {
  try {
    return JSON.stringify(parse(text) ?? {}) === JSON.stringify(value);
  } catch {
    return false;
  }
}

describe('for any value', () => {
  it('a text in our own layout says it', () => {
    fc.assert(
      fc.property(value, (wanted) => {
        expect(parse(documentText(wanted)) ?? {}).toEqual(wanted);
      }),
      { seed, numRuns: 500 },
    );
  });

  it('and any text, an edit gives one that says what was wanted', () => {
    fc.assert(
      fc.property(value, value, style, (from, wanted, look) => {
        const text = written(from, look);
        fc.pre(says(text, from));
        const result = editYaml(text, wanted);
        expect(parse(result) ?? {}).toEqual(wanted);
        expect(editYaml(text, from)).toBe(text.endsWith('\n') || text === '' ? text : `${text}\n`);
      }),
      { seed, numRuns: 400 },
    );
  });
});

it('many changes of one long line do not look for its beginning again and again', () => {
  const line = (port: number): string => {
    const rules = Array.from(
      { length: 500 },
      (_, at) => `{ protocol: tcp, ports: [${port + at}] }`,
    );
    return `inbound: [${rules.join(', ')}]\n`;
  };
  const wanted = Array.from({ length: 500 }, (_, at) => ({ protocol: 'tcp', ports: [5000 + at] }));
  const looked = vi.spyOn(String.prototype, 'lastIndexOf');
  const edited = editYaml(line(1), { inbound: wanted });
  const { length } = looked.mock.contexts.filter((text) => String(text).length > 1000);
  looked.mockRestore();
  expect(edited).toBe(line(5000));
  expect(length).toBeLessThan(10);
});

it('of many equal items the first ones stay, and none is moved for each of them', () => {
  const moved = vi.spyOn(Array.prototype, 'shift');
  const plan = planOf(Array(1000).fill('x'), ['y', ...Array<string>(999).fill('x')]);
  const { length } = moved.mock.calls;
  moved.mockRestore();
  expect(plan.slice(0, 3)).toEqual([undefined, 0, 1]);
  expect(length).toBe(0);
});
