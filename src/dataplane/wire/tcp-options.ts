/**
 * TCP options (RFC 9293 section 3.2, window scale RFC 7323, SACK RFC 2018).
 *
 * {@link tcpOptionsWellFormed} runs for every segment, once; the other two read options that it has accepted, so they need
 * no bounds of their own.
 */
import { TcpOption } from './headers.ts';
import { readI32 } from './readers.ts';
import { isAfter } from './sequence.ts';

/** NOP NOP TIMESTAMP 10, the options of nearly every segment of an established connection. */
function isTimestampOnly(bytes: Uint8Array, start: number, end: number): boolean {
  return (
    end - start === 12 &&
    bytes[start] === TcpOption.noOperation &&
    bytes[start + 1] === TcpOption.noOperation &&
    bytes[start + 2] === TcpOption.timestamp &&
    bytes[start + 3] === 10
  );
}

/** Whether every option's length is at least 2 and stays inside the header. */
export function tcpOptionsWellFormed(bytes: Uint8Array, start: number, end: number): boolean {
  if (isTimestampOnly(bytes, start, end)) return true;
  let at = start;
  while (at < end) {
    const option = bytes[at]!;
    if (option === TcpOption.end) return true;
    if (option === TcpOption.noOperation) {
      at++;
      continue;
    }
    if (at + 1 >= end) return false;
    const length = bytes[at + 1]!;
    if (length < 2 || at + length > end) return false;
    at += length;
  }
  return true;
}

/** Bit set by {@link readSynOptions} when the segment offers window scaling; the low four bits are the shift. */
export const synWindowScale = 0x10;
/** Bit set by {@link readSynOptions} when the segment permits SACK. */
export const synSackPermitted = 0x20;

/** What a SYN offers: shift count (0 to 14, larger ones count as 14: RFC 7323 section 2.3) and the two bits above. */
export function readSynOptions(bytes: Uint8Array, start: number, end: number): number {
  let result = 0;
  let at = start;
  while (at < end) {
    const option = bytes[at]!;
    if (option === TcpOption.end) break;
    if (option === TcpOption.noOperation) {
      at++;
      continue;
    }
    const length = bytes[at + 1]!;
    if (option === TcpOption.windowScale && length === 3) {
      const shift = bytes[at + 2]!;
      result = (result & ~15) | synWindowScale | (shift > 14 ? 14 : shift);
    } else if (option === TcpOption.sackPermitted && length === 2) {
      result |= synSackPermitted;
    }
    at += length;
  }
  return result;
}

/** The highest right edge of the first SACK option's blocks, or `acknowledgment` if none is higher. */
export function highestSack(
  bytes: Uint8Array,
  start: number,
  end: number,
  acknowledgment: number,
): number {
  if (isTimestampOnly(bytes, start, end)) return acknowledgment;
  let highest = acknowledgment;
  let at = start;
  while (at < end) {
    const option = bytes[at]!;
    if (option === TcpOption.end) break;
    if (option === TcpOption.noOperation) {
      at++;
      continue;
    }
    const length = bytes[at + 1]!;
    if (option === TcpOption.sack && length >= 10 && (length - 2) % 8 === 0) {
      for (let block = at + 2; block < at + length; block += 8) {
        const right = readI32(bytes, block + 4);
        if (isAfter(right, highest)) highest = right;
      }
      break;
    }
    at += length;
  }
  return highest;
}
