/** What is recognised of others on the host, from what nft and ip print. */
import { describe, expect, test } from 'vitest';
import { droppingChains } from '../../../src/host/chains.ts';
import {
  bridgeWarnings,
  forwardingWarnings,
  neighbourItems,
  neighbourWarnings,
} from '../../../src/host/neighbours.ts';
import type { Json } from '../../../src/host/nft.ts';
import type { Link, Snapshot } from '../../../src/host/snapshot.ts';

const chain = (name: string, base: object = {}): Json => ({
  chain: { family: 'inet', table: 'x', name, ...base },
});
const forward = (policy: string): Json => chain('f', { type: 'filter', hook: 'forward', policy });
const rule = (name: string, ...expr: object[]): Json => ({
  rule: { family: 'inet', table: 'x', chain: name, handle: 7, expr },
});
const meta = (key: string, right: unknown, op = '=='): object => ({
  match: { op, left: { meta: { key } }, right },
});
const ctState = (...right: string[]): object => ({
  match: { op: 'in', left: { ct: { key: 'state' } }, right },
});
const prerouting = chain('f', { type: 'filter', hook: 'prerouting', policy: 'accept' });
const toAddress = {
  match: { op: '==', left: { payload: { protocol: 'ip', field: 'daddr' } }, right: '10.0.0.2' },
};
const accept = { accept: null };
const drop = { drop: null };

const rows: [what: string, dropped: boolean, ...ruleset: Json[]][] = [
  ['a policy of drop without rules', true, forward('drop')],
  ['a policy of accept', false, forward('accept')],
  [
    'an accept of what is established',
    true,
    forward('drop'),
    rule('f', ctState('established', 'related'), accept),
  ],
  [
    'an accept of what is translated, as firewalld has it',
    true,
    forward('drop'),
    rule('f', { match: { op: 'in', left: { ct: { key: 'status' } }, right: 'dnat' } }, accept),
  ],
  [
    'an accept of what is assured',
    false,
    forward('drop'),
    rule('f', { match: { op: 'in', left: { ct: { key: 'status' } }, right: 'assured' } }, accept),
  ],
  ['an accept of what is new', false, forward('drop'), rule('f', ctState('new'), accept)],
  [
    'an accept for other interfaces',
    true,
    forward('drop'),
    rule('f', meta('iifname', 'docker0'), accept),
  ],
  [
    'an accept for interfaces but one',
    false,
    forward('drop'),
    rule('f', meta('iifname', 'docker0', '!='), accept),
  ],
  ['one direction only', true, forward('drop'), rule('f', meta('iifname', 'fw0'), accept)],
  [
    'both directions',
    false,
    forward('drop'),
    rule('f', meta('iifname', 'fw0'), accept),
    rule('f', meta('oifname', { set: ['fw0', 'x*'] }), accept),
  ],
  [
    'a pattern',
    false,
    forward('drop'),
    rule('f', meta('iifname', 'fw*'), accept),
    rule('f', meta('oifname', 'fw*'), accept),
  ],
  [
    'something unknown that may accept',
    false,
    forward('drop'),
    rule(
      'f',
      {
        match: {
          op: '==',
          left: { payload: { protocol: 'ip', field: 'daddr' } },
          right: '10.0.0.2',
        },
      },
      accept,
    ),
  ],
  [
    'something unknown that may drop',
    false,
    forward('accept'),
    rule(
      'f',
      {
        match: {
          op: '==',
          left: { payload: { protocol: 'ip', field: 'daddr' } },
          right: '10.0.0.2',
        },
      },
      drop,
    ),
  ],
  ['a drop at the end', true, forward('accept'), rule('f', drop)],
  ...(
    [
      ['of all but one interface, as Docker 28 has it', true, meta('iifname', 'docker0', '!=')],
      ['of one interface', false, meta('iifname', 'eth0')],
      ['of any interface', false, undefined],
    ] as const
  ).map(([whose, drops, from]): [string, boolean, ...Json[]] => [
    `a drop of packets ${whose} to an address`,
    drops,
    prerouting,
    rule('f', toAddress, ...(from === undefined ? [] : [from]), drop),
  ]),
  [
    'a reject in a chain that is called',
    true,
    forward('accept'),
    chain('g'),
    rule('g', { reject: null }),
    rule('f', { jump: { target: 'g' } }),
  ],
  [
    'a return before it',
    false,
    forward('accept'),
    chain('g'),
    rule('g', { return: null }),
    rule('g', drop),
    rule('f', { jump: { target: 'g' } }),
  ],
  [
    'a goto that ends the list',
    false,
    forward('accept'),
    chain('g'),
    rule('f', { goto: { target: 'g' } }),
    rule('f', drop),
  ],
  [
    'a map of verdicts by interface',
    false,
    forward('drop'),
    rule('f', { vmap: { key: { meta: { key: 'iifname' } }, data: '@zones' } }),
  ],
  [
    'a map of verdicts by state',
    true,
    forward('drop'),
    rule('f', {
      vmap: { key: { ct: { key: 'state' } }, data: { set: [['established', accept]] } },
    }),
  ],
  ['only IPv6', false, forward('accept'), rule('f', meta('nfproto', 'ipv6'), drop)],
  [
    'chains that call each other',
    false,
    forward('accept'),
    chain('g'),
    rule('g', { jump: { target: 'g' } }),
    rule('f', { jump: { target: 'g' } }),
  ],
];

