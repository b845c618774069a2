/** Denies of clouds, and what may be one: never wider than the source. */
import { describe, expect, it, vi } from 'vitest';
import { Taken } from '../../../../src/interop/rules/reading.ts';
import { importRules } from '../../../../src/interop/rules/import.ts';
import type { ImportFormat, ImportResult } from '../../../../src/interop/rules/import-result.ts';
import { reported } from '../../../support/imports.ts';

const run = (document: unknown, format?: ImportFormat): ImportResult =>
  importRules(JSON.stringify(document), format, { fallbackName: 'file' });

const any = { addresses: ['0.0.0.0/0'] };
const rule = (ports: string, more: object = {}): object => ({
  protocol: 'tcp',
  ports,
  sources: any,
  ...more,
});
const firewall = (name: string, inbound: unknown, more: object = {}): object => ({
  name,
  inbound_rules: inbound,
  outbound_rules: [],
  ...more,
});
const inboundOf = (document: unknown): unknown => run(document).templates[0]!.inbound;
const outside = ['0.0.0.0-203.0.112.255', '203.0.114.0-255.255.255.255'];
const deny = { action: 'deny' };
const office = { addresses: ['203.0.113.0/24'] };

describe('DigitalOcean: actions', () => {
  it('allow is what no action means', () => {
    const rules = [rule('22'), rule('23', { action: 'allow' }), rule('24', { action: null })];
    const result = run(firewall('f', rules));
    expect(reported(result)).toEqual([]);
    expect(result.templates[0]!.inbound.map(({ ports }) => ports)).toEqual([[22], [23], [24]]);
  });

  it('a deny is taken from every allow of its direction, wherever it stands', () => {
    const allow = [rule('22'), rule('443')];
    const block = rule('22', { ...deny, sources: office });
    for (const rules of [
      [...allow, block],
      [block, ...allow],
    ]) {
      const result = run(firewall('f', rules));
      expect(reported(result)).toEqual([]);
      expect(result.templates[0]!.inbound).toEqual([
        { protocol: 'tcp', ports: [22], sources: outside },
        { protocol: 'tcp', ports: [443], sources: ['0.0.0.0/0'] },
      ]);
    }
    const outbound = { protocol: 'tcp', ports: '0', destinations: any };
    const result = run({ ...firewall('f', [block]), outbound_rules: [outbound] });
    expect(result.templates[0]!.outbound).toEqual([
      { protocol: 'tcp', destinations: ['0.0.0.0/0'] },
    ]);
  });

  it('a deny cuts ports, too; an allow that is denied whole is reported', () => {
    const result = run(firewall('f', [rule('80-90'), rule('85'), rule('85', deny)]));
    expect(result.templates[0]!.inbound).toEqual([{ protocol: 'tcp', ports: ['80-84', '86-90'] }]);
    expect(reported(result)).toEqual([
      'note inbound_rules[1]: inbound_rules[2] (deny) takes all of it',
    ]);
  });

  it.each([
    ['the same machine', { droplet_ids: [1] }, { droplet_ids: [1, 2] }, true],
    ['nothing known of machines', {}, {}, true],
    ['a tag', { droplet_ids: [1] }, { tags: ['web'] }, true],
    ['other machines', { droplet_ids: [1] }, { droplet_ids: [2] }, false],
  ])('a deny of another firewall of %s', (_name, ofAllow, ofDeny, counts) => {
    const document = {
      firewalls: [
        firewall('base', [rule('22')], ofAllow),
        firewall('quarantine', [rule('0', { ...deny, sources: office })], ofDeny),
      ],
    };
    expect(inboundOf(document)).toEqual([
      { protocol: 'tcp', ports: [22], sources: counts ? outside : ['0.0.0.0/0'] },
    ]);
  });

  const block = (more: object): unknown[] => [
    rule('22'),
    rule('80', { sources: office }),
    rule('22', { ...deny, sources: office, ...more }),
  ];
  const ssh = { protocol: 'tcp', ports: [22], sources: outside };
  const web = { protocol: 'tcp', ports: [80], sources: ['203.0.113.0/24'] };
  it.each<[string, object, object[]]>([
    ['tags beside its addresses', { sources: { ...office, tags: ['x'] } }, [web]],
    ['no sources', { sources: {} }, [web]],
    ['a source that is none', { sources: { addresses: ['203.0.113.0/24', 'x'] } }, [web]],
    ['IPv4 that is written as IPv6', { sources: { addresses: ['::ffff:10.0.0.1'] } }, [web]],
    ['ports that are none', { ports: '22,80' }, [ssh]],
    ['ports that are not there', { ports: undefined }, [ssh]],
    ['a protocol that is none', { protocol: 'any' }, [ssh, web]],
    ['no protocol', { protocol: undefined, ports: '0' }, [ssh]],
    ['a key that is not known', { unless: 'x' }, [ssh, web]],
    ['an action that is not known', { action: 'reject' }, [ssh, web]],
    [
      'addresses of IPv6 only',
      { sources: { addresses: ['2001:db8::/32'] } },
      [{ ...ssh, sources: ['0.0.0.0/0'] }, web],
    ],
  ])('what a deny with %s may mean is blocked', (_name, more, left) => {
    const result = run(firewall('f', block(more)));
    expect(result.templates[0]!.inbound).toEqual(left);
  });

  it.each([
    ['a thing that is no rule', [rule('22'), 7]],
    ['rules that are no list', { 0: rule('22') }],
    ['an allow that may be a deny', [rule('22'), rule('0', { effect: 'x' })]],
  ])('%s may deny', (_name, rules) => {
    const result = run(firewall('f', rules));
    expect(result.templates[0]!.inbound).toEqual([]);
    expect(reported(result).some((each) => each.startsWith('lost'))).toBe(true);
  });
});

