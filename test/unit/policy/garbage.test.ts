/** Large files and bodies that mean nothing: a bounded report, in a time that grows with the size and not with its square. */
import { describe, expect, it } from 'vitest';
import { LineCounter, isMap } from 'yaml';
import { parseAddressList } from '../../../src/policy/address-set.ts';
import { judgeTemplate } from '../../../src/policy/bodies.ts';
import { parseYaml, targetsOf } from '../../../src/policy/parse-yaml.ts';
import { didYouMean } from '../../../src/policy/problem.ts';
import { checkReferences } from '../../../src/policy/references.ts';
import { Resolver } from '../../../src/policy/resolve.ts';
import type { AddressSet, GroupPeer, PolicySource, Server } from '../../../src/policy/types.ts';
import { validateServers, validateTemplate } from '../../../src/policy/validate.ts';
import type { Reference } from '../../../src/policy/yaml-fields.ts';

const size = 1 << 20;
/** Where the square of the size would not last, but the number of problems is large. */
const less = 1 << 16;
const filled = (text: string): string => text.repeat(Math.ceil(less / text.length)).slice(0, less);
function lines(line: (index: number) => string, count = 75_000): string {
  return Array.from({ length: count }, (_, index) => line(index)).join('');
}

/** What took minutes, and its kind. With the square of its size, those of 1 MB would not end before the test's own limit. */
const kinds: Record<string, string> = {
  'many unknown keys': lines((index) => `key-${index}: 1\n`),
  'one key many times': lines(() => 'a: 1\n'),
  'one long key': `${'k'.repeat(size)}: 1\n`,
  'one long value': `inbound: ${'v'.repeat(size)}\n`,
  'a long protocol': `inbound: [{ protocol: ${'v'.repeat(size)} }]\n`,
  'rules with a wrong key': `inbound:\n${filled('  - { protocl: tcp }\n').slice(0, -21)}\n`,
  'bad ports': `inbound: [{ protocol: tcp, ports: [${'0,'.repeat(less / 4)}] }]\n`,
  'bad sources': `inbound: [{ protocol: tcp, sources: [${'1.2.3,'.repeat(less / 8)}] }]\n`,
  'closing brackets': filled(']'),
  'opening brackets': '['.repeat(size),
  'opening braces': '{'.repeat(size),
  'brackets on lines of their own': '[\n '.repeat(size / 3),
  'lists of lists': '- '.repeat(size / 2),
  'keys of keys': '? '.repeat(size / 2),
  'mappings of mappings': '{a: '.repeat(size / 4),
  'blank lines': '\n'.repeat(size),
  comments: '#\n'.repeat(size / 2),
  'a list': '- 1\n'.repeat(size / 4),
  'one selector': `appliesTo: ["${'a=b,'.repeat(size / 4)}"]\n`,
  'one list of values': `appliesTo: ["a in (${'b,'.repeat(size / 2)})"]\n`,
  'one label': `inbound: [{ protocol: tcp, sources: ["label:${'a,'.repeat(size / 2)}"] }]\n`,
  'wrong escapes': `a: "${'\\q'.repeat(less / 4)}"`,
  'commas in brackets': `[${','.repeat(less / 2)}]`,
  'many documents': filled('---\na\n'),
  'many anchors': lines((index) => `- &a${index} x\n`, 5000),
  'many aliases': `- &a x\n${filled('- *a\n')}`,
  'aliases of keys': `a: &a x\n${lines((index) => `k${index}: *a\n`)}`,
  'steps to the right': lines((index) => `${' '.repeat(Math.min(index, 700))}a:\n`, 1500),
  NUL: filled('\0'),
  tabs: filled('\ta: b\n'),
};

describe.each(Object.entries(kinds))('%s', (_, text) => {
  it('are at most a hundred problems, and the number of the others', () => {
    const { value, problems } = validateTemplate('web', 'web.yaml', text);
    expect(value).toBeUndefined();
    expect(problems.length).toBeGreaterThan(0);
    expect(problems.length).toBeLessThanOrEqual(101);
    for (const { path, message } of problems) {
      expect(path.length).toBeLessThan(400);
      expect(message.length).toBeLessThan(700);
    }
  });
});

/** How much of a text was read: the parser reports every line that it has come to. */
class CountedLines extends LineCounter {
  count = 0;
  override addNewLine = (offset: number): number => {
    this.count++;
    return this.lineStarts.push(offset);
  };
}

it.each<[string, string, string]>([
  ['nested more than 64 levels deep', '[\n ', '64'],
  ['nested more than 64 levels deep', '{a:\n ', '64'],
  ['expected a mapping, found a list', '- 1\n', '1000'],
  ['Unexpected flow-seq-end token in YAML document: "]"', ']\n', '100'],
  ['more than 1000 keys in one mapping', 'a: 1\n', '1000'],
  ['more than 350000 lines', '\n', '0'],
])('%s: %j is not read to its end', (message, line, read) => {
  const lineCounter = new CountedLines();
  const { errors } = parseYaml(line.repeat(line === '\n' ? 400_000 : 300_000), { lineCounter });
  expect(errors[0]!.message).toBe(message);
  expect(lineCounter.count).toBeLessThan(Number(read) + 10);
});

