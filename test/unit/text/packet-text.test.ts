/** Packets and flows in words. */
import { expect, it } from 'vitest';
import {
  destinationText,
  detailText,
  endText,
  kindText,
  sourceText,
} from '../../../src/text/packet-text.ts';

const ends = { source: '10.0.0.1', sourcePort: 5, destination: '10.0.0.2' };

it.each([
  [endText('10.0.0.2', 443), '10.0.0.2:443'],
  [endText('10.0.0.2', undefined, 'web-1'), '10.0.0.2 (web-1)'],
  [sourceText(ends), '10.0.0.1:5'],
  [destinationText(ends), '10.0.0.2'],
  [kindText({ protocol: 'tcp', tcpFlags: 'S' }), 'TCP SYN'],
  [kindText({ protocol: 'tcp', tcpFlags: 'SA' }), 'TCP SA'],
  [kindText({ protocol: 'udp' }), 'UDP'],
  [kindText({ protocol: 'icmp', icmpType: 8 }), 'ICMP echo'],
  [kindText({ protocol: 'icmp', icmpType: 42 }), 'ICMP type 42'],
  [kindText({ protocol: '132' }), 'protocol 132'],
  [detailText({ tcpFlags: 'S' }), 'flags S'],
  [detailText({ icmpType: 3, icmpCode: 4 }), 'type 3 code 4'],
  [detailText({ icmpType: 8 }), 'type 8 code 0'],
  [detailText({}), ''],
])('%s', (text, expected) => {
  expect(text).toBe(expected);
});
