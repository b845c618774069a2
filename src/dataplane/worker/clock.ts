/** The clocks of the packet threads, for those who are not one. */

/** The clock of a TUN queue (TunQueue.nowMs): CLOCK_MONOTONIC in ms, modulo 2^32. */
export function monotonicMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return (seconds * 1000 + Math.floor(nanoseconds / 1e6)) | 0;
}

/** What a clock on the wall showed, in ms since 1970, when a queue's clock showed `thenMs`; at most 24 days ago. */
export function wallClockOf(thenMs: number): number {
  return Date.now() - ((monotonicMs() - thenMs) | 0);
}

/** Date.now() tells no more than milliseconds; from here on the steadier clock goes along with it. */
let offsetMs: number = performance.timeOrigin;

/** For captured packets: whole microseconds since 1970. */
export function wallClockUs(): number {
  const nowMs = performance.now();
  const wallMs = Date.now();
  // The clock on the wall was set.
  if (Math.abs(wallMs - (offsetMs + nowMs)) > 2) offsetMs = wallMs - nowMs;
  return Math.floor((offsetMs + nowMs) * 1000);
}
