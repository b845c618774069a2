/** Packets and flows in words: their ends, and what kind of packet it is. */

interface Ends {
  readonly source: string;
  readonly destination: string;
  readonly sourcePort?: number;
  readonly destinationPort?: number;
}

interface Kind {
  readonly protocol: string;
  /** As letters: F S R P A U. */
  readonly tcpFlags?: string;
  readonly icmpType?: number;
  readonly icmpCode?: number;
}

/** `10.0.0.2:443`, `10.0.0.2:443 (web-1)`. */
export function endText(address: string, port: number | undefined, server?: string): string {
  const end = port === undefined ? address : `${address}:${port}`;
  return server === undefined ? end : `${end} (${server})`;
}

export function sourceText({ source, sourcePort }: Ends): string {
  return endText(source, sourcePort);
}

export function destinationText({ destination, destinationPort }: Ends): string {
  return endText(destination, destinationPort);
}

const icmpNames: Readonly<Record<number, string>> = {
  0: 'echo reply',
  3: 'unreachable',
  5: 'redirect',
  8: 'echo',
  11: 'time exceeded',
  13: 'timestamp',
};

/** `TCP SYN`, `UDP`, `ICMP echo`. */
export function kindText({ protocol, tcpFlags, icmpType }: Kind): string {
  if (protocol === 'icmp' && icmpType !== undefined) {
    return `ICMP ${icmpNames[icmpType] ?? `type ${icmpType}`}`;
  }
  const name = /^\d+$/.test(protocol) ? `protocol ${protocol}` : protocol.toUpperCase();
  if (tcpFlags === undefined || tcpFlags === '') return name;
  return `${name} ${tcpFlags === 'S' ? 'SYN' : tcpFlags}`;
}

/** What the header says beside the ends, with its numbers: `flags SA`, `type 3 code 4`; empty: nothing. */
export function detailText({ tcpFlags, icmpType, icmpCode }: Omit<Kind, 'protocol'>): string {
  if (tcpFlags !== undefined) return `flags ${tcpFlags}`;
  return icmpType === undefined ? '' : `type ${icmpType} code ${icmpCode ?? 0}`;
}
