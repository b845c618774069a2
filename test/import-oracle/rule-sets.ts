/**
 * Random rule sets for iptables-restore, made of words: conditions in any of the ways to write them, several tables, chains
 * that jump to each other, translation. They know nothing of how the importer reads.
 */
import type { Random } from '../oracle/random.ts';

export type Hook = 'INPUT' | 'FORWARD' | 'OUTPUT';

export interface RuleSet {
  readonly hook: Hook;
  /** Only the table filter, and nothing that templates cannot say. */
  readonly plain: boolean;
  readonly text: string;
}

/** Of the host whose INPUT and OUTPUT are asked, and of servers behind it. */
export const hostAddresses = ['10.9.0.2', '10.9.0.3'] as const;
export const serverAddresses = ['10.8.0.2', '10.8.0.3'] as const;
/** Where packets come from; none of these is a host of the lab. */
export const peers = [
  '203.0.113.5',
  '203.0.113.9',
  '203.0.113.130',
  '198.51.100.77',
  '10.1.2.3',
  '10.1.200.3',
  '192.0.2.1',
  '172.16.5.5',
] as const;
export const ports = [1, 22, 53, 67, 68, 80, 443, 1023, 1024, 8000, 8080, 65_535] as const;
export const icmpTypes = [8, 13, 15, 17] as const;
/** The set that rules may ask, and what is in it. */
export const addressSet = 'listed';
export const listed = ['203.0.113.0/24', '10.1.0.0/16', '10.9.0.2', '10.8.0.3'] as const;

type Words = readonly string[];

const maybeNot = (random: Random, words: Words): Words =>
  random.chance(0.2) ? ['!', ...words] : words;

function block(random: Random, addresses: readonly string[]): string {
  const address = random.pick(addresses);
  return random.weighted([
    [5, address],
    [2, `${address}/31`],
    [3, `${address}/24`],
    [2, `${address}/16`],
    [1, `${address}/255.255.0.0`],
    [1, `${address}/8`],
    [1, '0.0.0.0/0'],
  ]);
}

function address(random: Random, letter: 's' | 'd', addresses: readonly string[]): Words {
  const name = { s: ['-s', '--src', '--source'], d: ['-d', '--dst', '--destination'] }[letter];
  if (random.chance(0.15)) {
    const [from, to] = [random.pick(addresses), random.pick(addresses)];
    const ends = [from, to].sort((a, b) => number(a) - number(b));
    const range = letter === 's' ? '--src-range' : '--dst-range';
    return ['-m', 'iprange', ...maybeNot(random, [range, ends.join('-')])];
  }
  // Nothing is left by the negation of all, and iptables refuses it.
  const one = block(random, addresses);
  if (one === '0.0.0.0/0') return [random.pick(name), one];
  if (random.chance(0.15)) return [random.pick(name), `${one},${block(random, addresses)}`];
  return maybeNot(random, [random.pick(name), one]);
}

const number = (text: string): number =>
  text.split('.').reduce((value, part) => value * 256 + Number(part), 0);

/** iptables reads numbers as C does. */
const notations: readonly ((value: number) => string)[] = [
  (value) => `0${value.toString(8)}`,
  (value) => `0x${value.toString(16)}`,
  (value) => `+${value}`,
];

function portRange(random: Random): string {
  const [a, b] = [random.pick(ports), random.pick(ports)];
  return random.weighted([
    [5, String(a)],
    [0.3, random.pick(notations)(a)],
    [3, `${Math.min(a, b)}:${Math.max(a, b)}`],
    [1, `${a}:`],
    [1, `:${a}`],
    [1, '0:1023'],
  ]);
}

/** Nothing is left by the negation of all ports; iptables-legacy-save leaves it out, so that the rule says the contrary. */
const maybeNotPorts = (random: Random, option: string, range: string): Words =>
  /^0?:(?:65535)?$/.test(range) ? [option, range] : maybeNot(random, [option, range]);

