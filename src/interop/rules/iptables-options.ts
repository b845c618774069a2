/** What each option of an iptables rule does to its condition. An option that is not here makes the condition vague. */
import { parseAddress, parsePeer } from '../../policy/addresses.ts';
import type { RuleProtocol } from '../../policy/types.ts';
import { anything, intersect } from './iptables-condition.ts';
import type { Condition, Outside } from './iptables-condition.ts';
import { normalBlock } from './json-fields.ts';
import type { Range } from './ranges.ts';

/** A rule while its words are read. */
export interface RuleInReading {
  condition: Condition;
  comment?: string;
}

export function makeVague(rule: RuleInReading, what: string): void {
  rule.condition = { ...rule.condition, vague: [...rule.condition.vague, what] };
}

function narrow(rule: RuleInReading, by: Partial<Condition>): void {
  rule.condition = intersect(rule.condition, { ...anything, ...by });
}

function noOpening(
  rule: RuleInReading,
  severity: Outside['severity'],
  message: string,
  established: boolean,
): void {
  narrow(rule, { outside: { severity, message }, established });
}

/** What an option reads: `option` as it was written, for messages. */
type Read = (rule: RuleInReading, values: readonly string[], negated: boolean) => void;

interface OptionReader {
  /** Words that belong to it. */
  readonly values: number;
  readonly read: Read;
}

/** A reader for which a negation is one more thing that cannot be expressed. */
function positive(
  option: string,
  values: number,
  read: (rule: RuleInReading, values: readonly string[]) => void,
): OptionReader {
  return {
    values,
    read: (rule, given, negated) => {
      if (negated) makeVague(rule, ['!', option, ...given].join(' '));
      else read(rule, given);
    },
  };
}

const protocolNames: Readonly<Record<string, RuleProtocol>> = {
  all: 'all',
  '0': 'all',
  icmp: 'icmp',
  '1': 'icmp',
  tcp: 'tcp',
  '6': 'tcp',
  udp: 'udp',
  '17': 'udp',
};

const protocol = positive('-p', 1, (rule, [name]) => {
  const known = protocolNames[name!.toLowerCase()];
  if (known !== undefined) narrow(rule, { protocol: known });
  else {
    const message = `protocol ${name!}: only ICMP, TCP and UDP can be expressed`;
    noOpening(rule, 'lost', message, false);
  }
});

/** An address, a block with a length or a mask; undefined if it is none. */
function parseBlock(text: string): Range | undefined {
  const [address, mask] = text.split('/');
  let block = text;
  if (mask?.includes('.') === true) {
    const bits = parseAddress(mask);
    if ('message' in bits) return undefined;
    const length = Math.clz32(~bits.value);
    // A mask with holes is no block.
    if (length < 32 && bits.value << length !== 0) return undefined;
    block = `${address!}/${length}`;
  }
  const parsed = parsePeer(normalBlock(block));
  if (/[^\d./]/.test(block) || 'message' in parsed) return undefined;
  return { from: parsed.value.from, to: parsed.value.to };
}

function addresses(option: string, key: 'sources' | 'destinations'): OptionReader {
  return positive(option, 1, (rule, [text]) => {
    const ranges = text!.split(',').map(parseBlock);
    if (ranges.every((range) => range !== undefined)) narrow(rule, { [key]: ranges });
    else makeVague(rule, `${option} ${text!}`);
  });
}

function addressRange(option: string, key: 'sources' | 'destinations'): OptionReader {
  return positive(option, 1, (rule, [text]) => {
    const parsed = parsePeer(text!);
    if ('message' in parsed || text === 'any') makeVague(rule, `${option} ${text!}`);
    else narrow(rule, { [key]: [{ from: parsed.value.from, to: parsed.value.to }] });
  });
}

