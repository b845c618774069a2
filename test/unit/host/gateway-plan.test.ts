/**
 * The order of `gateway up` on a model of the namespace: from any state that it may find, after every
 * single change, nothing is forwarded that was not forwarded before, unless it goes through the TUN.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ForwardDefault } from '../../../src/host/forward-policy.ts';
import { bypassOf, deviceGroup, guardCommands, guardFault } from '../../../src/host/guard.ts';
import type { Json } from '../../../src/host/nft.ts';
import type { Change, Item } from '../../../src/host/item.ts';
import { compare, obsoleteRules, routeProtocol } from '../../../src/host/plan.ts';
import type { Wanted } from '../../../src/host/plan.ts';
import { whatIsWrong, isDeviceName } from '../../../src/host/record.ts';
import type { Link, Route, Rule, Snapshot } from '../../../src/host/snapshot.ts';

const seed = Number(process.env['TUNWALL_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const device = 'fw0';
const wanted: Wanted = {
  ...{ device, ownerUid: 1000, txQueueLength: 2000, guard: true, integrate: false },
  ...{ fastPath: 'off', fastPathSlots: 65_536 },
};

const newLink = {
  up: false,
  txQueueLength: 500,
  qdisc: 'noop',
  mtu: 1500,
  group: 0,
  kind: 'tun',
  master: undefined,
  hasXdp: false,
};

/** A namespace that forgets nothing and refuses nothing. */
class Model {
  link: Link | undefined;
  routes: Route[] = [];
  rules: Rule[] = [];
  ruleset: Json[] = [];
  byDefault: ForwardDefault = 'accept';
  into: string[] = [];
  readonly sysctls = new Map<string, string>();

  snapshot(): Snapshot {
    const links = this.link === undefined ? [] : [this.link];
    const nft = { state: 'read', ruleset: this.ruleset } as const;
    const { rules, routes, byDefault, into, sysctls } = this;
    const forwardPolicy = { state: 'read', byDefault, into, dropped: 0 } as const;
    const filters = { state: 'read', hooks: [] } as const;
    return { links, rules, routes, nft, forwardPolicy, filters, sysctls };
  }

  apply(change: Change): void {
    if (change.kind === 'sysctl') {
      this.sysctls.set(change.path, change.value);
      if (change.path === 'ipv4/ip_forward') this.setForwarding(change.value);
      return;
    }
    if (change.kind === 'nft') {
      for (const { add } of change.commands) {
        if (add === undefined) this.ruleset = [];
        else this.ruleset.push(add);
      }
      return;
    }
    if (change.kind === 'tc') {
      expect(change.args.join(' ')).toBe(`qdisc replace dev ${device} root noqueue`);
      this.link = { ...this.link!, qdisc: 'noqueue' };
      return;
    }
    const [object, ...rest] = change.args[0] === '-4' ? change.args.slice(1) : change.args;
    if (object === 'tuntap') this.addDevice();
    else if (object === 'link') this.setLink(rest);
    else if (object === 'route') this.routes = [...this.routes, toRoute(rest)];
    else if (object === 'rule') this.rules = [...this.rules, toRule(rest)];
    else if (object === 'xfrm') this.setPolicy(rest);
    else throw new Error(`the model does not know: ip ${change.args.join(' ')}`);
  }

  addDevice(): void {
    const tun = {
      mode: 'tun',
      packetInformation: false,
      vnetHeader: true,
      multiQueue: true,
      persistent: true,
      ownerUid: wanted.ownerUid,
      hasGroup: false,
      attachedQueues: 0,
    };
    this.link = { name: device, index: 9, address: '', ...newLink, tun };
    for (const key of ['rp_filter', 'send_redirects', 'forwarding', 'disable_xfrm']) {
      const inherited = this.sysctls.get(`ipv4/conf/default/${key}`) ?? '0';
      this.sysctls.set(`ipv4/conf/${device}/${key}`, inherited);
    }
    this.sysctls.set(`ipv6/conf/${device}/disable_ipv6`, '0');
  }

  setLink([, , , key, value]: readonly string[]): void {
    if (this.link === undefined) throw new Error('there is no such device');
    if (key === 'up') this.link = { ...this.link, up: true };
    else if (key === 'mtu') this.link = { ...this.link, mtu: Number(value) };
    else if (key === 'group') this.link = { ...this.link, group: Number(value) };
    else this.link = { ...this.link, txQueueLength: Number(value) };
  }

  setPolicy([, verb, ...rest]: readonly string[]): void {
    if (verb === 'setdefault') {
      this.byDefault = rest[1] as ForwardDefault;
      return;
    }
    if (this.link === undefined) throw new Error('there is no such device');
    expect([verb, ...rest].join(' ')).toContain(
      `add src 0.0.0.0/0 dst 0.0.0.0/0 dev ${device} dir fwd`,
    );
    this.into = [...this.into, device];
  }

