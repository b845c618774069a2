/** `tunwall/testing`: the firewall's engine in memory, and packets to send through it. See docs/testing.md. */
export { createFirewall } from './firewall.ts';
export type {
  Firewall,
  FirewallOptions,
  FirewallSettings,
  PacketInput,
  TestClock,
  TestFlow,
} from './firewall.ts';
export { FirewallConfigError } from './config-input.ts';
export type {
  FirewallConfig,
  GatewayInput,
  InboundRuleInput,
  OutboundRuleInput,
  ServerInput,
  SetInput,
  TemplateInput,
} from './config-input.ts';
export { fragments, icmpError, ping, tcp, udp } from './conversations.ts';
export type {
  IcmpErrorName,
  Payload,
  Ping,
  Segment,
  TcpEnd,
  TcpOptions,
  UdpEnd,
} from './conversations.ts';
export { matchers } from './matchers.ts';
export type { MatcherResult } from './matchers.ts';
export type { DropReasonName, Outcome, SentPacket, Verdict } from './outcome.ts';
export { icmpMessage, ipv4Packet, tcpPacket, udpPacket } from './packets.ts';
export type { Ipv4Fields, TcpFields } from './packets.ts';
