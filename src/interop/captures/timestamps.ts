/**
 * Packet times: whole seconds since 1970 and nanoseconds within the second.
 *
 * Two integers, because nanoseconds since 1970 do not fit a double and a BigInt per packet costs more than judging it.
 */

export interface PacketTime {
  /** Since 1970-01-01 00:00 UTC. */
  seconds: number;
  /** 0 to 999,999,999. */
  nanoseconds: number;
}

const nanosecondsPerSecond = 1_000_000_000;
const word = 0x1_0000_0000;

/** The furthest time that a Date can tell. */
const maxDateSeconds = 8.64e12;

/**
 * Time of a 64-bit count of units, as pcapng has it.
 *
 * @param high @param low unsigned 32-bit halves of the count
 * @param unitsPerSecond a power of ten or two, below 2^64
 * @param offsetSeconds added to it (if_tsoffset)
 */
export function setTimeFromUnits(
  time: PacketTime,
  high: number,
  low: number,
  unitsPerSecond: number,
  offsetSeconds: number,
): void {
  const nanosecondsPerUnit = nanosecondsPerSecond / unitsPerSecond;
  if (Number.isInteger(nanosecondsPerUnit)) {
    // Long division, 16 bits at a time: every number on the way is below 2^53.
    let quotient = Math.floor(high / unitsPerSecond);
    let rest = high % unitsPerSecond;
    for (const digit of [low >>> 16, low & 0xffff]) {
      rest = rest * 65_536 + digit;
      quotient = quotient * 65_536 + Math.floor(rest / unitsPerSecond);
      rest %= unitsPerSecond;
    }
    time.seconds = quotient + offsetSeconds;
    time.nanoseconds = rest * nanosecondsPerUnit;
    return;
  }
  const units = BigInt(unitsPerSecond);
  const count = (BigInt(high) << 32n) | BigInt(low);
  time.seconds = Number(count / units) + offsetSeconds;
  time.nanoseconds = Number(((count % units) * BigInt(nanosecondsPerSecond)) / units);
}

/** Puts nanoseconds since 1970 into two little-endian 32-bit words, the high one first; times before 1970 become 0. */
export function putNanoseconds(view: DataView, at: number, time: Readonly<PacketTime>): void {
  const seconds = Math.max(0, time.seconds);
  // seconds * 10^9 in two parts, each of which a double holds exactly.
  const upper = Math.floor(seconds / 65_536) * nanosecondsPerSecond;
  const lower = (seconds % 65_536) * nanosecondsPerSecond + time.nanoseconds;
  const sum = (upper % 65_536) * 65_536 + lower;
  view.setUint32(at, Math.floor(upper / 65_536) + Math.floor(sum / word), true);
  view.setUint32(at + 4, sum % word, true);
}

/** ISO 8601 in UTC with microseconds; a time that no calendar has as seconds. */
export function formatTime({ seconds, nanoseconds }: Readonly<PacketTime>): string {
  const fraction = String(Math.floor(nanoseconds / 1000)).padStart(6, '0');
  if (Math.abs(seconds) > maxDateSeconds) return `${seconds}.${fraction}`;
  return `${new Date(seconds * 1000).toISOString().slice(0, -5)}.${fraction}Z`;
}