  /** As inet_forward_change does. */
  setForwarding(value: string): void {
    for (const path of this.sysctls.keys()) {
      if (/^ipv4\/conf\/.*\/forwarding$/.test(path)) this.sysctls.set(path, value);
    }
  }

  hasRule(priority: number): boolean {
    return this.rules.some((rule) => rule.priority === priority);
  }

  hasRoute(text: string): boolean {
    return this.routes.some((route) => route.text.startsWith(text));
  }
}

function toRoute(args: readonly string[]): Route {
  const end = args.indexOf('table');
  expect(args.slice(end, end + 2)).toEqual(['table', '100']);
  return { text: args.slice(1, end).join(' '), protocol: Number(args.at(-1)) };
}

function toRule(args: readonly string[]): Rule {
  const [, , priority, ...rest] = args;
  const selector = rest.slice(0, rest.indexOf('protocol')).join(' ');
  return {
    priority: Number(priority),
    text: `from all ${selector}`,
    protocol: Number(args.at(-1)),
  };
}

const digit = (max: number): fc.Arbitrary<string> => fc.integer({ min: 0, max }).map(String);
const interfaces = ['eth0', 'eth0.100', 'wg0'];

/** A namespace with anything in it, and any part of our work already done. */
const models = fc
  .record({
    forward: digit(1),
    rpFilters: fc.array(digit(2), { minLength: 6, maxLength: 6 }),
    redirects: fc.array(digit(1), { minLength: 6, maxLength: 6 }),
    ipv6: fc.option(digit(1)),
    alreadyDone: fc.array(fc.boolean(), { minLength: 60, maxLength: 60 }),
  })
  .map(({ forward, rpFilters, redirects, ipv6, alreadyDone }) => {
    const model = new Model();
    ['all', 'default', 'lo', ...interfaces].forEach((name, index) => {
      model.sysctls.set(`ipv4/conf/${name}/rp_filter`, rpFilters[index] ?? '0');
      model.sysctls.set(`ipv4/conf/${name}/send_redirects`, redirects[index] ?? '0');
      model.sysctls.set(`ipv4/conf/${name}/forwarding`, forward);
      if (ipv6 === null) return;
      model.sysctls.set(`ipv6/conf/${name}/forwarding`, ipv6);
      model.sysctls.set(`ipv6/conf/${name}/disable_ipv6`, '0');
    });
    model.sysctls.set('ipv4/ip_forward', forward);
    for (const [index, change] of changesOf(model).entries()) {
      // What needs the device comes with it.
      const makesDevice = change.kind === 'ip' && change.args[0] === 'tuntap';
      const possible = model.link !== undefined || change.kind !== 'ip' || makesDevice;
      if (possible && alreadyDone[index] === true) model.apply(change);
    }
    return model;
  });

function wrong(model: Model): Item[] {
  return compare(model.snapshot(), wanted).filter(({ ok }) => !ok);
}

function changesOf(model: Model): Change[] {
  return wrong(model).map(({ item, change }) => {
    if (change === undefined) throw new Error(`no change for ${item}`);
    return change;
  });
}

/** What is unsafe about a state that `up` has made out of `before`; the empty list if nothing. */
function hazards(model: Model, before: Model): string[] {
  const found: string[] = [];
  const value = (path: string): string | undefined => model.sysctls.get(path);
  const turnedOn = (has: (m: Model) => boolean): boolean => has(model) && !has(before);
  const guard = model.hasRoute('unreachable default');
  const strict = interfaces.every((name) => value(`ipv4/conf/${name}/rp_filter`) === '1');
  const noIpv6 = (value('ipv6/conf/all/forwarding') ?? '0') === '0';

  if (turnedOn((m) => m.hasRoute('default dev')) && !guard) found.push('a route without its guard');
  if (turnedOn((m) => m.hasRule(20)) && !guard) found.push('diverted without the guard');
  if (turnedOn((m) => m.hasRule(20)) && ![4, 5, 10, 21].every((p) => model.hasRule(p))) {
    found.push('the gateway’s own or judged traffic is diverted');
  }
  if (turnedOn((m) => m.sysctls.get('ipv4/conf/all/rp_filter') === '0') && !strict) {
    found.push('an interface without reverse-path filter');
  }
  if (turnedOn((m) => m.sysctls.get('ipv4/ip_forward') === '1')) {
    if (!model.hasRule(20) || !guard) found.push('forwarding unfiltered');
    if (model.ruleset.length === 0) found.push('forwarding without the guard table');
    if (model.byDefault !== 'block') found.push('forwarding without IPsec’s default');
    if (!strict) found.push('forwarding forged sources');
    if (!noIpv6) found.push('forwarding IPv6');
  }
  return found;
}

