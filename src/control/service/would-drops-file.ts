/**
 * What observed servers would drop, in the state directory: `observed.json`. It is written once a minute at most, and when the process
 * ends in order; one that is killed loses a minute of it. What has not the shape of what was written is as if it were not there.
 */
import { join } from 'node:path';
import { readOwnFile } from '../../system/safe-file.ts';
import { reasonOf } from '../../text/system-errors.ts';
import { writeDurably } from '../store/files/durable-file.ts';
import { makeStateDirectory } from '../store/files/state-directory.ts';
import { isObject, parsedJson } from '../store/files/stored-json.ts';
import type { SeenFlows } from '../../policy/suggest.ts';
import type { StoredRecord, WouldDrops } from './would-drops.ts';

const everyMs = 60_000;
const maxBytes = 32 << 20;
const mode = 0o640;

export class WouldDropsFile {
  readonly #directory: string;
  readonly #drops: WouldDrops;
  readonly #onWarning: (message: string) => void;
  #writtenMs: number;
  #writing: Promise<void> = Promise.resolve();
  #isWarned = false;

  constructor(directory: string, drops: WouldDrops, onWarning: (message: string) => void) {
    this.#directory = directory;
    this.#drops = drops;
    this.#onWarning = onWarning;
    this.#writtenMs = performance.now();
  }

  get #path(): string {
    return join(this.#directory, 'observed.json');
  }

  /** Goes on with what the process before has seen. Never fails. */
  async read(): Promise<void> {
    try {
      const read = await readOwnFile(this.#path, maxBytes);
      if (read === undefined) return;
      const records = recordsIn(parsedJson(read.bytes.toString()));
      if (records === undefined) throw new Error('it is damaged');
      this.#drops.restore(records);
    } catch (error) {
      this.#onWarning(`what servers were observed to do before is not used: ${reasonOf(error)}`);
    }
  }

  /** To be called often: writes what is new, once a minute. */
  look(nowMs: number): void {
    if (nowMs - this.#writtenMs < everyMs) return;
    this.#writtenMs = nowMs;
    void this.write();
  }

  /** Writes what is new now. Never fails. */
  write(): Promise<void> {
    this.#writing = this.#writing.then(() => this.#write());
    return this.#writing;
  }

  async #write(): Promise<void> {
    const records = this.#drops.takeChanged();
    if (records === undefined) return;
    try {
      await makeStateDirectory(this.#directory);
      const stored = records.map(({ kinds, ...record }) => ({
        ...record,
        kinds: kinds.map(rowOf),
      }));
      await writeDurably(this.#path, JSON.stringify({ version: 1, servers: stored }), mode);
      this.#isWarned = false;
    } catch (error) {
      if (this.#isWarned) return;
      this.#isWarned = true;
      this.#onWarning(`what observed servers do will not outlive this process: ${reasonOf(error)}`);
    }
  }
}

const directions = ['inbound', 'outbound'] as const;
const protocols = ['icmp', 'tcp', 'udp'] as const;

function rowOf({ direction, protocol, peer, port, count, lastMs }: SeenFlows): readonly number[] {
  return [directions.indexOf(direction), protocols.indexOf(protocol), peer, port, count, lastMs];
}

/** Undefined: it has another shape. */
function recordsIn(value: unknown): StoredRecord[] | undefined {
  if (!isObject(value) || value['version'] !== 1 || !Array.isArray(value['servers'])) {
    return undefined;
  }
  const records = (value['servers'] as unknown[]).map(recordIn);
  return records.every((each) => each !== undefined) ? records : undefined;
}

function recordIn(value: unknown): StoredRecord | undefined {
  if (!isObject(value) || !Array.isArray(value['kinds'])) return undefined;
  const { server, observing, sinceMs, lost, forgotten } = value;
  if (typeof server !== 'string' || typeof observing !== 'boolean') return undefined;
  if (!isCount(sinceMs) || !isCount(lost) || !isCount(forgotten)) return undefined;
  const kinds = (value['kinds'] as unknown[]).map(kindIn);
  if (!kinds.every((each) => each !== undefined)) return undefined;
  return { server, observing, sinceMs, lost, forgotten, kinds };
}

function kindIn(row: unknown): SeenFlows | undefined {
  if (!Array.isArray(row) || !row.every(isCount)) return undefined;
  const [way = -1, number = -1, peer = Infinity, port = Infinity, count = 0, lastMs = 0] = row;
  const [direction, protocol] = [directions[way], protocols[number]];
  if (direction === undefined || protocol === undefined) return undefined;
  if (peer > 0xffffffff || port > 0xffff || count === 0) return undefined;
  return { direction, protocol, peer, port, count, lastMs };
}

/** Safe in sums, and in a date. */
function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= 8.64e15;
}
