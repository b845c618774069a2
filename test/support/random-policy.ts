/** Random policies over few addresses and ports, so that rules overlap, touch, and packets meet them at their edges. */
import { formatAddressNumber } from '../../src/policy/addresses.ts';
import type { AddressRange, PortRange, Rule, Server, Template } from '../../src/policy/types.ts';

export const interestingPorts: readonly number[] = [
  1, 22, 53, 80, 81, 443, 5432, 8000, 8080, 65_535,
];

export interface RandomPolicy {
  readonly templates: Template[];
  readonly servers: Server[];
}

export class PolicyMaker {
  readonly #random: () => number;
  readonly addresses: readonly number[];

  /** @param addresses what servers and rules are made of, unsigned */
  constructor(random: () => number, addresses: readonly number[]) {
    this.#random = random;
    this.addresses = addresses;
  }

  below(n: number): number {
    return Math.floor(this.#random() * n);
  }

  chance(part: number): boolean {
    return this.#random() < part;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }

  #list<T>(most: number, make: () => T): T[] {
    return Array.from({ length: 1 + this.below(most) }, make);
  }

  #range(values: readonly number[]): PortRange {
    const [a, b] = [this.pick(values), this.pick(values)];
    return this.chance(0.5) ? { from: a, to: a } : { from: Math.min(a, b), to: Math.max(a, b) };
  }

  #peer(): AddressRange {
    if (this.chance(0.1)) return { from: 0, to: 0xffffffff, text: 'any' };
    if (this.chance(0.3)) {
      const bits = this.pick([8, 24, 28, 31]);
      const size = 2 ** (32 - bits);
      const address = this.pick(this.addresses);
      const from = address - (address % size);
      return { from, to: from + size - 1, text: `${formatAddressNumber(from)}/${bits}` };
    }
    const { from, to } = this.#range(this.addresses);
    const text = [...new Set([from, to])].map(formatAddressNumber).join('-');
    return { from, to, text };
  }

  rule(): Rule {
    const protocol = this.pick(['all', 'icmp', 'tcp', 'tcp', 'udp'] as const);
    const hasPorts = (protocol === 'tcp' || protocol === 'udp') && this.chance(0.8);
    return {
      protocol,
      ...(hasPorts && { ports: this.#list(3, () => this.#range(interestingPorts)) }),
      ...(this.chance(0.7) && { peers: this.#list(3, () => this.#peer()) }),
    };
  }

  /** A few templates, and servers on some of the addresses. */
  policy(mostRules: number): RandomPolicy {
    const rules = (): Rule[] => (this.chance(0.85) ? this.#list(mostRules, () => this.rule()) : []);
    const templates = this.#list(4, () => 0).map((_, index) => ({
      name: `t${index}`,
      inbound: rules(),
      outbound: rules(),
    }));
    const free = [...this.addresses];
    const servers = this.#list(4, () => 0).map((_, index) => ({
      name: `s${index}`,
      addresses: this.#list(2, () => free.splice(this.below(free.length), 1)[0]!),
      templates: templates.filter(() => this.chance(0.5)).map(({ name }) => name),
    }));
    return { templates, servers };
  }
}
