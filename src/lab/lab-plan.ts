/** What hosts a lab has, from what its user says; and what of that cannot be. */
import ipaddr from 'ipaddr.js';
import { LabError } from './lab-error.ts';
import type { HostOptions, Service } from './types.ts';

export interface PlannedHost {
  readonly name: string;
  /** The first one, with prefix length. */
  readonly address: string;
  /** Of the gateway, on the host's cable; with prefix length. */
  readonly gatewayAddress: string;
  /** All of them, with prefix length. */
  readonly addresses: readonly string[];
  readonly routers: readonly string[];
  readonly serves: readonly Service[];
}

const defaultHosts = { client: '198.51.100.2/24', server: '10.0.0.2/24' };

/** Names of interfaces, too. */
const namePattern = /^[a-z][a-z0-9-]{0,13}$/;
const reserved = new Set(['gateway', 'lo', 'fw0']);

/** @throws LabError for names, addresses and networks that do not fit together */
export function planHosts(
  hosts: Readonly<Record<string, string | HostOptions>> = defaultHosts,
): PlannedHost[] {
  const plans = Object.entries(hosts).map(([name, options]) => planHost(name, options));
  if (plans.length === 0) throw new LabError('a lab without hosts', 'name one: { client: … }');
  const names = new Set<string>();
  for (const name of plans.flatMap((plan) => [plan.name, ...plan.routers])) {
    if (!namePattern.test(name) || reserved.has(name)) {
      throw new LabError(
        `${JSON.stringify(name)} cannot be a host`,
        'expected up to 14 small letters, digits and hyphens, and not gateway, lo or fw0',
      );
    }
    if (names.has(name)) throw new LabError(`there are two hosts ${name}`, 'name one otherwise');
    names.add(name);
  }
  for (const [index, plan] of plans.entries()) {
    const other = plans.slice(0, index).find((each) => overlap(each.address, plan.address));
    if (other === undefined) continue;
    const message = `${other.name} and ${plan.name} are in one network, ${other.address} and ${plan.address}`;
    throw new LabError(message, 'each host has a cable, and so a network, of its own');
  }
  return plans;
}

function planHost(name: string, given: string | HostOptions): PlannedHost {
  const options: HostOptions = typeof given === 'string' ? { address: given } : given;
  const addresses = typeof options.address === 'string' ? [options.address] : [...options.address];
  const [address] = addresses;
  if (address === undefined) throw new LabError(`${name} has no address`, 'like 10.0.0.2/24');
  const wrong = addresses.find((each) => !ipaddr.IPv4.isValidCIDR(each));
  if (wrong !== undefined) {
    throw new LabError(`${name}: ${wrong} is no address`, 'expected one like 10.0.0.2/24');
  }
  const [, length] = ipaddr.IPv4.parseCIDR(address);
  const gateway = options.gateway ?? firstOf(address);
  if (addresses.some((each) => each.startsWith(`${gateway}/`))) {
    throw new LabError(`${name} has the firewall's address ${gateway}`, 'give gateway, or another');
  }
  return {
    ...{ name, address, addresses, gatewayAddress: `${gateway}/${length}` },
    ...{ routers: options.routers ?? [], serves: options.serves ?? [] },
  };
}

function firstOf(address: string): string {
  const octets = ipaddr.IPv4.networkAddressFromCIDR(address).toByteArray();
  return [...octets.slice(0, 3), octets[3]! + 1].join('.');
}

function overlap(a: string, b: string): boolean {
  const [one, other] = [ipaddr.IPv4.parseCIDR(a), ipaddr.IPv4.parseCIDR(b)];
  const length = Math.min(one[1], other[1]);
  return one[0].match(other[0], length);
}
