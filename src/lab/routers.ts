/**
 * The gateway, its hosts, and routers in between: where a test needs a hop that does something of its own.
 *
 *     gateway ──── near ──── lossy ──── client          routers: { client: ['near', 'lossy'] }
 *
 * A router's interface towards the gateway is eth0, the other one has the name of what is behind it. The cables between
 * routers are 172.16.N.0/24, with N for the host, cut into blocks of 16 addresses.
 */
import type { HostPlan, Network } from './network.ts';

/** Routers in front of a host, from the gateway outwards. */
export type Routers = Readonly<Record<string, readonly string[]>>;

/** What is to be built in front of one host. */
interface Chain {
  readonly host: HostPlan;
  readonly routers: readonly string[];
  /** 172.16.N: what the addresses of its cables begin with. */
  readonly prefix: string;
}

export async function buildNetwork(
  lab: Network,
  hosts: readonly HostPlan[],
  routers: Routers,
): Promise<void> {
  const chains = hosts.map((host, index) => ({
    host,
    routers: routers[host.name] ?? [],
    prefix: `172.16.${index}`,
  }));
  await lab.buildStar('gateway', chains.map(nextToGateway));
  for (const chain of chains.filter((each) => each.routers.length > 0)) {
    await route(lab, 'gateway', chain, `${chain.prefix}.2`);
    for (const hop of chain.routers.keys()) await buildBehind(lab, chain, hop);
  }
}

/** The first router, or the host itself where it has none. */
function nextToGateway({ host, routers, prefix }: Chain): HostPlan {
  const [first] = routers;
  if (first === undefined) return host;
  return { name: first, address: `${prefix}.2/28`, gatewayAddress: `${prefix}.1/28` };
}

/** What is behind router `hop` of a chain: the next router, or the host. */
async function buildBehind(lab: Network, chain: Chain, hop: number): Promise<void> {
  const { host, routers, prefix } = chain;
  const router = routers[hop]!;
  const next = routers[hop + 1];
  const cable = 16 * (hop + 1);
  const { name, address, gatewayAddress }: HostPlan =
    next === undefined
      ? host
      : {
          name: next,
          address: `${prefix}.${cable + 2}/28`,
          gatewayAddress: `${prefix}.${cable + 1}/28`,
        };
  await lab.mustExec(router, ['sysctl', '-qw', 'net.ipv4.ip_forward=1']);
  await lab.addHost(name);
  await lab.connect(name, 'eth0', router, name);
  await lab.ip(name, 'addr', 'add', address, 'dev', 'eth0');
  await lab.ip(router, 'addr', 'add', gatewayAddress, 'dev', name);
  await lab.ip(name, 'route', 'add', 'default', 'via', withoutLength(gatewayAddress));
  if (next !== undefined) await route(lab, router, chain, withoutLength(address));
}

/** From a router, or the gateway, to all that is behind the next one. */
async function route(
  lab: Network,
  from: string,
  { host, prefix }: Chain,
  via: string,
): Promise<void> {
  const network = host.gatewayAddress.replace(/\.\d+\//, '.0/');
  for (const destination of [network, `${prefix}.0/24`]) {
    await lab.ip(from, 'route', 'add', destination, 'via', via);
  }
}

const withoutLength = (address: string): string => address.split('/')[0]!;
