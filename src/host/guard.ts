/**
 * The nftables table `inet tunwall-guard`: the line behind the routing rules. What is forwarded comes out of the
 * TUN or goes into it; everything else is dropped and counted, whatever led it there (rules or routes that
 * are gone, an IPsec policy, multicast routing, another program's table).
 *
 * The table is data in the form that `nft -j` reads and prints, so that one description is loaded and compared.
 * Beside the guard it has what makes two passes through the host look like one:
 *
 * - Connection tracking sees each packet once. A packet from a cable that is not for this host itself is not
 *   tracked; it is tracked when it comes out of the TUN, where the host's NAT rules for its way out apply. A
 *   packet for the host's own address is tracked on its way in, where NAT turns it towards a server; it must
 *   not be tracked again, or it gets another port. Its source is remembered for that (`to-gateway`), without a
 *   `ct` expression: that would turn connection tracking on for hosts that have none.
 * - A filter of `tc` may redirect a packet of a cable into the TUN's ingress, as if it had been judged. What came in by
 *   a cable has a header of the link layer in front, which a packet of a TUN never has.
 * - Of the two hops, one is given back, for packets that have few left (traceroute). nftables cannot add: there
 *   is a chain for each value. What comes out of the TUN never goes into it again, so that no loop lives on that.
 */
import type { Json, NftCommand, Ruleset } from './nft.ts';
import type { Snapshot } from './snapshot.ts';

export const guardTable = 'tunwall-guard';
const table = { family: 'inet', table: guardTable } as const;

/** Hops left up to which one is given back; traceroute counts to 30. */
const fewHops = 32;
/** Sources that sent something to the gateway itself within {@link rememberS}; some 10 MB when full. */
const rememberedSources = 131_072;
const rememberS = 10;

/**
 * The group of links (`ip link set group`) that the device is in. The guard tells the device by it: a name takes the
 * kernel twice as long to compare, and a cable that gets the name of the device is not in the group.
 */
export const deviceGroup = 11_600_116;

type Expression = Readonly<Record<string, unknown>>;

const meta = (key: string): Expression => ({ meta: { key } });
const payload = (protocol: string, field: string): Expression => ({ payload: { protocol, field } });
const match = (op: string, left: Expression, right: unknown): Expression => ({
  match: { op, left, right },
});
const comesFromDevice = match('==', meta('iifgroup'), deviceGroup);
const goesToDevice = match('==', meta('oifgroup'), deviceGroup);
const fibType = (type: string): Expression =>
  match('==', { fib: { result: 'type', flags: ['daddr'] } }, type);
/** True of any byte that is there. */
const hasLinkLayer = match('>=', { payload: { base: 'll', offset: 0, len: 8 } }, 0);
const source: Expression = {
  concat: [payload('ip', 'saddr'), payload('ip', 'protocol'), payload('th', 'sport')],
};

/** Every packet passes two chains twice: each asks as little as can be of what is usual, and that first. */
const forwardRules: readonly Expression[][] = [
  [comesFromDevice, { goto: { target: 'from-device' } }],
  [goesToDevice, { goto: { target: 'give-back' } }],
  [{ counter: 'bypass' }, { drop: null }],
];

const fromDeviceRules: readonly Expression[][] = [[goesToDevice, { drop: null }]];

/**
 * Byte 8 of the packet is below {@link fewHops}: a masked comparison of a raw byte is done in the kernel's loop over expressions,
 * and asks no protocol. The map behind it does.
 */
const hasFewHops = match(
  '==',
  { '&': [{ payload: { base: 'nh', offset: 64, len: 8 } }, 256 - fewHops] },
  0,
);

const hops: readonly number[] = Array.from({ length: fewHops - 1 }, (_, index) => index + 1);

function giveBackRules(): Expression[][] {
  return [
    [
      hasFewHops,
      {
        vmap: {
          key: payload('ip', 'ttl'),
          data: { set: hops.map((ttl) => [ttl, { goto: { target: `hops-${ttl}` } }]) },
        },
      },
    ],
  ];
}

const judgedRules: readonly Expression[][] = [
  [hasLinkLayer, { counter: 'bypass' }, { drop: null }],
  [match('==', source, '@to-gateway'), { notrack: null }],
];

const preroutingRules: readonly Expression[][] = [
  [comesFromDevice, { goto: { target: 'judged' } }],
  // Nothing of `lo`: what it carries is for this host.
  [fibType('unicast'), { notrack: null }, { accept: null }],
  [
    match('!=', meta('iifname'), 'lo'),
    fibType('local'),
    { set: { op: 'update', elem: source, set: '@to-gateway' } },
  ],
];

