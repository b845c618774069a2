/** Packet fields as text. Cold: for logs, metrics and the command line, never on the packet path. */
import { Protocol, TcpFlag } from './headers.ts';

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

const flagLetters = [
  [TcpFlag.fin, 'F'],
  [TcpFlag.syn, 'S'],
  [TcpFlag.rst, 'R'],
  [TcpFlag.psh, 'P'],
  [TcpFlag.ack, 'A'],
  [TcpFlag.urg, 'U'],
] as const;

/** TCP flags as letters: F S R P A U. */
export function formatTcpFlags(flags: number): string {
  const set = flagLetters.filter(([bit]) => (flags & bit) !== 0);
  return set.map(([, letter]) => letter).join('');
}