/** `80`, `80:90`, `:90`, `1024:`. */
function parsePortRange(text: string): Range | undefined {
  const match = /^(\d{1,5})$|^(\d{0,5}):(\d{0,5})$/.exec(text);
  if (match === null) return undefined;
  const from = Number(match[1] ?? match[2]);
  const to = Number(match[1] ?? (match[3] === '' ? 65_535 : match[3]));
  return from <= to && to <= 65_535 ? { from, to } : undefined;
}

function ports(option: string): OptionReader {
  return positive(option, 1, (rule, [text]) => {
    const ranges = text!.split(',').map(parsePortRange);
    const { protocol: of } = rule.condition;
    if (ranges.every((range) => range !== undefined) && (of === 'tcp' || of === 'udp')) {
      narrow(rule, { protocol: of, ports: ranges });
    } else if (rule.condition.outside === undefined) makeVague(rule, `${option} ${text!}`);
  });
}

/** The loopback interface has no part in forwarding; another interface is nothing that templates know. */
function device(option: string): OptionReader {
  return {
    values: 1,
    read: (rule, [name], negated) => {
      if (name === 'lo') {
        const message = 'traffic of the loopback interface never comes through the firewall';
        if (!negated) noOpening(rule, 'note', message, false);
      } else makeVague(rule, `${negated ? '! ' : ''}${option} ${name!}`);
    },
  };
}

const allStates = ['NEW', 'ESTABLISHED', 'RELATED', 'INVALID', 'UNTRACKED'];

/** Only NEW opens flows. The states DNAT and SNAT are about translation, which there is none of. */
const state: OptionReader = {
  values: 1,
  read: (rule, [list], negated) => {
    const listed = list!.toUpperCase().split(',');
    const unknown = listed.filter((each) => !allStates.includes(each));
    if (unknown.length > 0) {
      makeVague(rule, `${negated ? '! ' : ''}state ${unknown.join(',')}`);
      return;
    }
    const states = negated ? allStates.filter((each) => !listed.includes(each)) : listed;
    const established = states.includes('ESTABLISHED');
    if (states.includes('NEW')) {
      narrow(rule, { established });
      return;
    }
    const odd = states.filter((each) => each === 'INVALID' || each === 'UNTRACKED');
    if (odd.length > 0) {
      noOpening(rule, 'lost', `packets of the state ${odd.join(', ')} never pass`, established);
    } else {
      noOpening(rule, 'silent', 'packets of live flows need no rule', established);
    }
  },
};

/** Bits of the flags that decide whether a segment opens a flow, and as iptables names them. */
const openingFlags = ['FIN', 'SYN', 'RST', 'ACK'];
const allFlags = [...openingFlags, 'PSH', 'URG'];

/** Flag sets of real segments, PSH aside (src/dataplane/wire/parse.ts drops all others). */
const realSegments = [
  'SYN',
  'SYN,URG',
  'SYN,ACK',
  'RST',
  'RST,ACK',
  'FIN,ACK',
  'FIN,ACK,URG',
  'ACK',
  'ACK,URG',
];

/** Whether a segment of a live flow can have these flags. */
function isReal(looked: readonly string[], wanted: readonly string[], negated: boolean): boolean {
  return realSegments.some((set) =>
    ['', ',PSH'].some((push) => {
      const flags = (set + push).split(',');
      const matches = looked.every((flag) => flags.includes(flag) === wanted.includes(flag));
      return matches !== negated;
    }),
  );
}

/** A segment opens a flow when of FIN, SYN, RST and ACK only SYN is set; PSH and URG do not matter. */
function readTcpFlags(rule: RuleInReading, mask: string, set: string, negated: boolean): void {
  const flagsOf = (text: string): string[] =>
    text === 'ALL' ? allFlags : text === 'NONE' ? [] : text.split(',');
  const [looked, wanted] = [flagsOf(mask), flagsOf(set)];
  const text = `${negated ? '! ' : ''}--tcp-flags ${mask} ${set}`;
  if (rule.condition.protocol !== 'tcp') {
    makeVague(rule, text);
    return;
  }
  // A wanted flag that is not looked at can never be there.
  const opens =
    wanted.every((flag) => looked.includes(flag)) &&
    openingFlags.every(
      (flag) => !looked.includes(flag) || wanted.includes(flag) === (flag === 'SYN'),
    );
  const freely = looked.every((flag) => openingFlags.includes(flag));
  const established = isReal(looked, wanted, negated);
  if (opens && !freely) makeVague(rule, text);
  else if (opens !== negated) narrow(rule, { established });
  else noOpening(rule, 'silent', 'segments that open no flow need no rule', established);
}

