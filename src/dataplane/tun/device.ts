/**
 * A queue of a TUN device, as the packet loop sees it.
 *
 * The contract: `read` fills the first slots of the batch and returns how many. The caller judges each and may append
 * slots of its own. `write` writes those whose verdict is 1, in order. `exchange` does `write`, then `read`. Slots
 * and arena are valid until the next `read`. Nothing is allocated in between.
 *
 * A packet lies behind a 10-byte virtio header (wire/headers.ts), and its IPv4 header at a multiple of 16: the
 * kernel's checksum and segmentation metadata goes back with the packet that it came with, and with no other.
 */

/** Packets in memory that both sides share. */
export interface PacketBatch {
  /** All of the batch; offsets count from its start. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Offset of each slot's virtio header. */
  readonly offsets: Uint32Array;
  /** Bytes of each slot, virtio header included. */
  readonly lengths: Uint32Array;
  readonly verdicts: Uint8Array;
  /** Slots that `read` fills at most. */
  readonly readSlots: number;
  /** All slots: the rest are for packets that the caller appends. */
  readonly totalSlots: number;
  /** Part of `bytes` that `read` does not use: for the data of appended packets. */
  readonly spareOffset: number;
  readonly spareLength: number;
}

export interface TunQueue {
  readonly batch: PacketBatch;
  /**
   * Writes the passing slots below `count`, as `write`, then reads what is there, as `read`: one call per iteration
   * of the loop.
   */
  exchange(count: number, timeoutMs: number): number;
  /**
   * Reads what is there; if nothing is, waits for a packet or a wake-up, `timeoutMs` at most. Returns the packets read.
   * Throws with code EBADFD, EBADF or ENODEV when the device is gone.
   */
  read(timeoutMs: number): number;
  /**
   * Hands the passing slots below `count` to the device: at once, or with the next `exchange`, `read` or `close`. Returns how
   * many; packets that the device refuses are counted when that is known.
   */
  write(count: number): number;
  /** Monotonic clock in ms, modulo 2^32, as of the last read. */
  readonly nowMs: number;
  /** Packets that the device refused, as far as known. */
  readonly writeFailures: number;
  /** Of these, super-packets that the kernel refused, by kind. */
  readonly tcpRefused: number;
  readonly udpRefused: number;
  /** Whether packets travel by io_uring: one system call a batch, not two a packet. */
  readonly usesRing: boolean;
  /** Takes no more packets from the device: `exchange` and `read` give those that were taken before, and then 0. */
  finish(): void;
  /** Writes what was handed over, and closes the device. */
  close(): void;
}
