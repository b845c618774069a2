/**
 * What each option of an iptables rule says of packets that open a flow. An option without a reader is a condition that
 * templates cannot say.
 */
import { parseAddress, parsePeer } from '../../policy/addresses.ts';
import { allAddresses, allPorts, boxProtocols, openingIcmpTypes } from './box.ts';
import type { BoxProtocol } from './box.ts';
import { ImportError } from './import-result.ts';
import { MatchReader } from './iptables-match.ts';
import type { MatchContext } from './iptables-match.ts';
import type { IptablesRule } from './iptables-parse.ts';
import { readTcpFlags } from './iptables-tcp-flags.ts';
import { normalBlock } from './json-fields.ts';
import { mergeRanges, rangesCover, subtractRanges } from './range-lists.ts';
import type { Range } from './range-lists.ts';

type Read = (rule: MatchReader, values: readonly string[], negated: boolean) => void;

/** @throws {@link ImportError} for a rule of IPv6 */
export function readMatch(rule: IptablesRule, context: MatchContext): MatchReader {
  const reader = new MatchReader(context, rule.line);
  // A port means nothing before the protocol is known, which may stand behind it.
  const options = rule.options.toSorted(
    (a, b) => Number(b.name === '-p') - Number(a.name === '-p'),
  );
  for (const { name, values, negated } of options) {
    const read = readers.get(name);
    if (read === undefined) reader.doubt([name, ...values].join(' '), negated);
    else read(reader, values, negated);
  }
  if (rule.unknown !== undefined) reader.doubt(rule.unknown, false);
  return reader;
}

const protocolNumbers: ReadonlyMap<number, BoxProtocol> = new Map([
  [1, 'icmp'],
  [6, 'tcp'],
  [17, 'udp'],
]);

/** As iptables and /etc/protocols name them. */
const otherProtocols: ReadonlySet<string> = new Set(
  (
    'ah dccp egp eigrp encap esp gre hip idpr-cmtp igmp igp ip ipcomp ipencap ipip ipv6 ipv6-frag ipv6-icmp icmpv6 ' +
    'ipv6-mh ipv6-nonxt ipv6-opts ipv6-route isis l2tp mh mobility-header mpls-in-ip ospf pim rdp rsvp sctp shim6 skip ' +
    'udplite vmtp vrrp wesp'
  ).split(' '),
);

/** A number in the one way that iptables-save writes it. iptables also reads others: 022 is 18, and 0x6 is 6. */
function decimal(text: string): number | undefined {
  return /^(?:0|[1-9]\d{0,9})$/.test(text) ? Number(text) : undefined;
}

const protocol: Read = (rule, [text], negated) => {
  const name = text!.toLowerCase();
  const number = decimal(name);
  const known =
    number === undefined ? boxProtocols.find((each) => each === name) : protocolNumbers.get(number);
  if (name === 'all' || number === 0) {
    if (negated) rule.protocols([]);
  } else if (known !== undefined) {
    rule.protocols(negated ? boxProtocols.filter((each) => each !== known) : [known]);
  } else if (number === undefined && !otherProtocols.has(name)) {
    rule.doubt(`-p ${text!}`, negated);
  } else if (!negated) {
    const message = `protocol ${text!}: only ICMP, TCP and UDP can be expressed`;
    rule.never('lost', message, false);
  }
};

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

function addresses(option: string, side: 'sources' | 'destinations'): Read {
  return (rule, [text], negated) => {
    if (text!.includes(':')) {
      throw new ImportError(
        `line ${rule.line}: ${text!} is an IPv6 address`,
        'these are rules of ip6tables: the firewall is IPv4 only',
      );
    }
    const ranges = text!.split(',').map(parseBlock);
    if (!ranges.every((range) => range !== undefined)) rule.fact(`${option} ${text!}`, negated);
    else rule.side(side, chosen(mergeRanges(ranges), allAddresses, negated));
  };
}

function chosen(set: readonly Range[], all: readonly Range[], negated: boolean): readonly Range[] {
  return negated ? subtractRanges(all, set) : set;
}

function addressRange(option: string, side: 'sources' | 'destinations'): Read {
  return (rule, [text], negated) => {
    const parsed = parsePeer(text!);
    if ('message' in parsed || text === 'any') {
      rule.fact(`${option} ${text!}`, negated);
      return;
    }
    const { from, to } = parsed.value;
    rule.side(side, chosen([{ from, to }], allAddresses, negated));
  };
}

/** `80`, `80:90`, `:90`, `1024:`. */
function parsePortRange(text: string): Range | undefined {
  const [first = '', last = first, ...more] = text.split(':');
  const isRange = text.includes(':');
  const from = decimal(isRange && first === '' ? '0' : first);
  const to = decimal(isRange && last === '' ? '65535' : last);
  if (from === undefined || to === undefined || more.length > 0) return undefined;
  return from <= to && to <= 65_535 ? { from, to } : undefined;
}