const tcpFlags: OptionReader = {
  values: 2,
  read: (rule, [mask, set], negated) => readTcpFlags(rule, mask!, set!, negated),
};

const syn: OptionReader = {
  values: 0,
  read: (rule, _values, negated) => readTcpFlags(rule, 'FIN,SYN,RST,ACK', 'SYN', negated),
};

const icmpNames: Readonly<Record<string, number>> = {
  'echo-reply': 0,
  pong: 0,
  'destination-unreachable': 3,
  'source-quench': 4,
  redirect: 5,
  'echo-request': 8,
  ping: 8,
  'time-exceeded': 11,
  'parameter-problem': 12,
  'timestamp-request': 13,
  'timestamp-reply': 14,
  'address-mask-request': 17,
  'address-mask-reply': 18,
};

/** Replies to queries, and errors: they pass when they belong to a live flow, else never. */
const icmpOfFlows = [0, 3, 11, 12, 14, 16, 18];
const icmpNeverPassing = [4, 5];

const icmpType = positive('--icmp-type', 1, (rule, [text]) => {
  if (text === 'any' || text === '255') return;
  const name = text!.split('/')[0]!;
  const type = icmpNames[name] ?? (/^\d+$/.test(name) ? Number(name) : undefined);
  if (type !== undefined && icmpOfFlows.includes(type)) {
    const message = `ICMP ${text!} needs no rule: it passes when it belongs to a live flow`;
    noOpening(rule, 'note', message, true);
  } else if (type !== undefined && icmpNeverPassing.includes(type)) {
    noOpening(rule, 'lost', `ICMP ${text!} never passes`, true);
  } else makeVague(rule, `--icmp-type ${text!}: rules have no ICMP types`);
});

/** Modules that only bring options, each of which is read or makes the rule vague by itself. */
const quietModules = [
  'tcp',
  'udp',
  'icmp',
  'multiport',
  'state',
  'conntrack',
  'comment',
  'iprange',
];

const moduleName: OptionReader = {
  values: 1,
  read: (rule, [name]) => {
    if (!quietModules.includes(name!)) makeVague(rule, `-m ${name!}`);
  },
};

const comment: OptionReader = {
  values: 1,
  read: (rule, [text]) => {
    rule.comment = text!;
  },
};

/** By option; `values` says how many words belong to each. A Map, so that a word like "constructor" is no option. */
export const optionReaders: ReadonlyMap<string, OptionReader> = new Map<string, OptionReader>([
  ['-p', protocol],
  ['--protocol', protocol],
  ['-s', addresses('-s', 'sources')],
  ['--source', addresses('-s', 'sources')],
  ['-d', addresses('-d', 'destinations')],
  ['--destination', addresses('-d', 'destinations')],
  ['--src-range', addressRange('--src-range', 'sources')],
  ['--dst-range', addressRange('--dst-range', 'destinations')],
  ['--dport', ports('--dport')],
  ['--destination-port', ports('--dport')],
  ['--dports', ports('--dports')],
  ['--destination-ports', ports('--dports')],
  ['-i', device('-i')],
  ['--in-interface', device('-i')],
  ['-o', device('-o')],
  ['--out-interface', device('-o')],
  ['--state', state],
  ['--ctstate', state],
  ['--tcp-flags', tcpFlags],
  ['--syn', syn],
  ['--icmp-type', icmpType],
  ['-m', moduleName],
  ['--match', moduleName],
  ['--comment', comment],
]);
