/**
 * The gateway, its hosts, and routers in between: where a test needs a hop that does something of its own.
 *
 *     gateway ──── near ──── lossy ──── client          routers: ['near', 'lossy']
 *
 * The interface towards the gateway is eth0, the other one has the name of what is behind it. The cables between
 * routers are 172.16.N.0/24, with N for the host, cut into blocks of 16 addresses.
 */
import ipaddr from 'ipaddr.js';
import { Host } from './host.ts';
import type { PlannedHost } from './lab-plan.ts';
import type { Network } from './network.ts';

/** Between two machines, of which one is nearer to the gateway. */
interface Cable {
  readonly outer: string;
  readonly outerAddresses: readonly string[];
  readonly inner: string;
  readonly innerAddress: string;
  /** What is behind the outer end, if that is a router. */
  readonly behind: readonly string[];
}

export interface Topology {
  readonly hosts: Readonly<Record<string, Host>>;
  readonly routers: Readonly<Record<string, Host>>;
}

/** Builds all of it; routers forward, the gateway does not yet. */
export async function buildTopology(
  network: Network,
  plans: readonly PlannedHost[],
  gateway = 'gateway',
): Promise<Topology> {
  const cables = plans.flatMap((plan, index) => cablesOf(plan, gateway, `172.16.${index}`));
  const machines = [gateway, ...cables.map(({ outer }) => outer)];
  await network.addHosts(machines);
  await network.ipEach(
    gateway,
    cables.map(({ outer, inner }) => {
      const [a, b] = [network.namespace(inner), network.namespace(outer)];
      return `link add ${outer} netns ${a} type veth peer name eth0 netns ${b}`;
    }),
  );
  await Promise.all(machines.map((name) => network.ipEach(name, settingsOf(name, cables))));
  const routers = plans.flatMap((plan) => plan.routers);
  const forward = ['sysctl', '-qw', 'net.ipv4.ip_forward=1'];
  await Promise.all(routers.map((router) => network.mustExec(router, forward)));
  return {
    hosts: Object.fromEntries(
      plans.map(({ name, addresses }) => [
        name,
        new Host(network, name, addresses.map(withoutLength)),
      ]),
    ),
    routers: Object.fromEntries(routers.map((name) => [name, new Host(network, name, [])])),
  };
}

/** From the gateway outwards. */
function cablesOf(
  { name, addresses, gatewayAddress, routers }: PlannedHost,
  gateway: string,
  prefix: string,
): Cable[] {
  const hops = [gateway, ...routers];
  return hops.map((inner, hop) => {
    const outer = routers[hop];
    if (outer === undefined) {
      const outerAddresses = addresses;
      return { outer: name, outerAddresses, inner, innerAddress: gatewayAddress, behind: [] };
    }
    const first = 16 * hop + 1;
    return {
      outer,
      outerAddresses: [`${prefix}.${first + 1}/28`],
      inner,
      innerAddress: `${prefix}.${first}/28`,
      behind: [networkOf(gatewayAddress), `${prefix}.0/24`],
    };
  });
}

/** Addresses and routes of one machine, for `ip -batch`. */
function settingsOf(name: string, cables: readonly Cable[]): string[] {
  const outwards = cables.filter(({ inner }) => inner === name);
  const inwards = cables.filter(({ outer }) => outer === name);
  return [
    'link set lo up',
    ...inwards.flatMap(({ outerAddresses, innerAddress }) => [
      ...outerAddresses.map((address) => `addr add ${address} dev eth0`),
      'link set eth0 up',
      `route add default via ${withoutLength(innerAddress)}`,
    ]),
    ...outwards.flatMap(({ outer, outerAddresses, innerAddress, behind }) => [
      `addr add ${innerAddress} dev ${outer}`,
      `link set ${outer} up`,
      ...behind.map((network) => `route add ${network} via ${withoutLength(outerAddresses[0]!)}`),
    ]),
  ];
}

const withoutLength = (address: string): string => address.split('/')[0]!;

function networkOf(address: string): string {
  const network = ipaddr.IPv4.networkAddressFromCIDR(address).toString();
  return `${network}/${address.split('/')[1]!}`;
}
