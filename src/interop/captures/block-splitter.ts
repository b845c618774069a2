/**
 * Cuts a pcapng stream at the ends of its blocks: a reader that stops in between still has a valid file.
 *
 * Every block begins with its type and its length, in the byte order of the section (ours is little-endian, which is what
 * the writer here writes; another byte order is refused).
 */
import { CaptureError } from './capture-error.ts';
import { BlockType, blockHeaderLength, blockTrailerLength } from './pcapng-blocks.ts';

/** Longer than a packet with all that we write beside it. */
const maxBlockLength = 1 << 20;

export class BlockSplitter {
  #rest: Buffer = Buffer.alloc(0);
  /** Packets in the blocks that were whole. */
  packets = 0;

  /** Takes a piece, gives the blocks that are whole now. @throws CaptureError if it is no pcapng file */
  add(piece: Uint8Array): Buffer {
    const bytes = this.#rest.length === 0 ? Buffer.from(piece) : Buffer.concat([this.#rest, piece]);
    let end = 0;
    while (bytes.length - end >= blockHeaderLength) {
      const length = bytes.readUInt32LE(end + 4);
      if (
        length < blockHeaderLength + blockTrailerLength ||
        length > maxBlockLength ||
        length % 4 !== 0
      ) {
        throw new CaptureError('the capture', end, 'this is no block of a pcapng file');
      }
      if (bytes.length - end < length) break;
      if (bytes.readUInt32LE(end) === BlockType.enhancedPacket) this.packets++;
      end += length;
    }
    this.#rest = bytes.subarray(end);
    return bytes.subarray(0, end);
  }
}
