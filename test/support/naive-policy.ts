/** Who is meant, and whether a packet passes: asked anew for each address, with nothing of the resolver and the compiler. */
import { MatchResult } from '../../src/dataplane/match/matcher.ts';
import type { QuestionProtocol } from '../../src/policy/opening-packet.ts';
import { labelsOf } from '../../src/policy/server-index.ts';
import { selects } from '../../src/policy/selector.ts';
import type { Peer, PolicySource, Rule, Server, Template } from '../../src/policy/types.ts';

export class NaivePolicy {
  readonly source: Required<Omit<PolicySource, 'gateway'>>;
  readonly nowMs: number;

  constructor(source: Required<Omit<PolicySource, 'gateway'>>, nowMs: number) {
    this.source = source;
    this.nowMs = nowMs;
  }

  templatesOf(server: Server): Template[] {
    return this.source.templates.filter(
      ({ name, appliesTo = [] }) =>
        server.templates.includes(name) ||
        appliesTo.some((selector) => selects(selector, labelsOf(server))),
    );
  }

  isIn(set: string, address: number): boolean {
    const { addresses, except, include } = this.source.sets.find(({ name }) => name === set)!;
    const within = (list: readonly { from: number; to: number }[]): boolean =>
      list.some(({ from, to }) => from <= address && address <= to);
    const has = within(addresses) || include.some((each) => this.isIn(each, address));
    return has && !within(except);
  }

  means(named: Peer, address: number): boolean {
    if (!('kind' in named)) return named.from <= address && address <= named.to;
    if (named.kind === 'set') return this.isIn(named.name, address);
    const owner = this.source.servers.find(({ addresses }) => addresses.includes(address));
    if (owner === undefined) return false;
    if (named.kind === 'server') return owner.name === named.name;
    if (named.kind === 'label') return selects(named.selector, labelsOf(owner));
    return this.templatesOf(owner).some(({ name }) => name === named.name);
  }

  allows(own: Rule, protocol: QuestionProtocol, address: number, port: number): boolean {
    if (own.enabled === false) return false;
    if (own.expires !== undefined && Date.parse(own.expires) <= this.nowMs) return false;
    if (own.protocol !== 'all' && own.protocol !== protocol) return false;
    if (own.ports?.every(({ from, to }) => port < from || port > to)) return false;
    if (own.except?.some((each) => this.means(each, address))) return false;
    return own.peers === undefined || own.peers.some((each) => this.means(each, address));
  }

  match(protocol: QuestionProtocol, source: number, destination: number, port: number): number {
    const ownerOf = (address: number): Server | undefined =>
      this.source.servers.find(({ addresses }) => addresses.includes(address));
    const [from, to] = [ownerOf(source), ownerOf(destination)];
    if (from === undefined && to === undefined) return MatchResult.noServer;
    const passes = (server: Server, direction: 'inbound' | 'outbound', other: number): boolean =>
      this.templatesOf(server).some((template) =>
        template[direction].some((each) => this.allows(each, protocol, other, port)),
      );
    if (from && !passes(from, 'outbound', destination)) return MatchResult.noOutboundRule;
    if (to && !passes(to, 'inbound', source)) return MatchResult.noInboundRule;
    return MatchResult.allowed;
  }
}
