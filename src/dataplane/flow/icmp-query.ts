/** ICMP queries and their replies: echo, timestamp, information and address mask (RFC 792, RFC 950). */
import { DropReason } from '../wire/drop-reason.ts';
import { IcmpType, Protocol } from '../wire/headers.ts';

/** {@link icmpKind} of a type that is neither request nor reply. */
export const noIcmpQuery = 0;

const noRequest = 255;
const requestOfType: Uint8Array = new Uint8Array(256).fill(noRequest);
for (const [request, reply] of [
  [IcmpType.echoRequest, IcmpType.echoReply],
  [IcmpType.timestampRequest, IcmpType.timestampReply],
  [IcmpType.informationRequest, IcmpType.informationReply],
  [IcmpType.addressMaskRequest, IcmpType.addressMaskReply],
] as const) {
  requestOfType[request] = request;
  requestOfType[reply] = request;
}

/**
 * The key of the flow that a query belongs to: protocol, type of the request, code, and whether the requester has the
 * lower address. The last, because both ends may query each other with the same identifier: those are two flows. Fits
 * into 24 bits, as the hash wants it: the types of requests are below 128.
 */
export function icmpKind(type: number, code: number, srcAddr: number, dstAddr: number): number {
  const request = requestOfType[type]!;
  if (request === noRequest) return noIcmpQuery;
  const lowerAsks = (request === type) === srcAddr < dstAddr ? 1 : 0;
  return Protocol.icmp | (request << 8) | (lowerAsks << 15) | (code << 16);
}

/** Type of the request that a kind of {@link icmpKind} names. */
export function requestTypeOf(kind: number): number {
  return (kind >> 8) & 0x7f;
}

/** A request, or the reply to one. */
export function isIcmpQuery(type: number): boolean {
  return requestOfType[type] !== noRequest;
}

export function isIcmpRequest(type: number): boolean {
  return requestOfType[type] === type;
}

/** Of a type that is neither request nor reply: why it is dropped, or `none` for an error, whose quoted packet decides. */
export function refusedIcmp(type: number): number {
  switch (type) {
    case IcmpType.redirect:
      return DropReason.icmpRedirect;
    case IcmpType.destinationUnreachable:
    case IcmpType.timeExceeded:
    case IcmpType.parameterProblem:
      return DropReason.none;
    default:
      return DropReason.icmpType;
  }
}
