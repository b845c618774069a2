/** The fast reader of YAML against the parser: what it takes, the parser reads without an error as the same, in the same places. */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { LineCounter, isMap, isScalar, isSeq } from 'yaml';
import { parseYaml } from '../../../src/policy/parse-yaml.ts';
import { quickYaml } from '../../../src/policy/quick-yaml.ts';
import { seededRandom } from '../../support/seed.ts';

/** Kind, place and content of a node. */
function shape(node: unknown): unknown {
  const place = (node as { range?: readonly number[] }).range?.[0];
  if (isScalar(node)) return ['scalar', place, node.value];
  if (isSeq(node)) return ['list', place, node.items.map(shape)];
  if (isMap(node)) {
    return ['map', place, node.items.map(({ key, value }) => [shape(key), shape(value)])];
  }
  return ['other', String(node)];
}

/** Both readings; `quick` is undefined where the text is left to the parser. */
function readings(text: string): { quick: unknown; parsed: unknown } {
  const [quickLines, lines] = [new LineCounter(), new LineCounter()];
  const quick = quickYaml(text, quickLines.addNewLine);
  if (quick === undefined) return { quick, parsed: undefined };
  const document = parseYaml(text, { lineCounter: lines });
  return {
    quick: [shape(quick), quickLines.lineStarts, []],
    parsed: [shape(document.contents), lines.lineStarts, document.errors.map(String)],
  };
}

const texts = [
  `# a template
description: Public web server, the first (of two)
appliesTo: ["role=web", 'region in (hkg,sgp)']
inbound:
  - { protocol: tcp, ports: [80, 443, "8000-8100", 20-22], sources: [any] } # by hand
  # between
  - { protocol: icmp, sources: [10.0.0.0/8, 192.0.2.7, 198.51.100.10-198.51.100.20], comment: it's a "ping" }

  - protocol: tcp
    ports: [5432]
    sources: [ label:role=web, "label:env in (a,b)", server:web-9 ]
    except:
      - server:web-9
      - 10.0.0.1   # that one
    enabled: false
    expires: 2026-12-01T18:00:00Z
outbound: []
`,
  `servers:
- name: s-1
  addresses: [10.0.0.2, 10.0.0.3]
  templates:
  - web
  - ssh
  labels: { role: web, k8s.io/name: x }
-   name: s-2
    addresses:
    - 10.0.0.4
    region: hkg
    labels:
      role: db
      tier: a b
`,
  `device: fw0
flows: { capacity: 262144, perServerShare: 1 }
api: { listen: "127.0.0.1:8740", hosts: [], socket: /run/tunwall/tunwall.sock }
log: { level: info }`,
];

describe('the usual', () => {
  it.each(texts.map((text) => [text.slice(0, 20), text]))('%s…', (_start, text) => {
    const { quick, parsed } = readings(text);
    expect(quick).toBeDefined();
    expect(quick).toEqual(parsed);
  });

  it('is what our example has', () => {
    const example = join(import.meta.dirname, '../../../scripts/example-config');
    const names = readdirSync(example, { recursive: true, encoding: 'utf8' });
    const files = names.filter((name) => name.endsWith('.yaml') && !/^(gateway|tests)/.test(name));
    expect(files.length).toBeGreaterThan(1);
    for (const name of files) {
      const { quick, parsed } = readings(readFileSync(join(example, name), 'utf8'));
      expect(quick, name).toBeDefined();
      expect(quick, name).toEqual(parsed);
    }
  });
});

describe('what is left to the parser', () => {
  it.each([
    ['an anchor', 'a: &x 1\nb: *x\n'],
    ['a tag', 'a: !!str 1\n'],
    ['a block of lines', 'a: |\n  b\n'],
    ['a plain scalar of two lines', 'a: b\n  c\n'],
    ['a list of two lines', 'a: [1,\n  2]\n'],
    ['a fraction', 'a: 1.5\n'],
    ['a number with an exponent', 'a: 1e5\n'],
    ['an octal number', 'a: 0o17\n'],
    ['nothing', 'a: null\n'],
    ['no value', 'a:\nb: 1\n'],
    ['a key twice', 'a: 1\na: 2\n'],
    ['a pair in a list', 'a: [b: 1]\n'],
    ['an escape', 'a: "\\n"\n'],
    ['a document that begins', '---\na: 1\n'],
    ['a tab', 'a:\t1\n'],
    ['a list at the top', '- 1\n'],
    ['nothing at all', '# empty\n'],
  ])('%s', (_what, text) => {
    expect(readings(text).quick).toBeUndefined();
  });
});

it('is never another reading, whatever was typed', () => {
  const random = seededRandom();
  const below = (n: number): number => Math.floor(random() * n);
  const characters = Array.from(' \n-#:,{}[]"\'&*!|>%@~`?=\t\r\\01ae.é');
  const typed = [...characters, '\n  ', '- ', ': ', ', ', ' #', 'null'];
  let taken = 0;
  for (let round = 0; round < 6000; round++) {
    let text = texts[below(texts.length)]!;
    for (let edits = 1 + below(3); edits > 0; edits--) {
      const at = below(text.length);
      const insert = random() < 0.7 ? typed[below(typed.length)]! : '';
      text = text.slice(0, at) + insert + text.slice(at + below(3));
    }
    const { quick, parsed } = readings(text);
    if (quick === undefined) continue;
    taken++;
    expect(quick, JSON.stringify(text)).toEqual(parsed);
  }
  expect(taken).toBeGreaterThan(500);
});