function copy(model: Model): Model {
  const twin = new Model();
  twin.link = model.link;
  twin.routes = model.routes;
  twin.rules = model.rules;
  twin.ruleset = [...model.ruleset];
  twin.byDefault = model.byDefault;
  twin.into = model.into;
  for (const [path, value] of model.sysctls) twin.sysctls.set(path, value);
  return twin;
}

test(`no change of up opens anything, and the last one completes it (TUNWALL_SEED=${seed})`, () => {
  fc.assert(
    fc.property(models, (before) => {
      const model = copy(before);
      for (let pass = 0; pass < 2; pass++) {
        for (const change of changesOf(model)) {
          model.apply(change);
          expect([change, hazards(model, before)]).toEqual([change, []]);
        }
      }
      expect(wrong(model)).toEqual([]);
    }),
    { seed, numRuns: 1000 },
  );
});

test.each([
  ['a cable', undefined],
  ['a TUN of another user', 1001],
])('%s has the name of the device: no change makes it the way out of the firewall', (_, uid) => {
  const model = new Model();
  model.addDevice();
  const tun = uid === undefined ? undefined : { ...model.link!.tun!, ownerUid: uid };
  model.link = { ...model.link!, tun };
  model.into = ['if7', device];
  const changes = compare(model.snapshot(), wanted).flatMap(({ change }) => change ?? []);
  const ofDevice = changes.filter((change) => JSON.stringify(change).includes(device));
  const kinds = ofDevice.map((change) =>
    change.kind === 'ip' ? change.args.join(' ') : change.kind,
  );
  // The guard goes by the group, which it does not get; a route and a rule lead into it, and out of it only into nothing.
  expect(kinds).toEqual([
    `xfrm policy delete src 0.0.0.0/0 dst 0.0.0.0/0 dev ${device} dir fwd`,
    expect.stringMatching(`^-4 route add default dev ${device} `),
    expect.stringMatching(`^-4 rule add priority 10 iif ${device} goto 21 `),
  ]);
  expect(JSON.stringify(changes)).toContain('"dev","if7"');
});

test('the group of the device is taken from what else has it, before anything else', () => {
  const model = new Model();
  model.addDevice();
  model.link = { ...model.link!, tun: undefined, group: deviceGroup };
  expect(wrong(model)[0]).toMatchObject({
    change: { args: ['link', 'set', 'dev', device, 'group', '0'] },
  });
  // What an earlier version has made goes on passing: it is in the group before the guard goes by that.
  model.link = undefined;
  model.addDevice();
  const [first, second] = changesOf(model);
  expect(first).toMatchObject({
    args: ['link', 'set', 'dev', device, 'group', String(deviceGroup)],
  });
  expect(second).toMatchObject({ kind: 'nft' });
});

test('the model sees a hazard: each of these changes has one when it comes first', () => {
  const fresh = new Model();
  for (const name of ['all', 'default', 'lo', ...interfaces]) {
    fresh.sysctls.set(`ipv4/conf/${name}/rp_filter`, name === 'all' ? '1' : '0');
    fresh.sysctls.set(`ipv4/conf/${name}/forwarding`, '0');
  }
  fresh.sysctls.set('ipv4/ip_forward', '0');
  const hazardous = changesOf(fresh).filter((change) => {
    const model = copy(fresh);
    if (change.kind === 'ip' && ['link', 'xfrm'].includes(change.args[0]!)) return false;
    model.apply(change);
    return hazards(model, fresh).length > 0;
  });
  const words = (change: Change): string =>
    'args' in change ? change.args.join(' ') : change.kind === 'nft' ? 'nft' : change.path;
  expect(hazardous.map(words)).toEqual([
    '-4 route add default dev fw0 table 100 protocol 116',
    '-4 rule add priority 20 lookup 100 protocol 116',
    'ipv4/conf/all/rp_filter',
    'ipv4/ip_forward',
  ]);
});

