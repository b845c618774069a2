/**
 * Few rules for what a server was seen to need while it observed, and what else they would admit.
 *
 * Flows that a rule of the server allows by now need none. The others are put together by direction and protocol:
 *
 * 1. Ports from 32768 on are one range where more than 16 of them were asked for: they are given by chance (passive FTP, RTP).
 * 2. The peers of each port are written as few peers (written-peers.ts). Only here, and by 1, is more admitted than was seen.
 * 3. Ports and peers are put together to few rules that admit no other pair of them (rule-cover.ts).
 *
 * What they would admit beside is computed from the rules that come out, not from these steps (`opened`).
 */
import type { RuleDirection } from '../text/rule-text.ts';
import { directions } from '../text/rule-text.ts';
import type { CompiledPolicy } from './compile.ts';
import type { QuestionProtocol } from './opening-packet.ts';
import { opened } from './openings.ts';
import type { Gate } from './openings.ts';
import { parsePeer } from './peers.ts';
import { allAddresses, hasAddress, rangesOf, unionRanges } from './ranges.ts';
import type { Ranges } from './ranges.ts';
import { rulesOfServer } from './reach.ts';
import { fewProducts } from './rule-cover.ts';
import type { Peer, PolicySource, PortRange, Rule } from './types.ts';
import { PeerWriter } from './written-peers.ts';

/** Flows of one kind that no rule allowed. */
export interface SeenFlows {
  /** Of the server. */
  readonly direction: RuleDirection;
  readonly protocol: QuestionProtocol;
  /** The other end, unsigned. */
  readonly peer: number;
  /** Of the destination; 0 with ICMP. */
  readonly port: number;
  readonly count: number;
  /** When the last one began, in ms since 1970. */
  readonly lastMs: number;
}

/** What was not seen, and no rule of the server allowed before: each of these ports for each of these addresses. */
export interface AlsoAdmitted {
  /** Absent with ICMP. */
  readonly ports?: Ranges;
  readonly addresses: Ranges;
}

export interface SuggestedRule {
  readonly direction: RuleDirection;
  readonly rule: Rule;
  /** Flows that were seen and that it allows, how many peers opened them, and when the last one began. */
  readonly flows: number;
  readonly peers: number;
  readonly lastMs: number;
  readonly alsoAdmits: readonly AlsoAdmitted[];
}

export interface Suggestion {
  /** Those for most flows first. */
  readonly rules: readonly SuggestedRule[];
  /** Flows that a rule of the server allows by now. */
  readonly allowed: number;
  /** Flows that are left out: they came too rarely, or to port 0, which no rule can name. */
  readonly leftOut: number;
}

export interface SuggestOptions {
  /** Peers that a rule may have before they are widened. */
  readonly mostPeers: number;
  /** Kinds of flows that were seen less often are left out. */
  readonly atLeast: number;
}

export interface SuggestSource extends PolicySource {
  readonly compiled: Pick<CompiledPolicy, 'rulesOf' | 'resolver'>;
}

const firstDynamicPort = 32_768;
const mostDynamicPorts = 16;
const allPorts: Ranges = Uint32Array.of(0, 0xffff);

/** @param server its name; without it nothing is suggested */
export function suggest(
  source: SuggestSource,
  server: string,
  seen: readonly SeenFlows[],
  options: SuggestOptions,
): Suggestion {
  const index = source.servers.findIndex(({ name }) => name === server);
  if (index < 0) return { rules: [], allowed: 0, leftOut: 0 };
  const { resolver } = source.compiled;
  const writer = new PeerWriter(source, resolver, options.mostPeers);
  const rules: SuggestedRule[] = [];
  let [allowed, leftOut] = [0, 0];
  for (const direction of directions) {
    const gates = gatesOf(source, index, direction);
    const own = sorted(seen.filter((each) => each.direction === direction));
    const lacking = own.filter((each) => !gates.some((gate) => admits(gate, each)));
    const wanted = lacking.filter((each) => each.count >= options.atLeast && isWritable(each));
    allowed += countOf(own) - countOf(lacking);
    leftOut += countOf(lacking) - countOf(wanted);
    for (const protocol of ['tcp', 'udp', 'icmp'] as const) {
      const known = [...gates, ...seenGates(own, protocol)];
      for (const rule of rulesFor(wanted, protocol, writer)) {
        const addresses = resolver.rangesOf(rule) ?? allAddresses;
        const gate = gateOf(rule, addresses);
        const covered = wanted.filter((each) => admits(gate, each));
        rules.push({
          ...{ direction, rule, flows: countOf(covered) },
          peers: new Set(covered.map(({ peer }) => peer)).size,
          lastMs: Math.max(...covered.map(({ lastMs }) => lastMs)),
          alsoAdmits: alsoAdmitted(known, gate),
        });
      }
    }
  }
  return { rules: rules.sort((a, b) => b.flows - a.flows), allowed, leftOut };
}

