/** Policies for tests, written like the configuration files, and the naive matcher: a scan over their rules. */
import { compilePolicy } from '../../src/policy/compile.ts';
import { defaultReject } from '../../src/policy/reject.ts';
import type {
  AddressRange,
  RejectSettings,
  Rule,
  RuleProtocol,
  Server,
  Template,
} from '../../src/policy/types.ts';
import { isGroup } from '../../src/policy/peers.ts';
import { MatchResult, Matcher } from '../../src/dataplane/match/matcher.ts';
import { addressToInt } from '../../src/testing/packets.ts';

export interface PlainRule {
  protocol: RuleProtocol;
  /** A port, or the two ends of a range. */
  ports?: (number | [number, number])[];
  /** Addresses, CIDR blocks or a-b ranges. */
  sources?: string[];
  destinations?: string[];
}

export interface PlainTemplate {
  inbound: PlainRule[];
  outbound: PlainRule[];
}

export interface PlainServer {
  name: string;
  addresses: string[];
  templates: string[];
  reject?: { inbound?: boolean; outbound?: boolean };
}

function addressRange(text: string): AddressRange {
  const [address, bits] = text.split('/');
  if (bits !== undefined) {
    const from = addressToInt(address!) >>> 0;
    return { from, to: from + 2 ** (32 - Number(bits)) - 1, text };
  }
  const [from, to] = text.split('-').map((end) => addressToInt(end) >>> 0);
  return { from: from!, to: to ?? from!, text };
}

function toRule({ protocol, ports, sources, destinations }: PlainRule): Rule {
  const peers = sources ?? destinations;
  return {
    protocol,
    ...(ports && {
      ports: ports.map((port) =>
        typeof port === 'number' ? { from: port, to: port } : { from: port[0], to: port[1] },
      ),
    }),
    ...(peers && { peers: peers.map(addressRange) }),
  };
}

export function toTemplates(templates: Record<string, PlainTemplate>): Template[] {
  return Object.entries(templates).map(([name, { inbound, outbound }]) => ({
    name,
    inbound: inbound.map(toRule),
    outbound: outbound.map(toRule),
  }));
}

export function toServers(servers: PlainServer[]): Server[] {
  return servers.map((server) => ({
    ...server,
    addresses: server.addresses.map((address) => addressToInt(address) >>> 0),
  }));
}

export function policyOf(
  templates: Record<string, PlainTemplate>,
  servers: PlainServer[],
  epoch = 1,
  reject: Partial<RejectSettings> = {},
): Matcher {
  const source = {
    templates: toTemplates(templates),
    servers: toServers(servers),
    gateway: { reject: { ...defaultReject, ...reject } },
  };
  return new Matcher(compilePolicy(source, epoch).words);
}

/** 10.0.0.2 takes everything from everywhere and opens nothing itself. */
export function inboundPolicy(epoch = 1, reject: Partial<RejectSettings> = {}): Matcher {
  return policyOf(
    { open: { inbound: [{ protocol: 'all' }], outbound: [] } },
    [{ name: 'server', addresses: ['10.0.0.2'], templates: ['open'] }],
    epoch,
    reject,
  );
}

const names: Record<number, RuleProtocol> = { 1: 'icmp', 6: 'tcp', 17: 'udp' };

export function ruleAllows(rule: Rule, protocol: number, peer: number, port: number): boolean {
  if (rule.protocol !== 'all' && rule.protocol !== names[protocol]) return false;
  if (protocol !== 1 && rule.ports && !rule.ports.some((r) => port >= r.from && port <= r.to)) {
    return false;
  }
  return (
    !rule.peers || rule.peers.some((each) => !isGroup(each) && peer >= each.from && peer <= each.to)
  );
}

/** The match, by looking at every rule of every template. */
export function naiveMatch(
  templates: readonly Template[],
  servers: readonly Server[],
  protocol: number,
  src: number,
  dst: number,
  port: number,
): number {
  const serverOf = (address: number) => servers.find((s) => s.addresses.includes(address));
  const allows = (server: Server, direction: 'inbound' | 'outbound', peer: number): boolean =>
    templates
      .filter((template) => server.templates.includes(template.name))
      .flatMap((template) => template[direction])
      .some((rule) => ruleAllows(rule, protocol, peer, port));
  const source = serverOf(src);
  const destination = serverOf(dst);
  if (!source && !destination) return MatchResult.noServer;
  if (source && !allows(source, 'outbound', dst)) return MatchResult.noOutboundRule;
  if (destination && !allows(destination, 'inbound', src)) return MatchResult.noInboundRule;
  return MatchResult.allowed;
}
