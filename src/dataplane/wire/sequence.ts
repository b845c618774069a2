/**
 * Comparison of 32-bit sequence numbers, which wrap (RFC 9293 section 3.4). Two numbers exactly 2^31 apart are each before the
 * other, as in Linux (include/net/tcp.h, before and after).
 */

export function isBefore(a: number, b: number): boolean {
  return ((a - b) | 0) < 0;
}

export function isAfter(a: number, b: number): boolean {
  return ((b - a) | 0) < 0;
}
