/**
 * Replays a whole capture file: reader, {@link Replay} and, if asked, a writer that puts each verdict beside its packet.
 *
 * A file that turns out to be damaged is replayed up to there; the result has both the counts and the error.
 */
import { stat } from 'node:fs/promises';
import os from 'node:os';
import type { Writable } from 'node:stream';
import { openOutputFile } from '../../system/output-file.ts';
import { CaptureError } from './capture-error.ts';
import type { CapturedPacket } from './capture-window.ts';
import { isLinkTypeSupported } from './link-layer.ts';
import { CaptureReader } from './pcap-reader.ts';
import { PcapngWriter } from './pcapng-writer.ts';
import { Replay } from './replay.ts';
import type { PacketReport, ReplayConfig, ReplayCounts, ReplayOptions } from './replay.ts';
import type { PacketTime } from './timestamps.ts';
import { fileDirection, verdictComment } from './verdict-comment.ts';

export interface ReplayFileOptions extends ReplayOptions {
  readonly file: string;
  readonly config: ReplayConfig;
  /** Ends after so many packets of the file. */
  readonly limit?: number | undefined;
  /** A pcapng file for the IP packets with their verdicts. */
  readonly write?: string | undefined;
  /** Name and version of the program, for that file. */
  readonly application: string;
  /** Called for every packet that is judged; `number` counts the packets of the file from 1. */
  readonly onPacket?:
    ((report: PacketReport, number: number, time: PacketTime) => void) | undefined;
  /** Called now and then with the progress; `total` is 0 if the size is unknown, as with a pipe. */
  readonly onProgress?: ((doneBytes: number, totalBytes: number) => void) | undefined;
}

export interface ReplayResult {
  readonly format: 'pcap' | 'pcapng' | undefined;
  /** Packets in the file, as far as it was read, and their bytes on the wire. */
  readonly packets: number;
  readonly bytes: number;
  /** Times of the first packet and of the latest one; undefined without any. */
  readonly first: PacketTime | undefined;
  readonly last: PacketTime | undefined;
  readonly counts: ReplayCounts;
  /** Why the rest of the file could not be read. */
  readonly error: CaptureError | undefined;
}

/** Throws a {@link CaptureError} if nothing can be replayed, or the verdicts cannot be written. */
export async function replayFile(options: ReplayFileOptions): Promise<ReplayResult> {
  const { file, write } = options;
  const reader = await CaptureReader.open(file);
  try {
    const run = new FileReplay(options, reader);
    if (write !== undefined) {
      await refuseSameFile(file, write);
      await run.writeTo(write);
    }
    return await run.run();
  } finally {
    await reader.close();
  }
}

class FileReplay {
  readonly #options: ReplayFileOptions;
  readonly #reader: CaptureReader;
  readonly #replay: Replay;
  #writer: PcapngWriter | undefined;
  #packets = 0;
  #bytes = 0;
  #first: PacketTime | undefined;
  #last: PacketTime | undefined;

  constructor(options: ReplayFileOptions, reader: CaptureReader) {
    this.#options = options;
    this.#reader = reader;
    this.#replay = new Replay(options.config, options);
  }

