/** The policies between which a fuzz case changes, compiled, and asked naively. */
import { compilePolicy } from '../../src/policy/compile.ts';
import { Header } from '../../src/dataplane/match/matcher.ts';
import { MatchResult } from '../../src/dataplane/match/matcher.ts';
import { naiveMatch, toServers, toTemplates } from '../support/policies.ts';
import type { PlainServer, PlainTemplate } from '../support/policies.ts';
import { clients, servers } from './traffic.ts';

const everything: PlainTemplate = {
  inbound: [{ protocol: 'all' }],
  outbound: [{ protocol: 'all' }],
};

const templates: Record<string, PlainTemplate> = {
  everything,
  inwards: { inbound: [{ protocol: 'all' }], outbound: [] },
  tcp: {
    inbound: [{ protocol: 'tcp', ports: [80, [440, 450]] }],
    outbound: [{ protocol: 'tcp', ports: [443] }],
  },
  datagrams: {
    inbound: [{ protocol: 'udp', ports: [53] }, { protocol: 'icmp' }],
    outbound: [{ protocol: 'icmp', destinations: [clients[0]!] }],
  },
  friends: { inbound: [{ protocol: 'all', sources: [clients[0]!, '10.0.0.0/8'] }], outbound: [] },
};

/** Templates of the two servers, policy by policy. The first one is in force at the start of most cases. */
const assignments: readonly (readonly [string[], string[]])[] = [
  [['everything'], ['everything']],
  [['tcp'], ['datagrams']],
  [['tcp', 'datagrams'], ['inwards']],
  [['friends'], ['everything']],
  [[], ['tcp', 'friends']],
];

export const policyCount: number = assignments.length;

const parsedTemplates = toTemplates(templates);
const parsedServers = assignments.map((assigned) =>
  toServers(
    assigned.map((names, index): PlainServer => ({
      name: `server-${index}`,
      addresses: [servers[index]!],
      templates: names,
    })),
  ),
);
/** What some of them answer: seldom enough that limits are met. */
const reject = { inbound: true, outbound: true, perSecond: 50, perSourcePerSecond: 5 };
const compiled = parsedServers.map(
  (each, index) =>
    compilePolicy(
      {
        templates: parsedTemplates,
        servers: each,
        ...(index % 2 === 1 && { gateway: { reject } }),
      },
      1,
    ).words,
);

/** The words of policy `index` with an epoch of its own. */
export function policyWords(index: number, epoch: number): Int32Array {
  const words = compiled[index]!.slice();
  words[Header.epoch] = epoch;
  return words;
}

/** Whether policy `index` admits a flow; addresses as 32-bit integers. */
export function naivelyAllowed(
  index: number,
  protocol: number,
  src: number,
  dst: number,
  port: number,
): boolean {
  const each = parsedServers[index]!;
  return (
    naiveMatch(parsedTemplates, each, protocol, src >>> 0, dst >>> 0, port) === MatchResult.allowed
  );
}
