/**
 * The memory of answers (answers.ts): shared by the packet threads, which work on it under the lock of the flow table, as the
 * control plane does when it ends a flow.
 */

/** Sources whose answers are counted at a time. */
export const sourceBucketCount = 4096;
export const bucketShift = 2;

/** Words of a token bucket. */
export const BucketWord = {
  /** Source address; of the gateway's bucket 1; 0 = never used. */
  owner: 0,
  /** When it was filled up last. */
  filledMs: 1,
  /** Thousandths of a token, so that a rate of tokens a second is what comes in a millisecond. */
  level: 2,
} as const;

/** Connections that wait to be reset at most: a power of two. */
export const waitingConnections = 1024;
export const connectionShift = 3;
export const connectionHeader = 8;

/** Words of a connection that waits to be reset. "Original" is the direction of the packet that opened it. */
export const ConnectionWord = {
  originalAddr: 0,
  replyAddr: 1,
  /** Original source port << 16 | original destination port. */
  ports: 2,
  /** Sequence number behind everything that was sent, per direction (original, then reply). */
  end: 3,
} as const;

export interface AnswerMemory {
  /** The gateway's bucket, then those of sources. */
  readonly buckets: SharedArrayBuffer;
  /** Counts of connections ever put in, taken out, and overwritten since; then a ring of them. */
  readonly connections: SharedArrayBuffer;
  /** Key of the hash that spreads sources. */
  readonly hashKey: readonly [number, number];
}

/** @param hashKey 64 bits from a cryptographic source */
export function createAnswerMemory(hashKey: readonly [number, number]): AnswerMemory {
  const connectionWords = connectionHeader + (waitingConnections << connectionShift);
  return {
    buckets: new SharedArrayBuffer(((1 + sourceBucketCount) << bucketShift) * 4),
    connections: new SharedArrayBuffer(connectionWords * 4),
    hashKey: [hashKey[0] | 0, hashKey[1] | 0],
  };
}