test.each(rows)('%s: drops judged packets: %s', (_, dropped, ...ruleset) => {
  expect(droppingChains(ruleset, 'fw0', ['eth0']).length > 0).toBe(dropped);
});

test('the zones of firewalld: the hint lasts over its reload', () => {
  const ours = { family: 'inet', table: 'firewalld' };
  const base = { type: 'filter', hook: 'forward', policy: 'accept' };
  const ruleset: Json[] = [
    { chain: { ...ours, name: 'filter_FORWARD', ...base } },
    { chain: { ...ours, name: 'zone' } },
    { rule: { ...ours, chain: 'filter_FORWARD', handle: 1, expr: [{ jump: { target: 'zone' } }] } },
    { rule: { ...ours, chain: 'zone', handle: 2, expr: [{ reject: { type: 'icmpx' } }] } },
  ];
  const links = [{ name: 'eth0', up: true }] as unknown as Link[];
  const seen = { links, nft: { state: 'read', ruleset }, filters: { state: 'read', hooks: [] } };
  const [item] = neighbourItems(seen as unknown as Snapshot, 'fw0', false);
  expect(item?.item).toBe('chain inet firewalld filter_FORWARD');
  expect(item?.hint).toMatch(
    /^let them through: firewall-cmd --permanent --new-zone=tunwall; .*; firewall-cmd --reload$/,
  );
});

