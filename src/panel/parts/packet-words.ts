/** Ends of packets and flows in words: `10.0.0.2:443`. */
interface Ends {
  readonly source: string;
  readonly destination: string;
  readonly sourcePort?: number;
  readonly destinationPort?: number;
}

interface Detail {
  readonly protocol: string;
  readonly tcpFlags?: string;
  readonly icmpType?: number;
  readonly icmpCode?: number;
}

export function endWords(address: string, port: number | undefined): string {
  return port === undefined ? address : `${address}:${port}`;
}

export function sourceWords({ source, sourcePort }: Ends): string {
  return endWords(source, sourcePort);
}

export function destinationWords({ destination, destinationPort }: Ends): string {
  return endWords(destination, destinationPort);
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
export function protocolWords({ protocol, tcpFlags, icmpType }: Detail): string {
  if (protocol === 'icmp' && icmpType !== undefined) {
    return `ICMP ${icmpNames[icmpType] ?? `type ${icmpType}`}`;
  }
  const name = /^\d+$/.test(protocol) ? `protocol ${protocol}` : protocol.toUpperCase();
  if (tcpFlags === undefined || tcpFlags === '') return name;
  return `${name} ${tcpFlags === 'S' ? 'SYN' : tcpFlags}`;
}
