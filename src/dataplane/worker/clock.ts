/** The clocks of the packet threads, for other threads. */

/** The clock of a TUN queue (TunQueue.nowMs): CLOCK_MONOTONIC in ms, modulo 2^32. */
export function monotonicMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return (seconds * 1000 + Math.floor(nanoseconds / 1e6)) | 0;
}

/** The wall-clock time, in ms since 1970, at which a queue's clock showed `thenMs`; at most 24 days ago. */
export function wallClockOf(thenMs: number): number {
  return Date.now() - ((monotonicMs() - thenMs) | 0);
}

/** Date.now() has a resolution of milliseconds; from this point the monotonic clock adds the microseconds. */
let offsetMs: number = performance.timeOrigin;

/** For captured packets: whole microseconds since 1970. */
export function wallClockUs(): number {
  const nowMs = performance.now();
  const wallMs = Date.now();
  // The wall clock was set.
  if (Math.abs(wallMs - (offsetMs + nowMs)) > 2) offsetMs = wallMs - nowMs;
  return Math.floor((offsetMs + nowMs) * 1000);
}
