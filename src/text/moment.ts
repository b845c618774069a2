/** A moment as files write it: RFC 3339, UTC, in whole seconds. */
export function momentText(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
}