describe('DigitalOcean: tags', () => {
  it('are labels: of the servers that have a firewall, and of sources and destinations', () => {
    const rules = [
      rule('22', { sources: { ...office, tags: ['gateway', 'env:prod'] } }),
      rule('80', { sources: { tags: ['web'] } }),
    ];
    const outbound = { protocol: 'icmp', destinations: { tags: ['db'] } };
    const result = run({
      ...firewall('f', rules, { tags: ['web', 'blue'] }),
      outbound_rules: [outbound],
    });
    const groups = ['label:tag-gateway', 'label:tag-env:prod'];
    expect(result.templates[0]).toMatchObject({
      appliesTo: ['tag-web', 'tag-blue'],
      inbound: [
        { protocol: 'tcp', ports: [22], sources: ['203.0.113.0/24', ...groups] },
        { protocol: 'tcp', ports: [80], sources: ['label:tag-web'] },
      ],
      outbound: [{ protocol: 'icmp', destinations: ['label:tag-db'] }],
    });
    expect(reported(result)[0]).toBe(
      'note tags: give the servers their labels there, for these selectors: tag-web; tag-blue',
    );
    expect(reported(result).every((each) => each.startsWith('note'))).toBe(true);
    expect(result.directions).toMatchObject([
      { allowing: 2, imported: 2 },
      { allowing: 1, imported: 1 },
    ]);
  });

  it('beside a deny are left out: what it takes of them is not known', () => {
    const rules = [
      rule('22', { sources: { ...office, tags: ['gateway'] } }),
      rule('80', { sources: { tags: ['web'] } }),
      rule('99', deny),
    ];
    const result = run(firewall('f', rules));
    expect(result.templates[0]!.inbound).toEqual([
      { protocol: 'tcp', ports: [22], sources: ['203.0.113.0/24'] },
    ]);
    expect(reported(result).filter((each) => each.startsWith('lost'))).toEqual([
      'lost inbound_rules[0]: what a deny takes of label:tag-gateway is not known: left out',
      'lost inbound_rules[1]: what a deny takes of label:tag-web is not known: left out',
    ]);
  });

  it.each([['a b'], ['a,b'], ['a=b'], ['!a'], [''], [7]])('%j is no tag', (tag) => {
    const result = run(firewall('f', [rule('22', { sources: { tags: [tag] } })], { tags: [tag] }));
    expect(result.templates[0]).toMatchObject({ inbound: [] });
    expect(Object.keys(result.templates[0]!)).not.toContain('appliesTo');
    expect(reported(result)[0]).toMatch(/^lost tags\[0\]: expected a tag/);
  });
});

describe('Hetzner: what a firewall is applied to', () => {
  const applied = (...to: object[]): ImportResult => {
    const ssh = { direction: 'in', protocol: 'tcp', port: '22', source_ips: ['0.0.0.0/0'] };
    return run({ name: 'hz', rules: [ssh], applied_to: to });
  };
  const bySelector = (selector: unknown): object => ({
    type: 'label_selector',
    label_selector: { selector },
    applied_to_resources: [{ type: 'server', server: { id: 7 } }],
  });

  it('label selectors are those of the template', () => {
    const selectors = ['env=prod,!canary', 'role in (web,db)'];
    const result = applied(...selectors.map(bySelector));
    expect(result.templates[0]!.appliesTo).toEqual(selectors);
    expect(reported(result)[0]).toBe(
      'note applied_to: give the servers their labels there, for these selectors: env=prod,!canary; role in (web,db)',
    );
  });

  it('is read from what the API is asked, too', () => {
    const selector = 'role=web';
    const apply_to = [{ type: 'label_selector', label_selector: { selector } }];
    const asked = run({ name: 'hz', rules: [], apply_to });
    expect(asked.templates[0]!.appliesTo).toEqual([selector]);
    expect(reported(asked)[0]).toMatch(/^note apply_to: give the servers their labels/);
  });

  it('servers are not, and a selector that cannot be read is reported', () => {
    const server = { type: 'server', server: { id: 42 } };
    const result = applied(server, bySelector('env=prod'), bySelector('a b'), bySelector(7));
    expect(result.templates[0]!.appliesTo).toEqual(['env=prod']);
    expect(reported(result).slice(0, 2)).toEqual([
      expect.stringContaining('lost applied_to[2].label_selector.selector: expected a selector'),
      'note applied_to: servers are not imported: assign the template to them',
    ]);
    expect(Object.keys(applied(server).templates[0]!)).not.toContain('appliesTo');
  });
});

