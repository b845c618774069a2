/**
 * Which rule a new flow meets: `Matcher.match` alone, of sources in random order.
 *
 * `set`: a rule about a set of so many addresses, or blocks of 256, which every other source is in. `labels` and `written`: 10,000 servers, and
 * rules about those of a role, by label or with their addresses.
 */
import { Matcher, MatchResult } from '../../../src/dataplane/match/matcher.ts';
import { PolicyCompiler } from '../../../src/policy/compile.ts';
import { parsePeer } from '../../../src/policy/peers.ts';
import { rangesOf } from '../../../src/policy/ranges.ts';
import type { Peer, PolicySource } from '../../../src/policy/types.ts';
import { loadAddon } from '../../../src/system/addon.ts';
import { expectEqual } from './firewall.ts';
import { perOperation } from './meter.ts';
import type { Duration } from './meter.ts';
import { randomBelow } from './traffic.ts';

export type MatchOptions =
  | { readonly kind: 'set'; readonly of: 'addresses' | 'blocks'; readonly count: number }
  | { readonly kind: 'labels' | 'written' };

const guarded = 0x0a000001;
const servers = 10_000;
const roles = 20;
const firstServer = 0xac100000;
const lookups = 65_536;
const tcp = 6;
const port = 5432;

interface Case {
  readonly source: PolicySource;
  /** Of a packet to the protected server. */
  readonly sourceAddress: (random: number) => number;
}

/** Of a list of equal distances: no two touch. */
function setCase(of: 'addresses' | 'blocks', count: number): Case {
  const size = of === 'blocks' ? 256 : 1;
  const step = (Math.floor(2 ** 32 / size / count) - 1) * size;
  const list = rangesOf(
    Array.from({ length: count }, (_, index) => ({
      from: index * step,
      to: index * step + size - 1,
    })),
  );
  const peer = { kind: 'set', name: 'list', text: 'set:list' } as const;
  return {
    source: policyOf([peer], {
      sets: [{ name: 'list', addresses: [], except: [], include: [], list }],
    }),
    sourceAddress: (random) => ((random >> 1) % count) * step + (random & 1) * size,
  };
}

function rolesCase(kind: 'labels' | 'written'): Case {
  const own = Array.from({ length: servers }, (_, index) => ({
    name: `s-${index}`,
    addresses: [firstServer + index],
    templates: ['any'],
    labels: { role: `r-${index % roles}` },
  }));
  const peersOf = (role: number): Peer[] => {
    const texts =
      kind === 'labels'
        ? [`label:role=r-${role}`]
        : own
            .filter(({ labels }) => labels.role === `r-${role}`)
            .map(({ addresses }) => addressText(addresses[0]!));
    return texts.map((text) => (parsePeer(text) as { value: Peer }).value);
  };
  // One role of two.
  const peers = Array.from({ length: roles / 2 }, (_, role) => peersOf(role * 2));
  return {
    source: policyOf(peers.flat(), { servers: own }, peers),
    sourceAddress: (random) => firstServer + (random % servers),
  };
}

function addressText(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join('.');
}

/** One template with a rule for each list of peers. */
function policyOf(
  all: readonly Peer[],
  more: Partial<PolicySource>,
  lists: readonly (readonly Peer[])[] = [all],
): PolicySource {
  const inbound = lists.map((peers) => ({
    protocol: 'tcp' as const,
    ports: [{ from: port, to: port }],
    peers,
  }));
  const first = { name: 'protected', addresses: [guarded], templates: ['own'] };
  return {
    ...more,
    templates: [
      { name: 'own', inbound, outbound: [] },
      { name: 'any', inbound: [], outbound: [{ protocol: 'all' }] },
    ],
    servers: [first, ...(more.servers ?? [])],
  };
}

/** @returns CPU time in ns of a match, half of which find a rule */
export function measureMatch(options: MatchOptions, duration: Duration): { time: number } {
  const { source, sourceAddress } =
    options.kind === 'set' ? setCase(options.of, options.count) : rolesCase(options.kind);
  // As the service compiles it.
  const compiler = new PolicyCompiler((memory) => loadAddon().useLargePages(memory));
  const { words, root } = compiler.compile(source, 1);
  const matcher = new Matcher(words, undefined, root);
  const below = randomBelow(2 ** 21);
  const sources = Int32Array.from({ length: lookups }, () => sourceAddress(below(2 ** 21)) | 0);
  let allowed = 0;
  const step = (): number => {
    allowed = 0;
    for (let i = 0; i < lookups; i++) {
      if (matcher.match(tcp, sources[i]!, guarded, port) === MatchResult.allowed) allowed++;
    }
    return lookups;
  };
  const prepare = (): number => {
    for (let i = 0; i < lookups; i++) allowed ^= sources[i]!;
    return lookups;
  };
  const time = perOperation({ step, prepare }, duration);
  step();
  expectEqual('half of the sources are allowed', Math.round((allowed / lookups) * 10), 5);
  return { time };
}
