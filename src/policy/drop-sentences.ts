/** What each drop reason means, in a sentence for people. Its words are those of `dropReasonNames`. */
import { DropReason, dropReasonNames } from '../dataplane/wire/drop-reason.ts';

const sentences: Readonly<Record<keyof typeof DropReason, string>> = {
  none: 'it passes',
  ipv6: 'IPv6 is not forwarded',
  protocol: 'only ICMP, TCP and UDP are forwarded',
  truncated: 'the packet is shorter than its header says',
  badIpHeader: 'the IPv4 header is malformed',
  badIpChecksum: 'the checksum of the IPv4 header is wrong',
  sourceRoute: 'it carries a source route',
  land: 'source and destination are the same address',
  martianSource: 'the source cannot be a host on a network (0/8, 127/8, 224/4 and above)',
  martianDestination: 'the destination cannot be a host on a network (0/8, 127/8, 224/4 and above)',
  fragment: 'a fragment waits for the rest of its datagram, which is then judged as one packet',
  badTcpHeader: 'the TCP header is malformed or cut off',
  badTcpFlags: 'no real TCP segment has these flags',
  badTcpOptions: 'the TCP options are malformed',
  badUdpLength: 'the length of the UDP header does not fit the packet',
  badIcmp: 'the ICMP message is shorter than its header',
  badChecksum: 'the checksum is wrong, its receiver would ignore it',
  icmpType: 'an ICMP message of this type opens no flow, and there is none that it answers',
  icmpError: 'an ICMP error passes only if it quotes a packet of a live flow',
  icmpRedirect: 'ICMP redirects never pass',
  noServer: 'neither end is a server',
  noInboundRule: 'no inbound rule of the destination server allows it',
  noOutboundRule: 'no outbound rule of the source server allows it',
  invalidState: 'a TCP segment like this opens no flow, and there is none that it belongs to',
  outOfWindow: 'the TCP sequence numbers are outside of the window of its flow',
  policyCut: 'its flow is not allowed by the rules any more',
  tableFull: 'the flow table is full of flows that are in use',
  serverShare: 'the server has its share of the flow table in use',
  writeFailed: 'the kernel did not take the packet back',
  fragmentOverlap: 'fragments of the datagram overlap',
  fragmentTiny: 'the first fragment is too short for its headers',
  fragmentOversize: 'the fragment ends behind 65,535 bytes',
  fragmentTimeout: 'the rest of the datagram did not come in time',
  fragmentMemory: 'there is no room for more fragments',
  fragmentCount: 'the datagram came in more than 64 fragments',
  wouldDrop: 'no rule allows it; it passes because the server observes',
  flowKilled: 'its flow was ended by hand, as with tunwall flows kill',
};

const byCode = new Map<number, string>(
  Object.entries(DropReason).map(([key, code]) => [code, sentences[key as keyof typeof sentences]]),
);

/** The sentence of a drop reason's code. */
export function sentenceOf(reason: number): string {
  return byCode.get(reason) ?? dropReasonNames[reason] ?? String(reason);
}