describe('IPv6', () => {
  it('beside IPv4 is worth a note, alone it is a loss', () => {
    const both = run(firewall('f', [rule('22', { sources: { addresses: ['::/0', '10.0.0.1'] } })]));
    expect(reported(both)).toEqual([
      'note inbound_rules[0].sources.addresses[0]: "::/0" is IPv6, which the firewall does not forward',
    ]);
    const alone = run(firewall('f', [rule('22', { sources: { addresses: ['::/0'] } })]));
    expect(reported(alone).map((each) => each.split(':')[0])).toEqual([
      'lost inbound_rules[0].sources.addresses[0]',
      'lost inbound_rules[0]',
    ]);
    expect(alone.directions[0]).toEqual({ name: 'inbound_rules', allowing: 1, imported: 0 });
  });
});

describe('documents of the other cloud', () => {
  const hetzner = {
    name: 'hz',
    rules: [
      { direction: 'in', protocol: 'tcp', port: '22', source_ips: ['0.0.0.0/0'] },
      { direction: 'out', protocol: 'icmp', destination_ips: ['0.0.0.0/0'] },
    ],
  };
  it('allow nothing', () => {
    const mixed = run([hetzner, firewall('do', [rule('22')])]);
    expect(mixed.format).toBe('hetzner');
    expect(mixed.templates[1]).toMatchObject({ name: 'do', inbound: [], outbound: [] });
    expect(reported(mixed)).toContain(
      'lost [1].rules: there are no rules: nothing is allowed by what is not there',
    );
    const other = run(hetzner, 'digitalocean');
    expect(other.templates[0]).toMatchObject({ inbound: [], outbound: [] });
    expect(reported(other)).toEqual(['lost the document: it has no rules of DigitalOcean']);
  });
});

describe('Hetzner Cloud', () => {
  it('a rule with a key that is not known may deny', () => {
    const allow = { direction: 'in', protocol: 'tcp', port: '22', source_ips: ['0.0.0.0/0'] };
    const odd = { ...allow, source_ips: ['203.0.113.0/24'], action: 'drop' };
    expect(inboundOf({ name: 'f', rules: [allow, odd] })).toEqual([
      { protocol: 'tcp', ports: [22], sources: outside },
    ]);
  });
});

it('firewalls of one name get numbers, and none is tried again for each of them', () => {
  const firewalls = Array.from({ length: 5000 }, () => ({ name: 'x', inbound_rules: [] }));
  const has = vi.spyOn(Set.prototype, 'has');
  try {
    const { templates } = importRules(JSON.stringify({ firewalls }), undefined, {
      fallbackName: 'x',
    });
    expect(has.mock.calls.length).toBeLessThan(10 * firewalls.length);
    expect(new Set(templates.map(({ name }) => name)).size).toBe(5000);
    expect(templates.at(-1)!.name).toBe('x-5000');
  } finally {
    has.mockRestore();
  }
});

describe('what is no rule', () => {
  const documents = (rules: readonly unknown[]): Record<string, unknown> => ({
    digitalocean: { name: 'x', inbound_rules: rules, outbound_rules: rules },
    hetzner: { name: 'x', rules },
  });

  it.each(['digitalocean', 'hetzner'] as const)('of %s is taken from the allows once', (format) => {
    const sets = vi.spyOn(Taken.prototype, 'add');
    const rules = Array<number>(20_000).fill(0);
    const { templates, remarks } = importRules(JSON.stringify(documents(rules)[format]), format, {
      fallbackName: 'x',
    });
    const { length } = sets.mock.calls;
    sets.mockRestore();
    expect(templates).toMatchObject([{ inbound: [], outbound: [] }]);
    expect(remarks.length).toBeGreaterThanOrEqual(rules.length);
    // A box for each protocol and direction.
    expect(length).toBe(6);
  });
});

it.each([
  ['blank lines', '\n'],
  ['lines of blanks', '\n '],
  ['digits', '1'],
  ['brackets', '[1:'],
  ['counters', '[0:0] '],
])('1 MB of %s is nothing that can be imported', (_, text) => {
  // With the square of its size it would not end before the test's own limit.
  expect(() =>
    importRules(`x${text.repeat((1 << 20) / text.length)}`, undefined, { fallbackName: 'x' }),
  ).toThrow('this is nothing that can be imported');
});