function portMatch(random: Random, protocol: string): Words {
  if (random.chance(0.35)) {
    const list = Array.from({ length: random.int(1, 3) }, () => portRange(random)).map((range) =>
      range
        .replace(/^:/, '0:')
        .replace(/:$/, ':65535')
        .replace(/^(\d+):\1$/, '$1'),
    );
    const name = random.pick(['--dports', '--destination-ports']);
    return ['-m', 'multiport', ...maybeNot(random, [name, list.join(',')])];
  }
  const loaded = random.chance(0.7) ? ['-m', protocol] : [];
  const name = random.pick(['--dport', '--destination-port']);
  return [...loaded, ...maybeNotPorts(random, name, portRange(random))];
}

const states = ['NEW', 'ESTABLISHED', 'RELATED', 'INVALID', 'UNTRACKED'];

function state(random: Random): Words {
  const listed = states.filter((each) => random.chance(each === 'NEW' ? 0.6 : 0.3));
  const list = listed.length === 0 ? 'NEW' : listed.join(',');
  return random.chance(0.3)
    ? ['-m', 'state', ...maybeNot(random, ['--state', list])]
    : ['-m', 'conntrack', ...maybeNot(random, ['--ctstate', list])];
}

const ofInterfaces = (option: '-i' | '-o'): Words[] => [
  [option, 'eth0'],
  [option, 'eth1'],
  ['!', option, 'eth0'],
  [option, 'eth+'],
  [option, 'lo'],
  ['!', option, 'lo'],
];

const ofOutput = (random: Random): Words[] => [
  ...ofInterfaces('-o'),
  ['-m', 'owner', ...maybeNot(random, ['--uid-owner', random.pick(['0', '33'])])],
];

/** What templates cannot say, or what has to be known to be about nothing that comes. */
function odd(random: Random, hook: Hook, table: string, protocol: string | undefined): Words {
  const flags = ['FIN', 'SYN', 'RST', 'ACK', 'PSH', 'URG'];
  const some = (): string => flags.filter(() => random.chance(0.4)).join(',') || 'SYN';
  const choices: Words[] = [
    ...(hook === 'OUTPUT' ? ofOutput(random) : ofInterfaces('-i')),
    ['-m', 'set', ...maybeNot(random, ['--match-set', addressSet, random.pick(['src', 'dst'])])],
    ['-m', 'limit', '--limit', '1/hour', '--limit-burst', '2'],
    ['-m', 'statistic', '--mode', 'random', '--probability', '0.5'],
    ['-m', 'statistic', '--mode', 'nth', '--every', '2', '--packet', '0'],
    ['-m', 'recent', '--name', 'r', '--set'],
    ['-m', 'recent', '--name', 'r', ...maybeNot(random, ['--update']), '--seconds', '9'],
    ['-m', 'connlimit', '--connlimit-above', '3'],
    ['-m', 'hashlimit', '--hashlimit-upto', '1/hour', '--hashlimit-name', 'h'],
    ['-m', 'conntrack', '--ctorigdstport', '22'],
    ['-m', 'length', '--length', '0:40'],
    ['-m', 'ttl', '--ttl-gt', '63'],
    ['-m', 'mark', ...maybeNot(random, ['--mark', '1'])],
    ...(hook === 'OUTPUT' ? [] : [['-m', 'mac', '--mac-source', '02:00:00:00:00:01']]),
    ['-m', 'pkttype', '--pkt-type', random.pick(['unicast', 'broadcast', 'multicast'])],
    ['-m', 'addrtype', ...maybeNot(random, ['--dst-type', random.pick(['LOCAL', 'BROADCAST'])])],
    ['-m', 'addrtype', '--src-type', random.pick(['LOCAL', 'UNICAST', 'MULTICAST,BROADCAST'])],
    ['-m', 'conntrack', '--ctdir', random.pick(['ORIGINAL', 'REPLY'])],
    ['-m', 'conntrack', ...maybeNot(random, ['--ctstate', 'DNAT'])],
    maybeNot(random, ['-f']),
    ...(hook === 'FORWARD' && table === 'filter'
      ? [
          ['-o', 'eth1'],
          ['!', '-o', 'eth1'],
        ]
      : []),
  ];
  if (protocol === 'tcp') {
    choices.push(
      maybeNot(random, ['--syn']),
      ['-m', 'tcp', ...maybeNot(random, ['--tcp-flags', some(), some()])],
      ['-m', 'tcp', ...maybeNotPorts(random, '--sport', portRange(random))],
      ['-m', 'multiport', '--ports', '22,80'],
    );
  }
  if (protocol === 'udp') choices.push(['-m', 'udp', '--sport', '67']);
  return random.pick(choices);
}

