/**
 * Why a packet passes or drops: by which server, template and rule, or how near it came.
 *
 * The packet goes the data plane's way: the parser of src/dataplane/wire, the tables of src/dataplane/flow that say what can open a flow, and
 * `Matcher.match` of src/dataplane/match, in the order of `engine.ts`. Anything beyond the verdict (the side that the
 * match did not reach, the nearest rule) is found by other code, off the hot path. Nothing is kept and nothing is
 * changed.
 *
 * No live flow is looked at here: a packet that belongs to one is decided by its state. A caller with a flow table
 * queries that too, and sets `flow` and `decidedBy` of the answer.
 */
import { FlowState } from '../dataplane/flow/flow-record.ts';
import { isIcmpQuery, isIcmpRequest, refusedIcmp } from '../dataplane/flow/icmp-query.ts';
import { classifySegment, nextTcpState } from '../dataplane/flow/tcp-state.ts';
import { MatchResult, Matcher } from '../dataplane/match/matcher.ts';
import { DropReason, dropReasonNames } from '../dataplane/wire/drop-reason.ts';
import { formatAddress, formatProtocol, formatTcpFlags } from '../dataplane/wire/format.ts';
import { Protocol, VnetHeader, alignedVnetOffset } from '../dataplane/wire/headers.ts';
import { Packet } from '../dataplane/wire/packet.ts';
import { parsePacket } from '../dataplane/wire/parse.ts';
import type { CompiledPolicy, RulePlace } from './compile.ts';
import { sentenceOf } from './drop-sentences.ts';
import { failedFields, nearestRule } from './nearest-rule.ts';
import type { FailedField, RuleSubject } from './nearest-rule.ts';
import { openingPacket } from './opening-packet.ts';
import type { FlowQuestion } from './opening-packet.ts';
import { formatRule } from './rule-notation.ts';
import type { Answer } from '../text/reject-text.ts';
import type { RuleDirection } from '../text/rule-text.ts';
import { matchedPeer, ownerOf } from './matched-peer.ts';
import type { MatchedPeer } from './matched-peer.ts';
import { isGroup } from './peers.ts';
import { rulesOfServer } from './reach.ts';
import type { Resolver } from './resolve.ts';
import { labelsOf } from './server-index.ts';
import type { Assignment } from './server-index.ts';
import type { AddressSet, Peer, Server, Template } from './types.ts';

/** The policy, with the configuration that it was compiled from. */
export interface ExplainSource {
  readonly templates: readonly Template[];
  readonly servers: readonly Server[];
  readonly sets?: readonly AddressSet[];
  readonly compiled: CompiledPolicy;
  /** `tcp.loose` of gateway.yaml: segments in mid-stream may open flows. */
  readonly loose: boolean;
}

/** A rule in its place. */
export interface ExplainedRule {
  readonly template: string;
  readonly direction: RuleDirection;
  /** From 0, in the template's list of that direction. */
  readonly index: number;
  /** The same under its older name. */
  readonly position: number;
  /** In the template's file; absent: it was not read from one. */
  readonly line?: number;
  /** `TCP: 443 from 10.0.0.0/8`. */
  readonly text: string;
  readonly comment?: string;
  /** The selector by which the template applies to the server; absent: the server names it. */
  readonly selector?: string;
  /** Which of the rule's peers means the packet's other end; absent: the rule is for any, or does not mean it. */
  readonly matched?: MatchedPeer;
}

/** The verdict of one end's server. */
export interface ExplainedSide {
  readonly direction: RuleDirection;
  readonly server: string;
  /** The server's templates, and how many rules of this direction they have that count now. */
  readonly templates: readonly string[];
  readonly rules: number;
  readonly allowed: boolean;
  /** No rule allows it, and it passes all the same: the server observes. */
  readonly observes?: true;
  /** The rule that allows it. */
  readonly rule?: ExplainedRule;
  /** If none does: the nearest one (src/policy/nearest-rule.ts) and the fields that fail. */
  readonly nearest?: ExplainedRule & { readonly failed: readonly FailedField[] };
}

export interface ExplainedPacket {
  /** `tcp`, `udp`, `icmp`, or a number; absent when nothing of the packet could be read. */
  readonly protocol?: string;
  readonly source?: string;
  readonly destination?: string;
  readonly sourcePort?: number;
  readonly destinationPort?: number;
  /** As letters: F S R P A U. */
  readonly tcpFlags?: string;
  readonly icmpType?: number;
  readonly icmpCode?: number;
}

export interface Explanation {
  /** A fragment is held until its datagram is complete, which is then judged as one packet. */
  readonly verdict: 'pass' | 'drop' | 'held';
  /** The word of metrics and logs; `none` if it passes, `would-drop` if only because a server observes. */
  readonly reason: string;
  /** The same in a sentence. */
  readonly message: string;
  /** What its sender gets, within the limits of `reject`; absent: nothing. */
  readonly answer?: Answer;
  /** What decides: the packet by itself, the rules, or a live flow. */
  readonly decidedBy: 'packet' | 'rules' | 'flow';
  readonly packet: ExplainedPacket;
  /** The source's server first, as in the data plane. Empty when no server's rules apply, or none could be determined. */
  readonly sides: readonly ExplainedSide[];
  readonly epoch: number;
  /** The live flow that decides instead; set by a caller with a flow table. */
  readonly flow?: Readonly<Record<string, unknown>>;
}