describe('what forwards by itself', () => {
  const link = (name: string, kind: string, hasXdp = false): Link => ({
    ...{
      name,
      index: 2,
      address: '',
      up: true,
      txQueueLength: 1000,
      qdisc: 'noqueue',
      mtu: 1500,
      group: 0,
      kind,
      hasXdp,
    },
    ...{ master: undefined, tun: undefined },
  });
  const snapshot = (links: Link[], ruleset: Json[] = []): Snapshot => ({
    links,
    nft: { state: 'read', ruleset },
    forwardPolicy: { state: 'missing' },
    filters: { state: 'read', hooks: [] },
    ...{ rules: [], routes: [], sysctls: new Map() },
  });
  const flowtable = { flowtable: { family: 'inet', table: 'x', name: 'ft', dev: ['eth0'] } };

  test('is refused: a VRF, a flowtable', () => {
    const items = neighbourItems(snapshot([link('red', 'vrf')], [flowtable]), 'fw0', false);
    expect(items).toMatchObject([
      { item: 'VRF devices', found: 'red', refused: true },
      { item: 'nft flowtable inet x ft', found: 'on ["eth0"]', refused: true },
    ]);
    expect(items.every(({ hint }) => hint !== undefined)).toBe(true);
  });

  const ruleWith = (...expr: object[]): Json => ({
    rule: { family: 'netdev', table: 't', chain: 'c', handle: 7, expr },
  });

  test('is refused: a rule that sends packets out of another interface', () => {
    const seen = snapshot([], [ruleWith({ fwd: { dev: 'web' } }), ruleWith({ accept: null })]);
    expect(neighbourItems(seen, 'fw0', false)).toMatchObject([
      {
        ...{ item: 'chain netdev t c', found: 'rule 7: fwd', refused: true },
        hint: expect.stringMatching(/nft delete rule netdev t c handle 7$/) as string,
      },
    ]);
  });

  test('is named: XDP, which cannot be looked into; is a warning: copies', () => {
    const copies = [
      ruleWith({ dup: { addr: '10.0.0.3' } }),
      ruleWith({ xt: { type: 'target', name: 'TEE' } }),
    ];
    const seen = snapshot([link('eth0', '', true), link('fw0', 'tun', true)], copies);
    expect(neighbourItems(seen, 'fw0', false)).toMatchObject([{ item: 'XDP on eth0', ok: false }]);
    expect(neighbourWarnings(seen, 'fw0')).toEqual([expect.stringMatching(/copies .*: t c$/)]);
    const harmless = chain('i', { hook: 'ingress' });
    expect(neighbourWarnings(snapshot([link('eth0', '')], [harmless]), 'fw0')).toEqual([]);
  });

  test('is dropped by the guard: frames of a bridge that pass nftables', () => {
    const bridged = snapshot([link('br0', 'bridge'), link('eth0', '')]);
    const warnings = bridgeWarnings(bridged, () => '1');
    expect(warnings).toEqual([expect.stringContaining('what br0 forwards between its own ports')]);
    expect(warnings[0]).toMatch(
      /sysctl -w net\.bridge\.bridge-nf-call-iptables=0 net\.bridge\.bridge-nf-call-ip6tables=0$/,
    );
    const onlyIpv4 = bridgeWarnings(bridged, (path) => (path.endsWith('ip6tables') ? '0' : '1'));
    expect(onlyIpv4[0]).toMatch(/sysctl -w net\.bridge\.bridge-nf-call-iptables=0$/);
    expect(bridgeWarnings(bridged, () => '0')).toEqual([]);
    // The kernel has no br_netfilter; the host has no bridge.
    expect(bridgeWarnings(bridged, () => undefined)).toEqual([]);
    expect(bridgeWarnings(snapshot([link('eth0', '')]), () => '1')).toEqual([]);
  });

  test('is never seen: what a bridge joins, unless its ports are those of guests', () => {
    const port = (name: string, kind: string): Link => ({ ...link(name, kind), master: 'br0' });
    const joined = [link('br0', 'bridge'), port('eth0', ''), port('eth1.7', 'vlan')];
    expect(bridgeWarnings(snapshot(joined), () => '0')).toEqual([
      'br0 joins eth0, eth1.7: what it forwards between them the firewall never sees',
    ]);
    const guests = [
      link('br0', 'bridge'),
      port('eth0', ''),
      port('vm1', 'tun'),
      port('c1', 'veth'),
    ];
    expect(bridgeWarnings(snapshot(guests), () => '0')).toEqual([]);
  });

  test('is not forwarded: what comes in where forwarding is off', () => {
    const seen = (all: string): string[] =>
      forwardingWarnings(
        {
          ...snapshot([link('lo', ''), link('fw0', 'tun'), link('eth0', ''), link('eth1', '')]),
          sysctls: new Map([
            ['ipv4/ip_forward', all],
            ...['lo', 'fw0', 'eth0'].map((name) => [`ipv4/conf/${name}/forwarding`, '0'] as const),
            ['ipv4/conf/eth1/forwarding', '1'],
          ]),
        },
        'fw0',
      );
    expect(seen('1')).toEqual([expect.stringContaining('comes in at eth0 is not forwarded')]);
    expect(seen('0')).toEqual([]);
  });
});
