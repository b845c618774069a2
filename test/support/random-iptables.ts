/** Random rules of iptables as data: printed as iptables-save would, and judged by a naive walk, packet by packet. */
import type { PolicyMaker } from './random-policy.ts';
import { interestingPorts } from './random-policy.ts';
import { formatAddressNumber } from '../../src/policy/addresses.ts';

interface Block {
  readonly from: number;
  readonly to: number;
  readonly text: string;
}

/** What can be in a rule; everything that is there has to match. */
export interface PlainIptablesRule {
  protocol?: 'icmp' | 'tcp' | 'udp' | 'esp';
  source?: Block;
  destination?: Block;
  ports?: readonly (readonly [number, number])[];
  states?: readonly string[];
  /** Things that templates cannot say: whether they match is up to a coin. */
  odd?: string;
  target: string;
}

export interface PlainChain {
  name: string;
  policy: string;
  rules: PlainIptablesRule[];
}

export interface IptablesPacket {
  readonly protocol: number;
  readonly source: number;
  readonly destination: number;
  readonly port: number;
}

const numbers = { icmp: 1, tcp: 6, udp: 17, esp: 50 } as const;

export function randomBlock(maker: PolicyMaker): Block {
  const bits = maker.pick([32, 32, 31, 28, 24]);
  const size = 2 ** (32 - bits);
  const address = maker.pick(maker.addresses);
  const from = address - (address % size);
  return { from, to: from + size - 1, text: `${formatAddressNumber(from)}/${bits}` };
}

export function randomRule(
  maker: PolicyMaker,
  targets: readonly string[],
  ends: readonly ('source' | 'destination')[],
): PlainIptablesRule {
  const rule: PlainIptablesRule = { target: maker.pick(targets) };
  if (maker.chance(0.8)) rule.protocol = maker.pick(['tcp', 'tcp', 'udp', 'icmp', 'esp']);
  if ((rule.protocol === 'tcp' || rule.protocol === 'udp') && maker.chance(0.7)) {
    rule.ports = Array.from({ length: 1 + maker.below(2) }, () => {
      const [a, b] = [maker.pick(interestingPorts), maker.pick(interestingPorts)];
      return maker.chance(0.6) ? [a, a] : [Math.min(a, b), Math.max(a, b)];
    });
  }
  for (const end of ends) if (maker.chance(0.5)) rule[end] = randomBlock(maker);
  if (maker.chance(0.3)) {
    rule.states = maker.pick([['NEW'], ['NEW', 'ESTABLISHED'], ['ESTABLISHED'], ['INVALID']]);
  }
  if (maker.chance(0.08)) {
    rule.odd = maker.pick(['-i eth7', '-m limit --limit 5/min', '-m mac --mac-source 02::1']);
  }
  return rule;
}

function printRule(chain: string, rule: PlainIptablesRule): string {
  const { protocol, source, destination, ports, states, odd, target } = rule;
  const range = ([from, to]: readonly [number, number]): string =>
    from === to ? String(from) : `${from}:${to}`;
  const parts = [
    `-A ${chain}`,
    source && `-s ${source.text}`,
    destination && `-d ${destination.text}`,
    protocol && `-p ${protocol}`,
    ports?.length === 1 && `-m ${protocol!} --dport ${range(ports[0]!)}`,
    ports && ports.length > 1 && `-m multiport --dports ${ports.map(range).join(',')}`,
    states && `-m conntrack --ctstate ${states.join(',')}`,
    odd,
    `-j ${target}`,
  ];
  return parts.filter((part) => typeof part === 'string').join(' ');
}

export function printIptables(chains: readonly PlainChain[]): string {
  return [
    '*filter',
    ...chains.map(({ name, policy }) => `:${name} ${policy} [0:0]`),
    ...chains.flatMap(({ name, rules }) => rules.map((rule) => printRule(name, rule))),
    'COMMIT',
    '',
  ].join('\n');
}

/** What happens to a packet that opens a flow. @param coin whether an odd condition matches */
export function walkIptables(
  chains: readonly PlainChain[],
  start: string,
  packet: IptablesPacket,
  coin: () => boolean,
): boolean {
  const matches = (rule: PlainIptablesRule): boolean => {
    const { protocol, source, destination, ports, states, odd } = rule;
    if (protocol !== undefined && numbers[protocol] !== packet.protocol) return false;
    if (source && (packet.source < source.from || packet.source > source.to)) return false;
    const to = packet.destination;
    if (destination && (to < destination.from || to > destination.to)) return false;
    if (ports && !ports.some(([a, b]) => a <= packet.port && packet.port <= b)) return false;
    if (states && !states.includes('NEW')) return false;
    return odd === undefined || coin();
  };
  const walk = (name: string): string => {
    const chain = chains.find((each) => each.name === name)!;
    for (const rule of chain.rules) {
      if (!matches(rule)) continue;
      if (rule.target === 'RETURN') break;
      if (rule.target === 'LOG') continue;
      if (!chains.some((each) => each.name === rule.target)) return rule.target;
      const verdict = walk(rule.target);
      if (verdict !== '-') return verdict;
    }
    return chain.policy;
  };
  return walk(start) === 'ACCEPT';
}