/** Explains the packet that would open a flow. */
export function explainFlow(source: ExplainSource, question: FlowQuestion): Explanation {
  return explain(source, openingPacket(question));
}

/** Explains a packet as it is on the wire, from its IPv4 header on. */
export function explainPacket(source: ExplainSource, packet: Uint8Array): Explanation {
  // The super-packets of a TUN are longer than what a dump can show, but not longer than 65,535 bytes.
  const bytes = new Uint8Array(VnetHeader.length + Math.min(packet.length, 0xffff));
  bytes.set(packet.subarray(0, 0xffff), VnetHeader.length);
  return explain(source, bytes);
}

/** @param bytes a virtio header and the packet */
function explain(source: ExplainSource, bytes: Uint8Array): Explanation {
  const packet = new Packet();
  // So many bytes are whole words.
  const arena = new Uint8Array((alignedVnetOffset + bytes.length + 3) & ~3);
  arena.set(bytes, alignedVnetOffset);
  const words = new Int32Array(arena.buffer);
  const parsed: number = parsePacket(arena, words, alignedVnetOffset, bytes.length, packet);
  const answer = (
    reason: number,
    decidedBy: Explanation['decidedBy'],
    sides: readonly ExplainedSide[] = [],
  ): Explanation => ({
    verdict: verdictOf(reason),
    reason: dropReasonNames[reason]!,
    message: sentenceOf(reason),
    decidedBy,
    packet: fieldsOf(packet, parsed),
    sides,
    epoch: source.compiled.epoch,
  });
  if (parsed !== DropReason.none) return answer(parsed, 'packet');
  const alone = judgeAlone(packet);
  if (alone !== DropReason.none) return answer(alone, 'packet');

  const policy = new Matcher(source.compiled.words, undefined, source.compiled.root);
  const { protocol, srcAddr, dstAddr, dstPort } = packet;
  const match = policy.match(protocol, srcAddr, dstAddr, dstPort);
  if (match === MatchResult.noServer) return answer(DropReason.noServer, 'rules');
  const verdict =
    match === MatchResult.allowed
      ? match
      : policy.observe(match, protocol, srcAddr, dstPort, source.compiled.clockMs);
  const passesObserved = match !== MatchResult.allowed && verdict === MatchResult.allowed;
  const sides = explainSides(source, policy, match, packet).map((side) =>
    passesObserved && !side.allowed ? { ...side, observes: true as const } : side,
  );
  const opening = judgeOpening(packet, source.loose);
  if (opening !== DropReason.none) return answer(opening, 'packet', sides);
  if (passesObserved) return answer(DropReason.wouldDrop, 'rules', sides);
  const judged = answer(reasonOfMatch(verdict), 'rules', sides);
  const isRejected =
    (verdict === MatchResult.noOutboundRule && policy.rejectsOutbound) ||
    (verdict === MatchResult.noInboundRule && policy.rejectsInbound);
  if (!isRejected) return judged;
  return { ...judged, answer: protocol === Protocol.tcp ? 'rst' : 'icmp' };
}

function verdictOf(reason: number): Explanation['verdict'] {
  if (reason === DropReason.fragment) return 'held';
  return reason === DropReason.none || reason === DropReason.wouldDrop ? 'pass' : 'drop';
}

function reasonOfMatch(match: number): number {
  if (match === MatchResult.noOutboundRule) return DropReason.noOutboundRule;
  return match === MatchResult.noInboundRule ? DropReason.noInboundRule : DropReason.none;
}

/** ICMP that is neither query nor reply: no rule is asked, an error needs a live flow (engine.ts, `#judgeIcmpError`). */
function judgeAlone({ protocol, icmpType }: Packet): number {
  if (protocol !== Protocol.icmp || isIcmpQuery(icmpType)) return DropReason.none;
  const refused = refusedIcmp(icmpType);
  return refused === DropReason.none ? DropReason.icmpError : refused;
}

/** A packet that cannot open a flow is invalid, whatever the rules say (engine.ts, `#judgeNew`). */
function judgeOpening(packet: Packet, loose: boolean): number {
  if (packet.protocol === Protocol.icmp) {
    return isIcmpRequest(packet.icmpType) ? DropReason.none : DropReason.icmpType;
  }
  if (packet.protocol !== Protocol.tcp) return DropReason.none;
  const next = nextTcpState(0, classifySegment(packet.tcpFlags), FlowState.none);
  const opens = next === FlowState.synSent || (loose && next === FlowState.established);
  return opens ? DropReason.none : DropReason.invalidState;
}

