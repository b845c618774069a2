/**
 * The slots of a batch behind those that were read: the engine fills them with held fragments that leave, and with its own answers.
 * Their bytes lie in the batch's spare room.
 */
import type { FragmentStore } from '../flow/fragments.ts';
import { VnetHeader } from '../wire/headers.ts';
import type { PacketBatch } from './engine-memory.ts';

export class BatchTail {
  readonly #batch: PacketBatch;
  /** Slots in use, those that were read included. */
  slots = 0;
  #spareUsed = 0;

  constructor(batch: PacketBatch) {
    this.#batch = batch;
  }

  /** Starts a batch of which `count` slots were read. */
  begin(count: number): void {
    this.slots = count;
    this.#spareUsed = 0;
  }

  hasRoomFor(slots: number, bytes: number): boolean {
    const { totalSlots, spareLength } = this.#batch;
    return this.slots + slots <= totalSlots && this.#spareUsed + bytes <= spareLength;
  }

  /**
   * Whether there is room for a datagram's held fragments and the one that completes it. The spare room of a packet thread is as
   * large as the store, beside that for answers, so it always suffices.
   */
  hasRoomForDatagram(store: FragmentStore, datagram: number): boolean {
    const fragments = store.heldCount(datagram);
    const needed = store.heldBytes(datagram) + fragments * VnetHeader.length;
    return this.hasRoomFor(fragments + 1, needed);
  }

  /** Where the bytes of the next slot belong. */
  get offset(): number {
    return this.#batch.spareOffset + this.#spareUsed;
  }

  /** Adds a slot to be written: `length` bytes at {@link offset}. There has to be room. Returns the slot. */
  append(length: number): number {
    const slot = this.appendSlot(this.offset, length);
    this.#spareUsed += length;
    return slot;
  }

  /** Adds a held fragment as it came, but without checksum or segmentation metadata, which a fragment never carries. */
  appendFragment(store: FragmentStore, fragment: number): number {
    const { bytes } = this.#batch;
    const at = this.offset;
    store.copyFragment(fragment, bytes, at);
    bytes.fill(0, at, at + VnetHeader.length);
    return this.append(store.storedLength(fragment));
  }

  /** Adds a slot for bytes that lie somewhere else in the batch. */
  appendSlot(offset: number, length: number): number {
    const { offsets, lengths, verdicts } = this.#batch;
    const slot = this.slots++;
    offsets[slot] = offset;
    lengths[slot] = length;
    verdicts[slot] = 1;
    return slot;
  }
}
