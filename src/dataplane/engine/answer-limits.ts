/**
 * How often the firewall answers: a token bucket for the gateway and one for each source, each as deep as one second fills it.
 *
 * Sources are many and forged. Their buckets are a table of fixed size, by keyed hash, {@link ways} places for each. A place is
 * given to another source when its bucket is full, since a new one would be full as well: so no source gets more than its bucket
 * allows, whatever others send. If no place is free, there is no answer.
 */
import { halfSipHash } from '../flow/hash.ts';
import { BucketWord, bucketShift, sourceBucketCount } from './answer-memory.ts';
import type { AnswerMemory } from './answer-memory.ts';

export const Limit = { granted: 0, gateway: 1, source: 2 } as const;

/** One token. */
const token = 1000;
/** A bucket fills in this time. */
const fillMs = 1000;
/** By so much may the clock of one packet thread be behind that of another. */
const clockSkewMs = 60_000;

const ways = 4;
const setMask: number = sourceBucketCount / ways - 1;
const gatewayBucket = 0;
const gatewayOwner = 1;

export class AnswerLimits {
  readonly #words: Int32Array;
  readonly #key0: number;
  readonly #key1: number;
  /** Tokens a second. */
  #gatewayRate = 0;
  #sourceRate = 0;

  constructor(memory: AnswerMemory) {
    this.#words = new Int32Array(memory.buckets);
    this.#key0 = memory.hashKey[0];
    this.#key1 = memory.hashKey[1];
  }

  /** @param gatewayRate, sourceRate answers a second, 1 to 1,000,000 */
  setRates(gatewayRate: number, sourceRate: number): void {
    this.#gatewayRate = gatewayRate;
    this.#sourceRate = sourceRate;
  }

  /** Takes a token for an answer to a packet of this source, from both buckets or from none. */
  takeFor(srcAddr: number, nowMs: number): number {
    const source = this.#bucketOf(srcAddr, nowMs);
    if (source < 0 || this.#words[source + BucketWord.level]! < token) return Limit.source;
    if (!this.takeOwn(nowMs)) return Limit.gateway;
    this.#words[source + BucketWord.level]! -= token;
    return Limit.granted;
  }

  /** Takes a token of the gateway alone: for what no packet of a stranger causes. */
  takeOwn(nowMs: number): boolean {
    const words = this.#words;
    if (words[gatewayBucket + BucketWord.owner] === 0) this.#give(gatewayBucket, gatewayOwner);
    this.#fill(gatewayBucket, this.#gatewayRate, nowMs);
    if (words[gatewayBucket + BucketWord.level]! < token) return false;
    words[gatewayBucket + BucketWord.level]! -= token;
    return true;
  }

  /** The bucket of a source, filled up; -1: there is no place for it. */
  #bucketOf(srcAddr: number, nowMs: number): number {
    const words = this.#words;
    const hash = halfSipHash(this.#key0, this.#key1, srcAddr, 0, 0, 0);
    const first = (1 + (hash & setMask) * ways) << bucketShift;
    const end = first + (ways << bucketShift);
    let free = -1;
    for (let bucket = first; bucket < end; bucket += 1 << bucketShift) {
      const owner = words[bucket + BucketWord.owner]!;
      if (owner === 0) {
        if (free < 0) free = bucket;
        continue;
      }
      this.#fill(bucket, this.#sourceRate, nowMs);
      if (owner === srcAddr) return bucket;
      const isFull = words[bucket + BucketWord.level] === this.#sourceRate * token;
      if (isFull && free < 0) free = bucket;
    }
    if (free < 0) return -1;
    this.#give(free, srcAddr);
    this.#fill(free, this.#sourceRate, nowMs);
    return free;
  }

  /** Gives a bucket to an owner, for whom `#fill` finds it full. */
  #give(bucket: number, owner: number): void {
    this.#words[bucket + BucketWord.owner] = owner;
    this.#words[bucket + BucketWord.level] = -1;
  }

  #fill(bucket: number, rate: number, nowMs: number): void {
    const words = this.#words;
    const depth = rate * token;
    const level = words[bucket + BucketWord.level]!;
    const elapsedMs = (nowMs - words[bucket + BucketWord.filledMs]!) | 0;
    // Another thread has looked at a later clock. Much earlier it is later again: the clock wraps.
    if (level >= 0 && elapsedMs <= 0 && elapsedMs > -clockSkewMs) {
      if (level > depth) words[bucket + BucketWord.level] = depth;
      return;
    }
    const full = level < 0 || elapsedMs < 0 || elapsedMs >= fillMs;
    const filled = full ? depth : level + elapsedMs * rate;
    words[bucket + BucketWord.level] = filled < depth ? filled : depth;
    words[bucket + BucketWord.filledMs] = nowMs;
  }
}
