/**
 * By which of its peers a rule is about an address, and whose address that is: the cold half of an explanation. What a peer
 * means is asked of the resolver.
 */
import { isGroup } from './peers.ts';
import { hasAddress } from './ranges.ts';
import type { Resolver } from './resolve.ts';
import type { Peer, Server } from './types.ts';

export interface MatchedPeer {
  /** As it is written: `label:role=web`. */
  readonly peer: string;
  /** Of a group of servers: the one with the address. */
  readonly server?: string;
  /** The set that has it: the one that is written, or one that this includes. */
  readonly set?: string;
}

/** The first of the peers that means the address (unsigned). */
export function matchedPeer(
  peers: readonly Peer[],
  address: number,
  servers: readonly Server[],
  resolver: Resolver,
): MatchedPeer | undefined {
  const found = peers.find((peer) => {
    const ranges = resolver.rangesOf({ protocol: 'all', peers: [peer] });
    return ranges === undefined || hasAddress(ranges, address);
  });
  if (found === undefined) return undefined;
  const { text: peer } = found;
  if (!isGroup(found)) return { peer };
  if (found.kind === 'set') {
    const [origin] = resolver.originsOf(found.name, Uint32Array.of(address, address));
    return { peer, set: origin!.set };
  }
  return { peer, server: ownerOf(address, servers)!.name };
}

/** The server that has an address. */
export function ownerOf(address: number, servers: readonly Server[]): Server | undefined {
  return servers.find(({ addresses }) => addresses.includes(address));
}