it.each<[string, string, number]>([
  ['more values than a text of this size can mean', '[],[],[],\n', 25_000],
  ['more values than a text of this size can mean', '[[[[[x]]]]],\n', 25_000],
  ['more than 100000 items in one list', '0,0,0,0,0,\n', 20_010],
  ['more than 100000 items in one list', '1.5e9,\n', 100_010],
  ['more than 10000 keys in one mapping', 'a: b,\n', 10_010],
])('%s: items like %j are not read to their end', (message, line, most) => {
  const lineCounter = new CountedLines();
  const { errors } = parseYaml(
    `${line === 'a: b,\n' ? 'a: {' : 'a: ['}\n${` ${line}`.repeat(150_000)}\n`,
    { lineCounter },
  );
  expect(errors[0]!.message).toBe(message);
  expect(lineCounter.count).toBeLessThan(most);
});

it('each value of a body is looked at once: no text is made of it', () => {
  let looks = 0;
  const sources = new Proxy(Array<string>(100_000).fill('x'), {
    get(items, key, self) {
      if (/^\d+$/.test(String(key))) looks++;
      return Reflect.get(items, key, self) as unknown;
    },
  });
  const judged = judgeTemplate('web', { inbound: [{ protocol: 'tcp', sources }] });
  expect('problems' in judged && judged.problems.at(-1)!.message).toBe('and 99,900 more');
  expect(looks).toBe(100_000);
});

it('a list of wrong lines is not read to its end', () => {
  const text = `${'a: 1\n'.repeat(1001)}10.0.0.1\n${'a: 1\n'.repeat(200_000)}`;
  const { entries, problems } = parseAddressList('a.txt', Buffer.from(text));
  expect([entries, problems.length]).toEqual([0, 21]);
  expect(problems.at(-1)!.message).toBe('more than 1000 lines are wrong: the rest was not read');
});

it('a document is looked through once for all of its aliases', () => {
  const text = `a: &a x\n${lines((index) => `k${index}: *a\n`, 900)}b: &a y\nc: *a\nd: *e\n`;
  const document = parseYaml(text);
  const { contents } = document;
  if (!isMap(contents)) throw new Error('no mapping');
  let looks = 0;
  contents.items = new Proxy(contents.items, {
    get(items, key, self) {
      if (/^\d+$/.test(String(key))) looks++;
      return Reflect.get(items, key, self) as unknown;
    },
  });
  const values = [...targetsOf(document).values()].map(String);
  expect(values).toEqual([...Array<string>(900).fill('x'), 'y']);
  expect(looks).toBeLessThan(3 * 904);
});

it('no more errors are made than are shown', () => {
  const { errors } = parseYaml(`[${','.repeat(1000)}]`);
  expect(errors).toHaveLength(101);
  expect(errors.at(-1)!.message).toBe('more errors follow: the rest was not read');
});

it('groups that are not there: the first hundred of a file, and the number of the others', () => {
  const server = (name: string): Server => ({ name, addresses: [1], templates: [] });
  const servers = [server('web')];
  const file = 'a.yaml';
  const group = (name: string): Reference => ({
    ...{ file, line: 1, column: 1, path: name },
    group: { kind: 'server', name, text: `server:${name}` },
  });
  const references = Array.from({ length: 5000 }, (_, index) => group(`wed-${index}`));
  const problems = checkReferences({ templates: [], servers }, [...references, ...references]);
  expect(problems).toHaveLength(101);
  expect(problems.at(-1)).toMatchObject({ severity: 'error', message: 'and 9,900 more' });
});

it('the others are counted, and what follows is an error if one of them is', () => {
  const { problems } = validateTemplate('web', 'web.yaml', kinds['many unknown keys']!);
  expect(problems).toHaveLength(101);
  expect(problems[0]!.message).toMatch(/^unknown key "key-0"/);
  expect(problems.at(-1)).toMatchObject({ severity: 'error', message: 'and 74,900 more' });
});

it('bodies of the API are judged alike', () => {
  const body = Object.fromEntries(Array.from({ length: 75_000 }, (_, key) => [`key-${key}`, 1]));
  const judged = judgeTemplate('web', body);
  expect('problems' in judged && judged.problems.at(-1)!.message).toBe('and 74,900 more');
  const long = judgeTemplate('x'.repeat(size), { ['k'.repeat(size)]: 1, name: 'y'.repeat(size) });
  expect(JSON.stringify(long).length).toBeLessThan(3000);
});

it('names are compared for what is shown only', () => {
  let compared = 0;
  const templates = new Set(Array.from({ length: 500 }, (_, index) => `template-${index}`));
  const iterate = templates[Symbol.iterator].bind(templates);
  templates[Symbol.iterator] = () => {
    compared++;
    return iterate();
  };
  const names = Array.from({ length: 20_000 }, (_, index) => `tmplate-${index}`).join(', ');
  const text = `servers: [{ name: a, addresses: [10.0.0.1], templates: [${names}] }]\n`;
  const { problems } = validateServers('servers.yaml', text, templates);
  expect(problems.at(-1)!.message).toBe('and 19,900 more');
  expect(compared).toBe(100);
});

