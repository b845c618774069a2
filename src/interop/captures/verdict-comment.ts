/** Verdicts as comments of packets: what Wireshark shows beside them. */

export interface CommentedVerdict {
  readonly verdict: 'pass' | 'drop' | 'held';
  /** Of a drop. */
  readonly reason?: string | undefined;
  /** `none` is left out. */
  readonly direction: string;
  readonly protocol: string;
  /** A further note. */
  readonly note?: string | undefined;
}

/** `tunwall: drop no-inbound-rule, inbound tcp`. */
export function verdictComment(commented: CommentedVerdict): string {
  const { verdict, reason, direction, protocol, note } = commented;
  const judgement = reason === undefined ? verdict : `${verdict} ${reason}`;
  const kind = direction === 'none' ? protocol : `${direction} ${protocol}`;
  return `tunwall: ${[judgement, kind, note].filter((part) => part !== undefined).join(', ')}`;
}

/** The direction in terms of the file format: between two servers there is none. */
export function fileDirection(direction: string): 'inbound' | 'outbound' | undefined {
  return direction === 'inbound' || direction === 'outbound' ? direction : undefined;
}