  async writeTo(path: string): Promise<void> {
    this.#writer = new PcapngWriter(await opened(path), {
      hardware: os.arch(),
      os: `${os.type()} ${os.release()}`,
      application: this.#options.application,
      interfaceName: this.#options.config.gateway.device,
    });
  }

  async run(): Promise<ReplayResult> {
    let error: CaptureError | undefined;
    try {
      await this.#readAll();
    } catch (thrown) {
      // Without any packet there is nothing to report but the error.
      const isDamage = thrown instanceof CaptureError && thrown.file === this.#options.file;
      if (!isDamage || this.#packets === 0) {
        await this.#writer?.end().catch(() => undefined);
        throw thrown;
      }
      error = thrown;
    }
    await this.#writing(() => this.#writer?.end({ received: this.#packets }));
    const { linkType } = this.#replay.counts().skipped;
    if (linkType > 0 && linkType === this.#packets) throw this.#unsupported();
    return {
      format: this.#reader.format,
      packets: this.#packets,
      bytes: this.#bytes,
      first: this.#first,
      last: this.#last,
      counts: this.#replay.counts(),
      error,
    };
  }

  async #readAll(): Promise<void> {
    const reader = this.#reader;
    const { limit = Infinity, onProgress } = this.#options;
    while (this.#packets < limit && (await reader.fill())) {
      while (this.#packets < limit && reader.next()) {
        const isRoom = this.#take(reader.packet);
        if (!isRoom) await this.#writing(() => this.#writer?.drained());
      }
      onProgress?.(reader.position, reader.size);
    }
  }

  /** Judges a packet and reports it; false when the writer's buffer is full. */
  #take(packet: Readonly<CapturedPacket>): boolean {
    // In a pcap file all packets are of one kind: without this, many gigabytes would be skipped one by one.
    if (this.#packets === 0 && this.#reader.format === 'pcap') {
      if (!isLinkTypeSupported(packet.linkType)) throw this.#unsupported();
    }
    this.#packets++;
    this.#bytes += packet.originalLength;
    this.#noteTime(packet);
    const at = this.#replay.judge(packet);
    const { onPacket } = this.#options;
    const writer = this.#writer;
    if (at < 0 || (onPacket === undefined && writer === undefined)) return true;
    const report = this.#replay.report();
    onPacket?.(report, this.#packets, packet);
    if (writer === undefined) return true;
    const linkHeader = at - packet.offset;
    return writer.packet({
      seconds: packet.seconds,
      nanoseconds: packet.nanoseconds,
      bytes: packet.bytes,
      offset: at,
      length: packet.length - linkHeader,
      originalLength: packet.originalLength - linkHeader,
      comment: verdictComment({ ...report, note: noteOf(report) }),
      direction: fileDirection(report.direction),
    });
  }

  #noteTime({ seconds, nanoseconds, hasTime }: Readonly<CapturedPacket>): void {
    if (!hasTime) return;
    this.#first ??= { seconds, nanoseconds };
    const last = this.#last;
    if (last === undefined) this.#last = { seconds, nanoseconds };
    else if (
      seconds > last.seconds ||
      (seconds === last.seconds && nanoseconds > last.nanoseconds)
    ) {
      last.seconds = seconds;
      last.nanoseconds = nanoseconds;
    }
  }

  #unsupported(): CaptureError {
    const { linkType } = this.#reader.packet;
    return new CaptureError(
      this.#options.file,
      undefined,
      `link layer ${linkType} is not supported`,
      'Ethernet, raw IP, Linux cooked (tcpdump -i any) and loopback captures are',
    );
  }

  /** Waits for the writer; its errors become ours. */
  async #writing(step: () => Promise<void> | undefined): Promise<void> {
    try {
      await step();
    } catch (error) {
      const { message } = error as Error;
      throw new CaptureError(this.#options.write ?? '', undefined, `cannot be written: ${message}`);
    }
  }
}

/** The note on a verdict: the rules that opened a flow, or the datagram that a fragment completes. */
export function noteOf({ newFlow, fragments, verdict }: PacketReport): string | undefined {
  if (newFlow !== undefined) return `new flow by ${newFlow.join(' and ')}`;
  if (fragments !== undefined) return `completes a datagram of ${fragments} fragments`;
  return verdict === 'held' ? 'fragment of a datagram that is not complete' : undefined;
}

async function opened(path: string): Promise<Writable> {
  try {
    return await openOutputFile(path);
  } catch (error) {
    const { message } = error as Error;
    throw new CaptureError(path, undefined, `cannot be written: ${message}`);
  }
}

/** The file that is read must not be the one that is written. */
async function refuseSameFile(read: string, write: string): Promise<void> {
  const [from, to] = await Promise.all([stat(read), stat(write).catch(() => undefined)]);
  if (to === undefined || from.dev !== to.dev || from.ino !== to.ino) return;
  throw new CaptureError(write, undefined, 'this is the file that is read', 'write another one');
}
