/**
 * The one policy of both filters, in their two languages. 10.0.0.2 is the protected server.
 *
 *     inbound   TCP 443, UDP 53, ICMP
 *     outbound  TCP 80, UDP 123, ICMP
 */
import type { Matcher } from '../../src/dataplane/match/matcher.ts';
import { policyOf } from '../support/policies.ts';
import type { PlainRule } from '../support/policies.ts';
import { allowedPorts } from './conversation.ts';

export const serverAddress = '10.0.0.2';
/** A packet with this source passes the kernel untracked: it marks the end of a round. */
export const sentinelSource = '192.0.2.1';
export const sentinelDestination = '192.0.2.2';

const { outside, inside } = allowedPorts;

function rules(ports: { tcp: number; udp: number }): PlainRule[] {
  return [
    { protocol: 'tcp', ports: [ports.tcp] },
    { protocol: 'udp', ports: [ports.udp] },
    { protocol: 'icmp' },
  ];
}

export function enginePolicy(): Matcher {
  return policyOf({ some: { inbound: rules(outside), outbound: rules(inside) } }, [
    { name: 'server', addresses: [serverAddress], templates: ['some'] },
  ]);
}

export const nftRules: string = `
table ip oracle {
  chain untracked {
    type filter hook prerouting priority raw; policy accept;
    ip saddr ${sentinelSource} notrack
  }
  chain forward {
    type filter hook forward priority filter; policy drop;
    ip saddr ${sentinelSource} accept
    ct state invalid drop
    ct state established,related accept
    ip daddr ${serverAddress} tcp dport ${outside.tcp} ct state new accept
    ip daddr ${serverAddress} udp dport ${outside.udp} ct state new accept
    ip daddr ${serverAddress} meta l4proto icmp ct state new accept
    ip saddr ${serverAddress} tcp dport ${inside.tcp} ct state new accept
    ip saddr ${serverAddress} udp dport ${inside.udp} ct state new accept
    ip saddr ${serverAddress} meta l4proto icmp ct state new accept
  }
  chain own {
    type filter hook output priority filter; policy drop;
  }
}
`;