/** The same flows in whatever order give the same rules. */
function sorted(seen: readonly SeenFlows[]): SeenFlows[] {
  return seen.toSorted((a, b) => a.port - b.port || a.peer - b.peer);
}

function isWritable({ protocol, port }: SeenFlows): boolean {
  return protocol === 'icmp' || port > 0;
}

function countOf(seen: readonly SeenFlows[]): number {
  return seen.reduce((sum, { count }) => sum + count, 0);
}

/** What the rules of a server let through now. */
function gatesOf({ compiled }: SuggestSource, server: number, direction: RuleDirection): Gate[] {
  return rulesOfServer(compiled, server, direction)
    .filter(({ live }) => live)
    .map(({ rule, ranges = allAddresses }) => gateOf(rule, ranges));
}

function gateOf({ protocol, ports }: Rule, addresses: Ranges): Gate {
  const own = ports === undefined ? allPorts : rangesOf(ports);
  return { protocol, ports: own, addresses, peers: undefined };
}

/** What was seen, as if rules had let it through. */
function seenGates(seen: readonly SeenFlows[], protocol: QuestionProtocol): Gate[] {
  return [...byPort(seen, protocol)].map(([port, peers]) => ({
    ...{ protocol, ports: Uint32Array.of(port, port), peers: undefined },
    addresses: rangesOf(peers.map((peer) => ({ from: peer, to: peer }))),
  }));
}

function admits(gate: Gate, { protocol, peer, port }: SeenFlows): boolean {
  if (gate.protocol !== 'all' && gate.protocol !== protocol) return false;
  return (protocol === 'icmp' || hasAddress(gate.ports, port)) && hasAddress(gate.addresses, peer);
}

/** Peers of each port, both ascending. */
function byPort(seen: readonly SeenFlows[], protocol: QuestionProtocol): Map<number, number[]> {
  const ports = new Map<number, number[]>();
  for (const each of seen) {
    if (each.protocol !== protocol) continue;
    const peers = ports.get(each.port);
    if (peers === undefined) ports.set(each.port, [each.peer]);
    else peers.push(each.peer);
  }
  return ports;
}

/** Ports that are one for the rules, and who asked for them: ascending, each once. */
interface Asked extends PortRange {
  readonly peers: readonly number[];
}

function rulesFor(
  seen: readonly SeenFlows[],
  protocol: QuestionProtocol,
  writer: PeerWriter,
): Rule[] {
  const asked = withDynamicPorts(
    [...byPort(seen, protocol)].map(([port, peers]) => ({ from: port, to: port, peers })),
  );
  const rows = asked.map(({ peers }) => new Set(writer.write(peers) ?? ['any']));
  return fewProducts(rows).map(({ rows: own, columns }): Rule => {
    const ports = rangesOf(own.map((row) => asked[row]!));
    return {
      protocol,
      ...(protocol !== 'icmp' && { ports: pairsOf(ports) }),
      ...(!columns.includes('any') && { peers: columns.map(peerOf) }),
    };
  });
}

function withDynamicPorts(asked: readonly Asked[]): readonly Asked[] {
  const first = asked.findIndex(({ from }) => from >= firstDynamicPort);
  if (first < 0 || asked.length - first <= mostDynamicPorts) return asked;
  const dynamic = asked.slice(first);
  const peers = [...new Set(dynamic.flatMap((each) => each.peers))].sort((a, b) => a - b);
  const range = { from: dynamic[0]!.from, to: dynamic.at(-1)!.to, peers };
  return [...asked.slice(0, first), range];
}

function pairsOf(ranges: Ranges): PortRange[] {
  return Array.from({ length: ranges.length / 2 }, (_, index) => ({
    from: ranges[index * 2]!,
    to: ranges[index * 2 + 1]!,
  }));
}

function peerOf(text: string): Peer {
  const peer = parsePeer(text);
  if ('message' in peer) throw new Error(peer.message);
  return peer.value;
}

/** Ports with the same addresses together. */
function alsoAdmitted(known: readonly Gate[], gate: Gate): AlsoAdmitted[] {
  const byAddresses = new Map<string, { ports: Ranges; readonly addresses: Ranges }>();
  for (const { ports, addresses } of opened(known, [gate])) {
    const key = addresses.join();
    const same = byAddresses.get(key);
    if (same === undefined) byAddresses.set(key, { ports, addresses });
    else same.ports = unionRanges([same.ports, ports]);
  }
  return [...byAddresses.values()].map(({ ports, addresses }) => ({
    ...(gate.protocol !== 'icmp' && { ports }),
    addresses,
  }));
}
