/**
 * A live capture as a growing pcapng file: every packet with its verdict and drop reason as a comment.
 *
 * Every buffer between the packet threads and the reader of the file is bounded. A slow reader loses packets, and the
 * statistics at the end of the file say how many.
 */
import { PassThrough } from 'node:stream';
import type { Readable } from 'node:stream';
import { PcapngWriter } from '../../interop/captures/pcapng-writer.ts';
import { withWholeChecksum } from '../../interop/captures/partial-checksum.ts';
import { fileDirection, verdictComment } from '../../interop/captures/verdict-comment.ts';
import type { CapturedRecord } from '../../dataplane/engine/capture-ring.ts';
import { directionNames } from '../../dataplane/engine/counters.ts';
import { DropReason, dropReasonNames } from '../../dataplane/wire/drop-reason.ts';
import { formatProtocol } from '../../dataplane/wire/format.ts';
import { Ipv4 } from '../../dataplane/wire/headers.ts';
import type { CaptureFilter, LiveCapture } from '../../dataplane/worker/live-capture.ts';

/** Bytes of the file that may wait for their reader, on each of the stream's sides. */
const waitingBytes = 2 << 20;

export interface CaptureFileOptions {
  readonly device: string;
  readonly filter: CaptureFilter;
  /** Ends after so many packets. */
  readonly limit?: number | undefined;
}

/** Starts a capture. It ends at the limit, or when the stream is destroyed. */
export function captureFile(capture: LiveCapture, options: CaptureFileOptions): Readable {
  const stream = new PassThrough({ highWaterMark: waitingBytes });
  const writer = new PcapngWriter(stream, {
    application: 'tunwall',
    interfaceName: options.device,
    ...(options.filter.snapLength !== undefined && { snapLength: options.filter.snapLength }),
  });
  const limit = options.limit ?? Infinity;
  let room = true;
  let lost = 0;
  let over = limit === 0;
  const stop = capture.start(options.filter, {
    onPacket(record) {
      if (over) return;
      if (!room) {
        lost++;
        return;
      }
      room = writer.packet(packetOf(record));
      if (writer.packets < limit) return;
      over = true;
      // Deferred: not during the delivery to all captures.
      queueMicrotask(finish);
    },
    onBatch() {
      writer.flush();
      room = !stream.writableNeedDrain;
    },
    onLost(packets) {
      lost += packets;
    },
  });
  const finish = (): void => {
    stop();
    // Fails only if the reader has disconnected and needs no end.
    writer.end({ received: writer.packets + lost, dropped: lost }).catch(() => undefined);
  };
  stream.once('close', () => {
    over = true;
    stop();
  });
  // The reader recognises a capture at once.
  writer.flush();
  if (over) finish();
  return stream;
}

function packetOf(record: CapturedRecord) {
  const { timeUs, originalLength, reason, direction } = record;
  // Of a part of a packet the checksum is not known.
  const isPartial = !record.isChecksumWhole && record.bytes.length === originalLength;
  const bytes = isPartial ? withWholeChecksum(record.bytes) : record.bytes;
  const seconds = Math.floor(timeUs / 1e6);
  const way = directionNames[direction] ?? 'none';
  const dropped = reason !== DropReason.none;
  return {
    seconds,
    nanoseconds: (timeUs - seconds * 1e6) * 1000,
    bytes,
    offset: 0,
    length: bytes.length,
    originalLength,
    direction: fileDirection(way),
    comment: verdictComment({
      verdict: dropped ? 'drop' : 'pass',
      reason: dropped ? dropReasonNames[reason] : undefined,
      direction: way,
      protocol: protocolOf(bytes),
    }),
  };
}

function protocolOf(bytes: Uint8Array): string {
  const version = (bytes[0] ?? 0) >> 4;
  if (version === 6) return 'ipv6';
  const protocol = bytes[Ipv4.protocol];
  return version === 4 && protocol !== undefined ? formatProtocol(protocol) : 'unknown protocol';
}
