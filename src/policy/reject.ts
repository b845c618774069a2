/** What a server does with packets that lack a rule: its own setting, and the gateway's where it has none. */
import { RejectBits } from '../dataplane/match/matcher.ts';
import type { RejectSettings, Server } from './types.ts';

/** In which directions the lack of a rule is answered: with an RST, or with ICMP. */
export interface RejectDirections {
  readonly inbound: boolean;
  readonly outbound: boolean;
}

/** Of a server. */
export function rejectOf(
  { reject }: Pick<Server, 'reject'>,
  gateway: RejectDirections,
): RejectDirections {
  const { inbound, outbound } = gateway;
  return { inbound, outbound, ...reject };
}

export function rejectBits({ inbound, outbound }: RejectDirections): number {
  return (inbound ? RejectBits.inbound : 0) | (outbound ? RejectBits.outbound : 0);
}

export const defaultReject: RejectSettings = {
  inbound: false,
  outbound: false,
  perSecond: 1000,
  perSourcePerSecond: 20,
};
