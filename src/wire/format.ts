/** Packet fields as text. Cold: for logs, metrics and the command line, never on the packet path. */
import { Protocol } from './headers.ts';

/** Dotted decimal of a signed or unsigned 32-bit address. */
export function formatAddress(address: number): string {
  return `${address >>> 24}.${(address >>> 16) & 255}.${(address >>> 8) & 255}.${address & 255}`;
}

export function formatProtocol(protocol: number): string {
  switch (protocol) {
    case Protocol.icmp:
      return 'icmp';
    case Protocol.tcp:
      return 'tcp';
    case Protocol.udp:
      return 'udp';
    default:
      return String(protocol);
  }
}