/** Labels of a server that tell when a selector looks at one of them. */
function watchedLabels(onLook: () => void): Record<string, string> {
  return new Proxy(
    { role: 'web' },
    {
      getOwnPropertyDescriptor(target, key) {
        onLook();
        return Reflect.getOwnPropertyDescriptor(target, key);
      },
    },
  );
}

it('selectors for labels that no server has are compared with no server', () => {
  let compared = 0;
  const labels = watchedLabels(() => compared++);
  const servers = Array.from({ length: 100 }, (_, index): Server => {
    return { name: `s${index}`, addresses: [index], templates: [], labels };
  });
  const names = Array.from({ length: 5000 }, (_, index) => `label-${index}`);
  const text = `appliesTo: [${names.join(', ')}, role]\ninbound: [{ protocol: tcp, sources: [${names
    .map((name) => `"label:${name},x!=y"`)
    .join(', ')}] }]\n`;
  const { value, references } = validateTemplate('web', 'web.yaml', text);
  const source: PolicySource = { templates: [value!], servers };
  expect(checkReferences(source, references!).at(-1)!.message).toBe('and 9,900 more');
  const resolver = new Resolver(source, 0);
  expect(resolver.assignmentsOf(99)).toMatchObject([
    { template: 'web', selector: { text: 'role' } },
  ]);
  expect(resolver.rangesOf(value!.inbound[0]!)).toHaveLength(0);
  expect(compared).toBeLessThan(10 * servers.length);
});

it('selectors that deny what nobody has mean everybody, and are compared with the servers once', () => {
  let [compared, read] = [0, 0];
  const labels = watchedLabels(() => compared++);
  const servers = Array.from({ length: 100 }, (_, index): Server => {
    const addresses = [2 * index];
    return {
      ...{ name: `s${index}`, templates: [], labels },
      get addresses() {
        read++;
        return addresses;
      },
    };
  });
  const texts = Array.from({ length: 2000 }, (_, index) => [
    ...[`"!label-${index}"`, `role!=x${index}`, `"a notin (${index},b),b!=${index}"`],
    ...[`"role,c!=${index}"`, `"d!=${index},role in (web,x${index})"`],
  ]).flat();
  const peers = texts.map((text) => `"label:${text.replaceAll('"', '')}"`);
  const text = `appliesTo: [${texts.join(', ')}]\ninbound: [{ protocol: tcp, sources: [${peers.join(', ')}] }]\n`;
  const { value, references } = validateTemplate('web', 'web.yaml', text);
  const source: PolicySource = { templates: [value!], servers };
  expect(checkReferences(source, references!)).toEqual([]);
  [compared, read] = [0, 0];
  const resolver = new Resolver(source, 0);
  expect(resolver.assignmentsOf(99)).toHaveLength(1);
  expect(resolver.rangesOf(value!.inbound[0]!)).toHaveLength(2 * servers.length);
  const members = new Set(
    value!.inbound[0]!.peers!.map((peer) => resolver.membersOf(peer as GroupPeer)),
  );
  // Everybody, everybody with a role, everybody whose role is web.
  expect(members.size).toBe(3);
  expect(compared).toBeLessThan(10 * servers.length);
  expect(read).toBeLessThan(10 * servers.length);
});

it('sets that are named often are looked through for a circle once each', () => {
  let looks = 0;
  const sets = Array.from({ length: 100 }, (_, index): AddressSet => {
    const include = index === 0 ? [] : ['set-0'];
    return {
      ...{ name: `set-${index}`, addresses: [], except: [] },
      get include() {
        looks++;
        return include;
      },
    };
  });
  const sources = Array.from({ length: 5000 }, (_, index) => `"set:set-${index % 100}"`).join(', ');
  const text = `inbound: [{ protocol: tcp, sources: [${sources}] }]\n`;
  const { value, references } = validateTemplate('web', 'web.yaml', text);
  expect(checkReferences({ templates: [value!], servers: [], sets }, references!)).toEqual([]);
  expect(looks).toBeLessThan(10 * sets.length);
});

it('only words that could be names are compared', () => {
  expect(didYouMean('inbund', ['inbound', 'outbound'])).toBe('; did you mean "inbound"?');
  const none = {
    [Symbol.iterator]: (): Iterator<string> => {
      throw new Error('it was looked at');
    },
  };
  expect(didYouMean('x'.repeat(41), none)).toBe('');
});

it('duplicate keys are found in every mapping, with their place', () => {
  const { errors } = parseYaml('a: 1\nb: { c: 1, d: 2, c: 3 }\na: 2\n? [x]\n: 1\n? [x]\n: 2\n');
  expect(errors.map(({ code, pos }) => [code, pos[0]])).toEqual([
    ['DUPLICATE_KEY', 29],
    ['DUPLICATE_KEY', 22],
  ]);
  // A stack is captured again afterwards.
  expect(new Error('here').stack).toMatch(/\n +at /);
});
