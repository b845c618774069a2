/** Filters of tc that may forward, from what `tc -j` of iproute2 6.1 prints. */
import { expect, test } from 'vitest';
import { filteredDevices, forwardingFilters } from '../../../src/host/filters.ts';

type Json = Readonly<Record<string, unknown>>;

const recorded = (text: string): Json[] => JSON.parse(text) as Json[];

const qdiscs = recorded(
  '[{"kind":"noqueue","handle":"0:","dev":"b0","root":true,"refcnt":2,"options":{}},' +
    '{"kind":"ingress","handle":"ffff:","dev":"b0","parent":"ffff:fff1","options":{}},' +
    '{"kind":"noqueue","handle":"0:","dev":"a0","root":true,"refcnt":2,"options":{}},' +
    '{"kind":"clsact","handle":"ffff:","dev":"a0","parent":"ffff:fff1","ingress_block":22,"options":{}}]',
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
  expect(filteredDevices(qdiscs)).toEqual(['b0', 'a0']);
});

test.each<[what: string, named: string | undefined, filters: Json[]]>([
  ['none', undefined, []],
  ['one that only classifies', undefined, u32(`"flowid":"1:1",${match}`)],
  ['a redirect', 'a0 ingress (redirect to b0)', mirred('redirect', 'stolen')],
  ['a mirror', 'a0 ingress (mirror to b0)', mirred('mirror', 'pipe')],
  ['a program', 'a0 ingress (bpf)', bpf],
])('%s: %s', (_, named, filters) => {
  const warnings = forwardingFilters([{ device: 'a0', hook: 'ingress', filters }]);
  expect(warnings).toEqual(
    named === undefined
      ? []
      : [expect.stringContaining(`may forward past the firewall: ${named};`)],
  );
});

test('one sentence names all of them, each once', () => {
  const warnings = forwardingFilters([
    { device: 'a0', hook: 'ingress', filters: [...bpf, ...bpf] },
    { device: 'a0', hook: 'egress', filters: mirred('redirect', 'stolen') },
  ]);
  expect(warnings).toHaveLength(1);
  expect(warnings[0]).toContain('a0 ingress (bpf), a0 egress (redirect to b0);');
});
