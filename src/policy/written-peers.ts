/**
 * Addresses as the peers of a rule, few enough to read: groups and servers by name, and blocks.
 *
 * A name takes the place of at least two peers: a label whose servers are all among the addresses, or a set that a rule of the
 * policy allows already. What is left is written as blocks: at most so many, none wider than /16, those that hold the fewest
 * other addresses. Where that cannot be, it is any.
 */
import { formatRange } from './addresses.ts';
import { isGroup, parsePeer, rulesWithGroups } from './peers.ts';
import { allAddresses, hasAddress, sizeOfRanges } from './ranges.ts';
import type { Range, Ranges } from './ranges.ts';
import { labelsOf } from './server-index.ts';
import type { Resolver } from './resolve.ts';
import type { GroupPeer, PolicySource, Server } from './types.ts';

/** No block is wider than /16. */
const widestBlock = 2 ** 16;

interface Name {
  readonly text: string;
  /** Addresses that it means, and how many these are. */
  readonly ranges: Ranges;
  readonly size: number;
}

export class PeerWriter {
  readonly #resolver: Resolver;
  readonly #most: number;
  readonly #owners: ReadonlyMap<number, Server>;
  /** Sets that the policy allows somewhere. */
  readonly #sets: readonly Name[];

  /** @param most peers that a rule may have */
  constructor({ templates, servers }: PolicySource, resolver: Resolver, most: number) {
    this.#resolver = resolver;
    this.#most = most;
    this.#owners = new Map(
      servers.flatMap((server) => server.addresses.map((each) => [each, server] as const)),
    );
    const groups = templates
      .flatMap(rulesWithGroups)
      .flatMap(({ rule }) => (rule.peers ?? []).filter(isGroup))
      .filter(({ kind }) => kind === 'set');
    this.#sets = [...new Map(groups.map((each) => [each.text, each])).values()].map((each) =>
      this.#nameOf(each),
    );
  }

  /**
   * @param addresses ascending, each once
   * @returns at most so many peers that hold all of them; `undefined`: any
   */
  write(addresses: readonly number[]): readonly string[] | undefined {
    const names = this.#namesFor(addresses);
    const rest = addresses.filter(
      (address) => !names.some(({ ranges }) => hasAddress(ranges, address)),
    );
    const blocks = blocksAround(rest, this.#most - names.length);
    if (blocks !== undefined) return [...names.map(({ text }) => text), ...blocks.map(textOf)];
    return blocksAround(addresses, this.#most)?.map(textOf);
  }

  /** Groups first, those that stand for most; then servers. */
  #namesFor(addresses: readonly number[]): Name[] {
    const candidates = [...this.#labelsOf(addresses), ...this.#sets];
    const chosen: Name[] = [];
    let left = addresses;
    for (;;) {
      const best = candidates
        .map((name) => ({ name, gain: this.#peersIn(left, name) }))
        .filter(({ gain }) => gain > 1)
        .sort(
          (a, b) =>
            b.gain - a.gain || a.name.size - b.name.size || (a.name.text < b.name.text ? -1 : 1),
        )[0];
      if (best === undefined) break;
      chosen.push(best.name);
      left = left.filter((address) => !hasAddress(best.name.ranges, address));
    }
    const servers = new Set(left.flatMap((address) => this.#owners.get(address)?.name ?? []));
    const named = [...servers].map((name) => this.#nameOf(groupOf(`server:${name}`)!));
    return [...chosen, ...named];
  }

  /** How many peers a name would stand for: servers, and addresses of no server. */
  #peersIn(addresses: readonly number[], { ranges }: Name): number {
    const held = addresses.filter((address) => hasAddress(ranges, address));
    return new Set(held.map((address) => this.#owners.get(address)?.name ?? address)).size;
  }

  /** Labels whose servers are all among the addresses. */
  #labelsOf(addresses: readonly number[]): Name[] {
    const servers = new Set(addresses.flatMap((address) => this.#owners.get(address) ?? []));
    const texts = new Set(
      [...servers].flatMap((server) =>
        Object.entries(labelsOf(server)).map(([key, value]) => `label:${key}=${value}`),
      ),
    );
    return [...texts].flatMap((text) => {
      const group = groupOf(text);
      if (group === undefined) return [];
      const isWhole = this.#resolver.membersOf(group).every((member) => servers.has(member));
      return isWhole ? this.#nameOf(group) : [];
    });
  }

  #nameOf(group: GroupPeer): Name {
    const rule = { protocol: 'all', peers: [group] } as const;
    const ranges = this.#resolver.rangesOf(rule) ?? allAddresses;
    return { text: group.text, ranges, size: sizeOfRanges(ranges) };
  }
}

/** A label's value may be one that no selector can write. */
function groupOf(text: string): GroupPeer | undefined {
  const peer = parsePeer(text);
  return 'value' in peer && isGroup(peer.value) ? peer.value : undefined;
}

function textOf({ from, to }: Range): string {
  return formatRange(from, to);
}

/** Blocks that hold some neighbours: one, or those of both halves. */
interface Plan {
  /** Addresses in all of them, and how many blocks these are. */
  readonly size: number;
  readonly count: number;
  readonly parts: Range | readonly [Plan, Plan];
}

/**
 * At most so many blocks that hold all of the addresses and the fewest others; of these, the fewest blocks. `undefined`: one of them
 * would be wider than /16.
 *
 * @param addresses ascending, each once
 */
export function blocksAround(addresses: readonly number[], most: number): Range[] | undefined {
  if (addresses.length === 0) return [];
  const plans = most < 1 ? [] : plansFor(addresses, 0, addresses.length, most);
  const best = plans.reduce<Plan | undefined>(
    (known, plan) => (known === undefined || (plan?.size ?? Infinity) < known.size ? plan : known),
    undefined,
  );
  return best && blocksOf(best);
}

/** The best plan with n blocks at n - 1, for the addresses of a part of the list. */
function plansFor(
  addresses: readonly number[],
  start: number,
  end: number,
  most: number,
): (Plan | undefined)[] {
  const [first, last] = [addresses[start]!, addresses[end - 1]!];
  const width = 2 ** (32 - Math.clz32(first ^ last));
  const from = first - (first % width);
  const whole = { size: width, count: 1, parts: { from, to: from + width - 1 } };
  const plans: (Plan | undefined)[] = [width <= widestBlock ? whole : undefined];
  if (end - start === 1 || most === 1) return plans;
  const middle = from + width / 2;
  let split = start;
  while (addresses[split]! < middle) split++;
  const low = plansFor(addresses, start, split, most - 1);
  const high = plansFor(addresses, split, end, most - 1);
  for (const one of low) {
    for (const other of high) {
      if (one === undefined || other === undefined || one.count + other.count > most) continue;
      const count = one.count + other.count;
      const size = one.size + other.size;
      if (size < (plans[count - 1]?.size ?? Infinity)) {
        plans[count - 1] = { size, count, parts: [one, other] };
      }
    }
  }
  return plans;
}

function blocksOf({ parts }: Plan): Range[] {
  return 'from' in parts ? [parts] : parts.flatMap(blocksOf);
}