/** Lists of ports; undefined if a word of them is none, such as the name of a service. */
function parsePortList(text: string): Range[] | undefined {
  const ranges = text.split(',').map(parsePortRange);
  return ranges.every((range) => range !== undefined) ? mergeRanges(ranges) : undefined;
}

function destinationPorts(option: string): Read {
  return (rule, [text], negated) => {
    const ports = parsePortList(text!);
    if (ports === undefined || rule.has('icmp')) rule.fact(`${option} ${text!}`, negated);
    // iptables 1.8.9 with nft forgets the negation of all ports: the rule is for every packet then.
    else if (negated && rangesCover(ports, allPorts)) rule.doubt(`${option} ${text!}`, true);
    else rule.side('ports', chosen(ports, allPorts, negated));
  };
}

/** Templates know no source ports. */
function sourcePorts(option: string): Read {
  return (rule, [text], negated) => {
    const ports = parsePortList(text!);
    const isAll = ports !== undefined && rangesCover(ports, allPorts);
    if (!isAll) rule.fact(`${option} ${text!}`, negated);
    else if (negated) rule.doubt(`${option} ${text!}`, true);
  };
}

/** The loopback interface has no part in forwarding; of others it depends on whether it is known where packets come in. */
function device(option: '-i' | '-o'): Read {
  return (rule, [pattern], negated) => {
    const { hook, interface: own } = rule.context;
    const matches = (name: string): boolean =>
      pattern!.endsWith('+') ? name.startsWith(pattern!.slice(0, -1)) : name === pattern;
    if (pattern === '+') {
      if (negated) rule.protocols([]);
    } else if (pattern === 'lo') {
      const message = 'traffic of the loopback interface never comes through the firewall';
      if (!negated) rule.never('note', message, false);
    } else if (own === undefined || hook !== (option === '-i' ? 'INPUT' : 'OUTPUT')) {
      rule.fact(`${option} ${pattern!}`, negated);
    } else if (matches(own) === negated) {
      rule.never('note', `it is about other interfaces than ${own}`, false);
    }
  };
}

const states = ['NEW', 'ESTABLISHED', 'RELATED', 'INVALID', 'UNTRACKED'];
/** They say that an address was translated, whatever the state is. */
const translated = ['DNAT', 'SNAT'];

/** Only NEW opens flows. */
const state: Read = (rule, [list], negated) => {
  // Nothing is tracked yet: there a state means something else.
  if (rule.context.untracked) {
    rule.doubt(`state ${list!}`, negated);
    return;
  }
  const listed = list!.toUpperCase().split(',');
  const isKnown = listed.every((each) => states.includes(each) || translated.includes(each));
  const isTranslated = listed.some((each) => translated.includes(each));
  const text = `state ${list!}`;
  if (!isKnown || (isTranslated && !listed.includes('NEW'))) {
    rule.doubt(text, negated);
    return;
  }
  const left = states.filter((each) => listed.includes(each) !== negated);
  const established = left.includes('ESTABLISHED');
  if (left.includes('NEW')) {
    rule.narrow({ established });
    return;
  }
  const odd = left.filter((each) => each === 'INVALID' || each === 'UNTRACKED');
  if (odd.length > 0) {
    rule.never('lost', `packets of the state ${odd.join(', ')} never pass`, established);
  } else rule.never('silent', 'packets of live flows need no rule', established);
};

const direction: Read = (rule, [text], negated) => {
  const isOriginal = /^original$/i.test(text!);
  if (!isOriginal && !/^reply$/i.test(text!)) rule.doubt(`--ctdir ${text!}`, negated);
  else if (isOriginal === negated) {
    rule.never('silent', 'replies of live flows need no rule', true);
  }
};

const icmpNames: ReadonlyMap<string, number> = new Map(
  Object.entries({
    'echo-reply': 0,
    pong: 0,
    'destination-unreachable': 3,
    'network-unreachable': 3,
    'host-unreachable': 3,
    'protocol-unreachable': 3,
    'port-unreachable': 3,
    'fragmentation-needed': 3,
    'source-quench': 4,
    redirect: 5,
    'echo-request': 8,
    ping: 8,
    'router-advertisement': 9,
    'router-solicitation': 10,
    'time-exceeded': 11,
    'ttl-exceeded': 11,
    'ttl-zero-during-transit': 11,
    'ttl-zero-during-reassembly': 11,
    'parameter-problem': 12,
    'timestamp-request': 13,
    'timestamp-reply': 14,
    'address-mask-request': 17,
    'address-mask-reply': 18,
  }),
);

/** Replies to queries, and errors: they pass when they belong to a live flow, else never. */
const icmpOfFlows = [0, 3, 11, 12, 14, 16, 18];