function icmp(random: Random): Words {
  const type = random.pick(['8', '13', 'echo-request', 'any', '3', '0', '8/0', '5', '010', '0x8']);
  return ['-m', 'icmp', ...maybeNot(random, ['--icmp-type', type])];
}

interface Place {
  readonly hook: Hook;
  readonly plain: boolean;
  readonly table: string;
}

/** Conditions in an order that iptables takes: the protocol before its ports. */
function conditions(random: Random, { hook, plain, table }: Place): Words[] {
  const words: Words[] = [];
  const number = plain ? undefined : random.pick(notations)(random.pick([6, 17]));
  const protocol = random.weighted<string | undefined>([
    [number === undefined ? 0 : 0.3, number],
    [6, 'tcp'],
    [3, 'udp'],
    [2, 'icmp'],
    [3, undefined],
    [plain ? 0 : 1, 'esp'],
  ]);
  const own = hook === 'FORWARD' ? serverAddresses : hostAddresses;
  const [ofPeers, ofOwn] = hook === 'OUTPUT' ? (['d', 's'] as const) : (['s', 'd'] as const);
  const ends: Words[] = [];
  if (random.chance(0.4)) ends.push(address(random, ofPeers, peers));
  const ownChance = hook === 'FORWARD' ? 0.4 : plain ? 0 : 0.1;
  if (random.chance(ownChance)) ends.push(address(random, ofOwn, own));
  const endsFirst = random.chance(0.5);
  if (endsFirst) words.push(...ends);
  if (protocol !== undefined) {
    const name = random.pick(['-p', '--protocol']);
    if (random.chance(0.1)) words.push(['!', name, protocol]);
    else {
      words.push([name, protocol]);
      const hasPorts = protocol === 'tcp' || protocol === 'udp';
      if (hasPorts && random.chance(0.8)) words.push(portMatch(random, protocol));
      if (protocol === 'icmp' && random.chance(plain ? 0 : 0.6)) words.push(icmp(random));
      if (!plain && random.chance(0.3)) words.push(odd(random, hook, table, protocol));
    }
  } else if (!plain && random.chance(0.4)) words.push(odd(random, hook, table, undefined));
  if (!endsFirst) words.push(...ends);
  if (random.chance(0.25)) words.push(state(random));
  if (random.chance(0.15)) words.push(['-m', 'comment', '--comment', `"${comment(random)}"`]);
  return words;
}

const comment = (random: Random): string =>
  random.pick([
    'a b',
    'x -j ACCEPT',
    '-j',
    'the \\"db\\" -p tcp',
    "it's",
    '# no',
    '! -s 10.0.0.0/8',
  ]);

/** One rule, with its words in one of the orders and spellings that mean the same. */
function print(random: Random, chain: string, matches: readonly Words[], target: Words): string {
  const parts =
    target.length > 0 && random.chance(0.15) ? [target, ...matches] : [...matches, target];
  const spelled = parts.map((words) => {
    const [option, value, ...more] = words;
    // The options of iptables itself cannot be written like this: iptables-restore takes them for something else.
    const isGluable = /^--(dport|ctstate|icmp-type)$/.test(option!) && random.chance(0.2);
    return isGluable ? [`${option!}=${value!}`, ...more].join(' ') : words.join(' ');
  });
  const counters = random.chance(0.1) ? `[${random.int(0, 9)}:${random.int(0, 999)}] ` : '';
  const blank = random.chance(0.05) ? '\t' : ' ';
  return counters + ['-A', chain, ...spelled.filter((each) => each !== '')].join(blank);
}

const jump = (random: Random): string => random.pick(['-j', '-j', '-j', '--jump']);

