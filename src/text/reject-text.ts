/** Reject in words: what a server answers instead of only dropping it, and with what. */

/** `inbound and outbound`, `inbound`, `outbound` or `nothing`. */
export function rejectText({
  inbound = false,
  outbound = false,
}: {
  readonly inbound?: boolean;
  readonly outbound?: boolean;
}): string {
  const directions = [...(inbound ? ['inbound'] : []), ...(outbound ? ['outbound'] : [])];
  return directions.join(' and ') || 'nothing';
}

/** How a packet that is dropped is answered. */
export type Answer = 'rst' | 'icmp';

export const answerTexts: Readonly<Record<Answer, string>> = {
  rst: 'answered with a TCP RST',
  icmp: 'answered with ICMP: administratively prohibited',
};
