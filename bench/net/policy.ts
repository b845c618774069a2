/**
 * What the server may be asked: one list of allow rules, and its translation into what each subject is configured with.
 *
 * The rules are inbound to the server; replies pass because of state. All else is dropped, by every subject that filters.
 */
import { serverAddress } from './addresses.ts';

export interface Rule {
  readonly protocol: 'tcp' | 'udp';
  readonly firstPort: number;
  readonly lastPort: number;
  /** Any source if absent. */
  readonly source?: string;
}

export type Rules = readonly Rule[];

export const port = { iperf: 5201, tcp: 8000, tcpCount: 16, udp: 9, refused: 10 } as const;

/** What the traffic tools need. */
const traffic: Rules = [
  { protocol: 'tcp', firstPort: port.iperf, lastPort: port.iperf },
  { protocol: 'tcp', firstPort: port.tcp, lastPort: port.tcp + port.tcpCount - 1 },
  { protocol: 'udp', firstPort: port.udp, lastPort: port.udp },
];

/**
 * Rules, `count` of them, of which the traffic needs the last ones; the others are each for another source and port.
 *
 * @param variant another variant differs in every other rule but the traffic's: a reload has something to change
 */
export function rulesOf(count: number = traffic.length, variant = 0): Rules {
  const others = Array.from({ length: Math.max(0, count - traffic.length) }, (_, index): Rule => {
    const firstPort = 10_000 + ((index + variant) % 20_000);
    const source = `100.${64 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}`;
    return { protocol: 'tcp', firstPort, lastPort: firstPort, source };
  });
  return [...others, ...traffic];
}

/** Rules a template file: tunwall refuses files above 4 MiB, and a hundred thousand rules in one file are not realistic. */
const rulesPerTemplate = 10_000;

function asTemplate(rules: Rules): string {
  const lines = rules.map(({ protocol, firstPort, lastPort, source }) => {
    const ports = firstPort === lastPort ? String(firstPort) : `"${firstPort}-${lastPort}"`;
    const sources = source === undefined ? '' : `, sources: [${source}]`;
    return `  - { protocol: ${protocol}, ports: [${ports}]${sources} }\n`;
  });
  return `inbound:\n${lines.join('')}`;
}

/** tunwall: template files, by the templates' names. */
export function asTemplates(rules: Rules): ReadonlyMap<string, string> {
  const count = Math.ceil(rules.length / rulesPerTemplate);
  return new Map(
    Array.from({ length: count }, (_, index) => {
      const from = index * rulesPerTemplate;
      return [`rules-${index}`, asTemplate(rules.slice(from, from + rulesPerTemplate))];
    }),
  );
}

/**
 * nftables: a set per kind of rule, as whoever knows nftables would write it. A list of rules would cost time in proportion to
 * its length.
 */
export function asNftables(rules: Rules): string {
  const element = ({ protocol, firstPort, lastPort, source }: Rule): string => {
    const ports = firstPort === lastPort ? String(firstPort) : `${firstPort}-${lastPort}`;
    return source === undefined ? `${protocol} . ${ports}` : `${source} . ${protocol} . ${ports}`;
  };
  const elements = (set: Rules): string =>
    set.length === 0 ? '' : `elements = { ${set.map(element).join(', ')} }`;
  const any = rules.filter(({ source }) => source === undefined);
  const some = rules.filter(({ source }) => source !== undefined);
  return `
table ip bench { }
flush table ip bench
delete table ip bench
table ip bench {
  counter refused { }
  set any { type inet_proto . inet_service; flags interval; ${elements(any)} }
  set some { type ipv4_addr . inet_proto . inet_service; ${elements(some)} }
  chain forward {
    type filter hook forward priority filter; policy drop;
    ct state established,related accept
    ct state new ip daddr ${serverAddress} meta l4proto . th dport @any accept
    ct state new ip daddr ${serverAddress} ip saddr . meta l4proto . th dport @some accept
    counter name refused
  }
}
`;
}

/**
 * Open vSwitch: tracked first, then judged. Ports 1 and 2 are the client's and the server's.
 *
 * @param toClient, @param toServer how a packet leaves: the actions of a router
 */
export function asOpenFlow(rules: Rules, toClient: string, toServer: string): string {
  const match = ({ protocol, firstPort, lastPort, source }: Rule): string[] => {
    const from = source === undefined ? '' : `,nw_src=${source}`;
    const ports = Array.from({ length: lastPort - firstPort + 1 }, (_, index) => firstPort + index);
    return ports.map((each) => `${protocol},nw_dst=${serverAddress}${from},tp_dst=${each}`);
  };
  return [
    'table=0,priority=10,ip,actions=ct(table=1)',
    'table=0,priority=0,actions=drop',
    `table=1,priority=20,in_port=1,ct_state=+trk+est,ip,actions=${toServer}`,
    `table=1,priority=20,in_port=2,ct_state=+trk+est,ip,actions=${toClient}`,
    `table=1,priority=20,in_port=1,ct_state=+trk+rel,ip,actions=${toServer}`,
    `table=1,priority=20,in_port=2,ct_state=+trk+rel,ip,actions=${toClient}`,
    ...rules
      .flatMap(match)
      .map(
        (each) =>
          `table=1,priority=10,in_port=1,ct_state=+trk+new,${each},actions=ct(commit),${toServer}`,
      ),
    'table=1,priority=0,actions=drop',
    '',
  ].join('\n');
}