function explainSides(
  source: ExplainSource,
  policy: Matcher,
  match: number,
  packet: Packet,
): ExplainedSide[] {
  const { outboundServer, inboundServer, outboundRule } = policy;
  const sides: ExplainedSide[] = [];
  if (outboundServer >= 0) {
    sides.push(explainSide(source, 'outbound', outboundServer, outboundRule, packet));
  }
  if (inboundServer >= 0) {
    const { protocol, srcAddr, dstPort } = packet;
    // The match does not come to it when the source's server drops the packet.
    const rule =
      match === MatchResult.noOutboundRule
        ? policy.inboundRuleOf(inboundServer, protocol, srcAddr, dstPort)
        : policy.inboundRule;
    sides.push(explainSide(source, 'inbound', inboundServer, rule, packet));
  }
  return sides;
}

function explainSide(
  { servers, compiled }: ExplainSource,
  direction: RuleDirection,
  serverIndex: number,
  ruleIndex: number,
  packet: Packet,
): ExplainedSide {
  const { resolver } = compiled;
  const { name } = servers[serverIndex]!;
  const assigned = resolver.assignmentsOf(serverIndex);
  const templates = assigned.map(({ template }) => template);
  const own = rulesOfServer(compiled, serverIndex, direction);
  const side = { direction, server: name, templates, rules: own.filter(({ live }) => live).length };
  const peer = (direction === 'inbound' ? packet.srcAddr : packet.dstAddr) >>> 0;
  const explained = (place: RulePlace): ExplainedRule => ({
    ...explainedRule(place, resolver.nowMs),
    ...reasonOf(place.template, assigned),
    ...matchOf(place.rule.peers, peer, servers, resolver),
  });
  if (ruleIndex >= 0) {
    return { ...side, allowed: true, rule: explained(compiled.rules[ruleIndex]!) };
  }
  const subject: RuleSubject = {
    protocol: formatProtocol(packet.protocol) as RuleSubject['protocol'],
    peer,
    ...(packet.protocol !== Protocol.icmp && { port: packet.dstPort }),
  };
  const nearest = nearestRule(own, subject);
  if (nearest === undefined) return { ...side, allowed: false };
  const { peers = [], except = [] } = nearest.rule;
  const excluded = matchedPeer(except, peer, servers, resolver)?.peer;
  const found = [...peers, ...except].some(isGroup) ? describePeer(peer, servers) : undefined;
  const failed = failedFields(direction, nearest, subject, excluded, found);
  return { ...side, allowed: false, nearest: { ...explained(nearest), failed } };
}

/** @param nowMs when the policy was compiled: the text says what the verdict says */
function explainedRule(
  { template, direction, position, line, rule }: RulePlace,
  nowMs: number,
): ExplainedRule {
  const text = formatRule(direction, rule, nowMs);
  return {
    template,
    direction,
    index: position,
    position,
    ...(line !== undefined && { line }),
    text,
    ...(rule.comment !== undefined && { comment: rule.comment }),
  };
}

function reasonOf(
  template: string,
  assigned: readonly Assignment[],
): Pick<ExplainedRule, 'selector'> {
  const selector = assigned.find((each) => each.template === template)?.selector;
  return selector === undefined ? {} : { selector: selector.text };
}

function matchOf(
  peers: readonly Peer[] | undefined,
  ...rest: readonly [address: number, servers: readonly Server[], resolver: Resolver]
): Pick<ExplainedRule, 'matched'> {
  const matched = peers && matchedPeer(peers, ...rest);
  return matched === undefined ? {} : { matched };
}

/** `10.0.0.9 (server web-9: role=web, region=hkg)`. */
function describePeer(address: number, servers: readonly Server[]): string {
  const text = formatAddress(address);
  const owner = ownerOf(address, servers);
  if (owner === undefined) return `${text} (no server)`;
  const labels = Object.entries(labelsOf(owner)).map(([key, value]) => `${key}=${value}`);
  return `${text} (server ${[owner.name, ...(labels.length > 0 ? [labels.join(', ')] : [])].join(': ')})`;
}

/** The fields of the packet that the parser read before its verdict. */
function fieldsOf(packet: Packet, parsed: number): ExplainedPacket {
  // Without addresses the header was not read at all.
  if (packet.srcAddr === 0 && packet.dstAddr === 0 && packet.protocol === 0) return {};
  const ends = {
    protocol: formatProtocol(packet.protocol),
    source: formatAddress(packet.srcAddr),
    destination: formatAddress(packet.dstAddr),
  };
  if (parsed !== DropReason.none) return ends;
  if (packet.protocol === Protocol.icmp) {
    return { ...ends, icmpType: packet.icmpType, icmpCode: packet.icmpCode };
  }
  const withPorts = { ...ends, sourcePort: packet.srcPort, destinationPort: packet.dstPort };
  if (packet.protocol !== Protocol.tcp) return withPorts;
  return { ...withPorts, tcpFlags: formatTcpFlags(packet.tcpFlags) };
}