describe('the guard table', () => {
  const fault = (ruleset: readonly Json[]): string | undefined => guardFault(ruleset);
  const made = guardCommands([]).flatMap(({ add }) => (add === undefined ? [] : [add]));
  const rules = made.filter((object) => 'rule' in object);

  test('is right as it is made, whatever else is there', () => {
    const other = { table: { family: 'ip', name: 'nat' } };
    expect(fault([other, ...made])).toBeUndefined();
  });

  test('is wrong without any of its parts, with one more, or asleep', () => {
    expect(fault([])).toBe('missing');
    for (const object of made.filter((one) => !('table' in one))) {
      expect(fault(made.filter((one) => one !== object))).toMatch(/^changed: without/);
    }
    const accept = { rule: { ...rules[0]!['rule'], expr: [{ accept: null }] } };
    expect(fault([...made, accept])).toMatch(/^changed: with rule/);
    expect(fault([...made, rules.at(-1)!])).toBe('changed: in another order');
    const asleep = made.map((object) =>
      'table' in object ? { table: { ...object['table'], flags: ['dormant'] } } : object,
    );
    expect(fault(asleep)).toBe('flags ["dormant"]');
  });

  test('goes on counting when it is made again', () => {
    const counted = made.map((object) =>
      'counter' in object ? { counter: { ...object['counter'], packets: 7, bytes: 588 } } : object,
    );
    const again = guardCommands(counted).flatMap(({ add }) => (add ? [add] : []));
    expect(bypassOf(again)).toEqual({ packets: 7, bytes: 588 });
  });
});

describe('rules of an earlier version', () => {
  const old = (protocol: number): Rule[] =>
    obsoleteRules(device).map(({ priority, text }) => ({ priority, text, protocol }));
  const items = (rules: Rule[]): Item[] => {
    const model = new Model();
    model.rules = rules;
    return wrong(model).filter(({ kind, item }) => kind === 'rule' && /other|earlier/.test(item));
  };

  test('are taken out when they carry our mark, and are in the way when not', () => {
    expect(items(old(routeProtocol)).map(({ change }) => change?.kind)).toEqual(['ip', 'ip', 'ip']);
    expect(items(old(3))).toMatchObject([{ item: 'other rules up to 20' }]);
  });
});

test.each([
  ['fw0', true],
  ['wall.7', true],
  ['a23456789012345', true],
  ['a234567890123456', false],
  ['', false],
  ['-x', false],
  ['.', false],
  ['..', false],
  ['../../x', false],
  ['fw%d', false],
  ['a b', false],
  ['lo', false],
  ['all', false],
  ['default', false],
])('%j is a device name: %s', (name, expected) => {
  expect(isDeviceName(name)).toBe(expected);
});

const record = {
  version: 1,
  bootId: 'x',
  createdAt: '2026-01-01T00:00:00Z',
  device: 'fw0',
  ownerUid: 0,
  txQueueLength: 2000,
  deviceBefore: null,
  sysctls: { 'ipv4/ip_forward': '0', 'ipv4/conf/eth0.100/rp_filter': '2' },
  links: [],
};

test('a record of our own making is believed', () => {
  expect(whatIsWrong(record)).toBeUndefined();
  expect(whatIsWrong({ ...record, deviceBefore: { up: true, txQueueLength: 5 } })).toBeUndefined();
  const deviceBefore = { up: true, txQueueLength: 5, mtu: 1500, group: 7, qdisc: 'mq' };
  const newer = { ...record, version: 2, guard: false, deviceBefore, forwardDefault: 'block' };
  expect(whatIsWrong(newer)).toBeUndefined();
});

// Root writes these values to these paths.
test.each([
  ['nothing', null],
  ['another version', { ...record, version: 3 }],
  ['a guard that is neither', { ...record, guard: 'yes' }],
  ['an MTU that is none', { ...record, deviceBefore: { up: true, txQueueLength: 5, mtu: 'x' } }],
  ['a qdisc that is none', { ...record, deviceBefore: { up: true, txQueueLength: 5, qdisc: 1 } }],
  ['a device that is a path', { ...record, device: '../x' }],
  ['a default that is none', { ...record, forwardDefault: 'open' }],
  ['no owner', { ...record, ownerUid: -1 }],
  ['half a link', { ...record, deviceBefore: { up: true } }],
  ['links that are none', { ...record, links: {} }],
  ['no sysctls', { ...record, sysctls: null }],
  [
    'a path out of the tree',
    { ...record, sysctls: { 'ipv4/conf/../../../kernel/rp_filter': '1' } },
  ],
  ['a path to the parent', { ...record, sysctls: { 'ipv4/conf/../rp_filter': '1' } }],
  ['a foreign sysctl', { ...record, sysctls: { 'ipv4/tcp_syncookies': '0' } }],
  [
    'a foreign sysctl of an interface',
    { ...record, sysctls: { 'ipv4/conf/all/route_localnet': '1' } },
  ],
  ['a value that is no number', { ...record, sysctls: { 'ipv4/ip_forward': '1\n2' } }],
])('a record with %s is refused', (_, value) => {
  expect(whatIsWrong(value)).toEqual(expect.any(String));
});