/** The objects of the table, in an order in which they can be made. */
function wantedObjects(): Json[] {
  const chain = (name: string, hook: string, prio: number): Json => ({
    chain: { ...table, name, type: 'filter', hook, prio, policy: 'accept' },
  });
  const rule = (name: string, expr: readonly Expression[]): Json => ({
    rule: { ...table, chain: name, expr },
  });
  return [
    { counter: { ...table, name: 'bypass' } },
    {
      set: {
        ...table,
        name: 'to-gateway',
        type: ['ipv4_addr', 'inet_proto', 'inet_service'],
        size: rememberedSources,
        flags: ['timeout'],
        timeout: rememberS,
      },
    },
    ...[...hops.map((ttl) => `hops-${ttl}`), 'give-back', 'from-device', 'judged'].map((name) => ({
      chain: { ...table, name },
    })),
    ...hops.map((ttl) =>
      rule(`hops-${ttl}`, [{ mangle: { key: payload('ip', 'ttl'), value: ttl + 1 } }]),
    ),
    ...giveBackRules().map((expr) => rule('give-back', expr)),
    ...fromDeviceRules.map((expr) => rule('from-device', expr)),
    ...judgedRules.map((expr) => rule('judged', expr)),
    chain('forward', 'forward', 0),
    ...forwardRules.map((expr) => rule('forward', expr)),
    chain('prerouting', 'prerouting', -300),
    ...preroutingRules.map((expr) => rule('prerouting', expr)),
  ];
}

/** What went around the firewall, and was dropped. */
export interface Bypass {
  readonly packets: number;
}

/** What the guard has dropped since it was made first; undefined when it is not there. */
export function bypassOf(ruleset: Ruleset): (Bypass & { readonly bytes: number }) | undefined {
  for (const object of objectsOf(ruleset)) {
    const { counter } = object as {
      counter?: { name: string; packets: number; bytes: number };
    };
    if (counter?.name === 'bypass') return { packets: counter.packets, bytes: counter.bytes };
  }
  return undefined;
}

/**
 * What was dropped around the firewall: by the guard, and for want of an IPsec policy. Undefined where neither can be read.
 *
 * @param before what the policies had dropped before `up`; undefined: not known
 */
export function bypassIn(
  { nft, forwardPolicy }: Snapshot,
  before: number | undefined,
): Bypass | undefined {
  const guard = nft.state === 'read' ? bypassOf(nft.ruleset)?.packets : undefined;
  const policies =
    forwardPolicy.state === 'read' && before !== undefined
      ? forwardPolicy.dropped - before
      : undefined;
  if (guard === undefined && policies === undefined) return undefined;
  return { packets: (guard ?? 0) + (policies ?? 0) };
}

function objectsOf(ruleset: Ruleset): Json[] {
  return ruleset.filter((object) => {
    const [kind, value] = Object.entries(object)[0] ?? [];
    const { family, table: of, name } = (value ?? {}) as Record<string, unknown>;
    return family === 'inet' && (kind === 'table' ? name : of) === guardTable;
  });
}

export function hasGuard(ruleset: Ruleset): boolean {
  return objectsOf(ruleset).length > 0;
}

/** What is wrong with the table: undefined, `missing`, or what differs. */
export function guardFault(ruleset: Ruleset): string | undefined {
  const objects = objectsOf(ruleset);
  if (objects.length === 0) return 'missing';
  const { table: head } = objects.find((object) => 'table' in object) as {
    table: { flags?: unknown };
  };
  if (head.flags !== undefined) return `flags ${JSON.stringify(head.flags)}`;
  const found = canonical(objects);
  const wanted = canonical(wantedObjects());
  if (found.join('\n') === wanted.join('\n')) return undefined;
  const lost = wanted.find((line) => !found.includes(line));
  if (lost !== undefined) return `changed: without ${lost}`;
  const added = found.find((line) => !wanted.includes(line));
  if (added !== undefined) return `changed: with ${added}`;
  return 'changed: in another order';
}

/**
 * One line an object: rules in their order, chains and counters sorted. Handles and counts are not
 * configuration; of sets only the name is compared, because versions of nft print their flags differently.
 */
function canonical(objects: readonly Json[]): string[] {
  const rules: string[] = [];
  const others: string[] = [];
  for (const object of objects) {
    if ('rule' in object) {
      const { chain, expr } = object['rule'] as Record<string, unknown>;
      rules.push(`rule of ${String(chain)}: ${JSON.stringify(expr)}`);
    } else if ('chain' in object) {
      const { name, type, hook, prio, policy } = object['chain'] as Record<string, unknown>;
      others.push(`chain ${[name, type, hook, prio, policy].join(' ').trim()}`);
    } else if (!('table' in object)) {
      const [kind, value] = Object.entries(object)[0] ?? ['', {}];
      others.push(`${kind} ${String((value as { name: unknown }).name)}`);
    }
  }
  // Rules of one chain keep their order; which chain comes first says nothing.
  const chainOf = (line: string): string => line.slice(0, line.indexOf(':'));
  rules.sort((a, b) => (chainOf(a) < chainOf(b) ? -1 : chainOf(a) > chainOf(b) ? 1 : 0));
  return [...others.sort(), ...rules];
}

/** Puts the table there, in the place of what has its name, in one transaction. The count goes on. */
export function guardCommands(ruleset: Ruleset): NftCommand[] {
  const bypass = bypassOf(ruleset);
  const objects = wantedObjects().map((object) =>
    bypass !== undefined && 'counter' in object
      ? { counter: { ...object['counter'], ...bypass } }
      : object,
  );
  const whole = { table: { family: 'inet', name: guardTable } };
  return [
    // Adding what is there is no error; deleting what is not would be.
    { add: whole },
    { delete: whole },
    { add: whole },
    ...objects.map((object) => ({ add: object })),
  ];
}

export const removeGuardCommands: readonly NftCommand[] = [
  { delete: { table: { family: 'inet', name: guardTable } } },
];
