/** ICMP messages that ask and are answered: echo, timestamp, information and address mask (RFC 792, RFC 950). */
import { IcmpType } from '../wire/headers.ts';

/** {@link icmpRequestOf} of a type that is neither request nor reply. */
export const noIcmpQuery = 255;

const requestOfType: Uint8Array = new Uint8Array(256).fill(noIcmpQuery);
for (const [request, reply] of [
  [IcmpType.echoRequest, IcmpType.echoReply],
  [IcmpType.timestampRequest, IcmpType.timestampReply],
  [IcmpType.informationRequest, IcmpType.informationReply],
  [IcmpType.addressMaskRequest, IcmpType.addressMaskReply],
] as const) {
  requestOfType[request] = request;
  requestOfType[reply] = request;
}

/** The type of the request that a message is or answers; the key of its flow. */
export function icmpRequestOf(type: number): number {
  return requestOfType[type]!;
}

export function isIcmpRequest(type: number): boolean {
  return requestOfType[type] === type;
}