const icmpType: Read = (rule, [text], negated) => {
  const [name, code] = text!.split('/');
  const type = icmpNames.get(name!) ?? decimal(name!);
  if (text === 'any' || text === '255') {
    // As with all ports: some versions match every message then.
    if (negated) rule.doubt(`--icmp-type ${text}`, true);
  } else if (type === undefined || rule.has('tcp')) {
    rule.fact(`--icmp-type ${text!}`, negated);
  } else if (openingIcmpTypes.some(({ from }) => from === type)) {
    if (code !== undefined) rule.fact(`--icmp-type ${text!}`, negated);
    if (code === undefined || !negated) {
      rule.side('ports', chosen([{ from: type, to: type }], openingIcmpTypes, negated));
    }
  } else if (!negated) {
    const message = icmpOfFlows.includes(type)
      ? `ICMP ${text!} needs no rule: it passes when it belongs to a live flow`
      : `ICMP ${text!} never passes`;
    rule.never(icmpOfFlows.includes(type) ? 'note' : 'lost', message, true);
  }
};

const fragment: Read = (rule, _values, negated) => {
  // -f is the second piece of a datagram and those behind it.
  if (!negated) {
    rule.never('note', 'a datagram in fragments is judged as a whole here', false);
  }
};

const notForwarded = 'such packets never come through the firewall';

/**
 * Types of addresses, as far as they are certain for packets that the firewall forwards to this host or from it: those to
 * the host are for a local address, those from it have one.
 */
function addressType(option: string, end: 'source' | 'destination'): Read {
  return (rule, [list], negated) => {
    const { hook } = rule.context;
    const own = { INPUT: 'destination', OUTPUT: 'source', FORWARD: undefined }[hook];
    const truth = (type: string): boolean | undefined => {
      if (own === end) return type === 'LOCAL';
      if (type === 'MULTICAST' || (type === 'BROADCAST' && hook !== 'FORWARD')) return false;
      // A packet from a local address does not come from outside, one to a local address does not leave.
      return type === 'LOCAL' && hook !== 'FORWARD' ? false : undefined;
    };
    const answers = list!.toUpperCase().split(',').map(truth);
    const answer = answers.includes(true) ? true : answers.includes(undefined) ? undefined : false;
    if (answer === undefined) rule.fact(`${option} ${list!}`, negated);
    else if (answer === negated) rule.never('note', notForwarded, false);
  };
}

const packetType: Read = (rule, [type], negated) => {
  if (rule.context.hook === 'OUTPUT') rule.fact(`--pkt-type ${type!}`, negated);
  else if ((type === 'unicast') === negated) rule.never('note', notForwarded, false);
};

/** The gateway drops what comes from where no answer would go (rp_filter). */
const invertedPathFilter: Read = (rule, _values, negated) => {
  if (!negated) rule.never('note', 'the gateway drops forged sources before any rule', false);
};

/** Modules that only bring options, each of which says something by itself. */
const quietModules = [
  'tcp',
  'udp',
  'icmp',
  'multiport',
  'state',
  'conntrack',
  'iprange',
  'comment',
  'addrtype',
  'pkttype',
  'rpfilter',
];

const moduleName: Read = (rule, [name], negated) => {
  if (!quietModules.includes(name!)) rule.doubt(`-m ${name!}`, negated);
};

const nothing: Read = () => undefined;

const fact =
  (option: string): Read =>
  (rule, values, negated) =>
    rule.fact([option, ...values].join(' '), negated);

/** A Map, so that a word like "constructor" is no option. */
const readers: ReadonlyMap<string, Read> = new Map<string, Read>([
  ['-p', protocol],
  ['-s', addresses('-s', 'sources')],
  ['-d', addresses('-d', 'destinations')],
  ['--src-range', addressRange('--src-range', 'sources')],
  ['--dst-range', addressRange('--dst-range', 'destinations')],
  ['--dport', destinationPorts('--dport')],
  ['--dports', destinationPorts('--dports')],
  ['--sport', sourcePorts('--sport')],
  ['--sports', sourcePorts('--sports')],
  ['--ports', fact('--ports')],
  ['-i', device('-i')],
  ['-o', device('-o')],
  ['-f', fragment],
  ['-4', nothing],
  ['-c', nothing],
  ['--state', state],
  ['--ctstate', state],
  ['--ctdir', direction],
  ['--tcp-flags', (rule, [mask, set], negated) => readTcpFlags(rule, mask!, set!, negated)],
  ['--syn', (rule, _none, negated) => readTcpFlags(rule, 'FIN,SYN,RST,ACK', 'SYN', negated)],
  ['--icmp-type', icmpType],
  ['--src-type', addressType('--src-type', 'source')],
  ['--dst-type', addressType('--dst-type', 'destination')],
  ['--pkt-type', packetType],
  ['--mac-source', fact('--mac-source')],
  ['--invert', invertedPathFilter],
  ['--loose', nothing],
  ['--validmark', nothing],
  ['--accept-local', nothing],
  ['-m', moduleName],
]);