function target(random: Random, kind: string, deeper: string | undefined, plain: boolean): Words {
  const j = jump(random);
  if (deeper !== undefined && random.chance(0.25)) {
    return [!plain || random.chance(0.7) ? random.pick([j, '-g']) : j, deeper];
  }
  if (kind === 'filter') {
    return random.weighted<Words>([
      [8, [j, 'ACCEPT']],
      [3, [j, 'DROP']],
      [1, [j, 'REJECT']],
      [1, [j, 'REJECT', '--reject-with', 'icmp-host-prohibited']],
      [deeper === undefined ? 2 : 1, [j, 'RETURN']],
      [1, [j, 'LOG', '--log-prefix', '"x -j DROP "']],
      [plain ? 0 : 1, [j, 'MARK', '--set-mark', '1']],
      [plain ? 0 : 1, []],
    ]);
  }
  const others: readonly (readonly [number, Words])[] = [
    [3, [j, 'ACCEPT']],
    [kind === 'nat' ? 0 : 3, [j, 'DROP']],
    [2, [j, 'RETURN']],
    [1, [j, 'LOG']],
    [kind === 'mangle' ? 2 : 0, [j, 'MARK', '--set-mark', '1']],
    [kind === 'raw' ? 1 : 0, [j, 'NOTRACK']],
    [kind === 'raw' ? 1 : 0, [j, 'CT', '--notrack']],
  ];
  return random.weighted(others);
}

function translation(random: Random): Words[] {
  const protocol = random.pick(['tcp', 'udp']);
  const to = random.pick([...hostAddresses, ...serverAddresses]);
  const port = random.pick(ports);
  const how = random.pick<Words>([
    ['-j', 'REDIRECT', '--to-ports', String(port)],
    ['-j', 'DNAT', '--to-destination', `${to}:${port}`],
    ['-j', 'DNAT', '--to-destination', to],
  ]);
  return [['-p', protocol], portMatch(random, protocol), how];
}

function table(random: Random, name: string, builtIn: readonly string[], set: Place): string[] {
  const isFilter = name === 'filter';
  const place: Place = { ...set, table: name };
  const user = Array.from({ length: isFilter ? 2 : random.int(0, 1) }, (_, i) => `${name}-${i}`);
  const lines = [`*${name}`];
  for (const chain of builtIn) {
    const drops = isFilter ? random.chance(0.75) : name !== 'nat' && random.chance(0.06);
    lines.push(`:${chain} ${drops ? 'DROP' : 'ACCEPT'} [0:0]`);
  }
  lines.push(...user.map((chain) => `:${chain} - [0:0]`));
  const rules: string[] = [];
  const add = (chain: string, deeper: string | undefined, count: number): void => {
    for (let i = 0; i < count; i++) {
      if (name === 'nat' && random.chance(0.5)) {
        const words = translation(random);
        rules.push(print(random, chain, words.slice(0, -1), words.at(-1)!));
      } else {
        const to = target(random, name, deeper, set.plain);
        rules.push(print(random, chain, conditions(random, place), to));
      }
    }
  };
  for (const chain of builtIn) {
    if (isFilter && random.chance(0.8)) {
      rules.push(`-A ${chain} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`);
    }
    add(chain, user[0], isFilter ? random.int(2, 7) : random.int(1, 3));
  }
  user.forEach((chain, index) => add(chain, user[index + 1], random.int(1, 4)));
  return [...lines, ...rules, 'COMMIT'];
}

export function generate(random: Random): RuleSet {
  const hook = random.pick(['INPUT', 'INPUT', 'FORWARD', 'OUTPUT'] as const);
  const plain = random.chance(0.4);
  const set: Place = { hook, plain, table: 'filter' };
  const other = plain ? 0 : 0.25;
  const first = hook === 'OUTPUT' ? 'OUTPUT' : 'PREROUTING';
  const lines = [
    ...(random.chance(other) ? table(random, 'raw', [first], set) : []),
    ...(random.chance(other) ? table(random, 'mangle', [...new Set([first, hook])], set) : []),
    ...(random.chance(other) ? table(random, 'nat', [first], set) : []),
    ...table(random, 'filter', [hook], set),
    ...(random.chance(other / 2) ? table(random, 'security', [hook], set) : []),
  ];
  return { hook, plain, text: [...lines, ''].join('\n') };
}
