/** Filters of tc that may forward, from what `tc -j` of iproute2 6.1 prints. */
import { expect, test } from 'vitest';
import { filteredHooks, filterItems, filterWarnings } from '../../../src/host/filters.ts';

type Json = Readonly<Record<string, unknown>>;

const recorded = (text: string): Json[] => JSON.parse(text) as Json[];

const qdiscs = recorded(
  '[{"kind":"noqueue","handle":"0:","dev":"b0","root":true,"refcnt":2,"options":{}},' +
    '{"kind":"ingress","handle":"ffff:","dev":"b0","parent":"ffff:fff1","options":{}},' +
    '{"kind":"noqueue","handle":"0:","dev":"a0","root":true,"refcnt":2,"options":{}},' +
    '{"kind":"clsact","handle":"ffff:","dev":"a0","parent":"ffff:fff1","ingress_block":22,"options":{}},' +
    '{"kind":"prio","handle":"1:","dev":"fw0","root":true,"refcnt":3,"options":{"bands":3,"priomap":[1]}}]',
);

const match = '"not_in_hw":true,"match":{"value":"0","mask":"0","offmask":"","off":0}';
const u32 = (rest: string): Json[] =>
  recorded(
    '[{"protocol":"ip","pref":49152,"kind":"u32","chain":0},' +
      '{"protocol":"ip","pref":49152,"kind":"u32","chain":0,"options":{"fh":"800:","ht_divisor":1}},' +
      `{"protocol":"ip","pref":49152,"kind":"u32","chain":0,"options":{"fh":"800::800","order":2048,"key_ht":"800","bkt":"0",${rest}}}]`,
  );
const mirred = (action: string, control: string): Json[] =>
  u32(
    `${match},"actions":[{"order":1,"kind":"mirred","mirred_action":"${action}","direction":"egress","to_dev":"b0","control_action":{"type":"${control}"},"index":1,"ref":1,"bind":1}]`,
  );
const bpf = recorded(
  '[{"protocol":"all","pref":49152,"kind":"bpf","chain":0},' +
    '{"protocol":"all","pref":49152,"kind":"bpf","chain":0,"options":{"handle":"0x1","direct-action":true,"not_in_hw":true,"bytecode":{"length":1,"insns":[{"code":6,"jt":0,"jf":0,"k":4294967295}]}}}]',
);

test('interfaces with a hook for filters', () => {
  expect(filteredHooks(qdiscs)).toEqual([
    { device: 'b0', hook: 'ingress' },
    { device: 'b0', hook: 'egress' },
    { device: 'a0', hook: 'ingress' },
    { device: 'a0', hook: 'egress' },
    { device: 'fw0', hook: 'root' },
  ]);
});

/** What is named of filters on a hook; `b0` is an interface like others, `ifb0` one of a shaper. */
function found(device: string, hook: 'ingress' | 'egress' | 'root', filters: Json[]): object {
  const state = { state: 'read', hooks: [{ device, hook, filters }] } as const;
  const ifbs = new Set(['ifb0']);
  const items = filterItems(state, 'fw0', ifbs).map(({ item, found: what, refused = false }) => ({
    item,
    what,
    refused,
  }));
  return { items, warnings: filterWarnings(state, 'fw0', ifbs).length };
}

const none = { items: [], warnings: 0 };
const isRefused = (place: string): object => ({
  items: [{ item: `tc filter on ${place}`, what: 'redirect to b0, pref 49152', refused: true }],
  warnings: 0,
});
const isNamed = (place: string): object => ({
  items: [{ item: `tc filter on ${place}`, what: 'a program in eBPF, pref 49152', refused: false }],
  warnings: 0,
});
const isWarned = { items: [], warnings: 1 };
const toShaper = JSON.parse(
  JSON.stringify(mirred('redirect', 'stolen')).replace('"to_dev":"b0"', '"to_dev":"ifb0"'),
) as Json[];

test.each<[what: string, expected: object, ...Parameters<typeof found>]>([
  ['nothing', none, 'a0', 'ingress', []],
  ['a filter that only classifies', none, 'a0', 'ingress', u32(`"flowid":"1:1",${match}`)],
  [
    'a redirect of what comes in',
    isRefused('a0 ingress'),
    'a0',
    'ingress',
    mirred('redirect', 'stolen'),
  ],
  [
    'a redirect on the way into the TUN',
    isRefused('fw0 egress'),
    'fw0',
    'egress',
    mirred('redirect', 'stolen'),
  ],
  [
    'the same in a qdisc with classes',
    isRefused('fw0 root'),
    'fw0',
    'root',
    mirred('redirect', 'stolen'),
  ],
  ['a redirect of what was judged', isWarned, 'a0', 'egress', mirred('redirect', 'stolen')],
  ['the same as it comes out of the TUN', isWarned, 'fw0', 'ingress', mirred('redirect', 'stolen')],
  ['a redirect to a shaper', none, 'a0', 'ingress', toShaper],
  ['a copy', isWarned, 'a0', 'ingress', mirred('mirror', 'pipe')],
  ['a program', isNamed('a0 ingress'), 'a0', 'ingress', bpf],
  ['a program, twice', isNamed('a0 ingress'), 'a0', 'ingress', [...bpf, ...bpf]],
  ['a program behind the firewall', isWarned, 'a0', 'egress', bpf],
])('%s', (_, expected, ...hook) => {
  expect(found(...hook)).toEqual(expected);
});

test('a hint is the command that helps', () => {
  const filters = mirred('redirect', 'stolen');
  const state = { state: 'read', hooks: [{ device: 'a0', hook: 'ingress', filters }] } as const;
  const [item] = filterItems(state, 'fw0', new Set());
  expect(item?.hint).toMatch(/: tc filter del dev a0 ingress pref 49152$/);
});

test('where nobody can look, a warning says so', () => {
  const state = { state: 'missing', why: "the command 'tc' is not installed" } as const;
  expect(filterItems(state, 'fw0', new Set())).toEqual([]);
  expect(filterWarnings(state, 'fw0', new Set())).toEqual([expect.stringContaining(state.why)]);
});
