/** The file in which flows outlive the process: written by one, read by the next, and refused if it is not this device's own. */
import { createHash } from 'node:crypto';
import {
  closeSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createFlowMemory } from '../../../../src/dataplane/flow/flow-memory.ts';
import type { FlowMemory } from '../../../../src/dataplane/flow/flow-memory.ts';
import { Hot, StateBits, coldWords, hotWords } from '../../../../src/dataplane/flow/flow-record.ts';
import { ServerTotal, serverTotalsLength } from '../../../../src/dataplane/flow/server-totals.ts';
import { FlowFile, FlowFileUnavailable } from '../../../../src/dataplane/worker/flow-file.ts';
import { removeLeftFile } from '../../../../src/dataplane/worker/left-file.ts';
import type { Remains } from '../../../../src/dataplane/worker/flow-file.ts';
import { loadAddon } from '../../../../src/system/addon.ts';

const device = 'fw0';
const policy = { digest: 'abc', epoch: 7, mode: 2, drainUntilMs: -5 };
let directory: string;
let path: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tunwall-flows-'));
  path = join(directory, 'flows-fw0-1');
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

const capacity = 2000;
const newMemory = (): FlowMemory => createFlowMemory(capacity, [1, 2]);

/** A process that starts, writes a record, and ends without a word. */
async function live(flow = 5): Promise<FlowMemory> {
  const file = FlowFile.create(path, device);
  const memory = newMemory();
  file.map(memory);
  await file.readBefore();
  file.setPolicy(policy);
  file.publish();
  new Int32Array(memory.hot)[flow * hotWords + Hot.state] = StateBits.inUse | 3;
  new Int32Array(memory.cold)[flow * coldWords + 2] = 77;
  file.close();
  return memory;
}

/** What the next process finds. */
async function look(): Promise<{ remains?: Remains; refusal?: string }> {
  const file = FlowFile.create(path, device);
  try {
    const found = await file.readBefore();
    if (typeof found === 'string') return { refusal: found };
    return found === undefined ? {} : { remains: found };
  } finally {
    file.close();
  }
}

describe('the next process', () => {
  it('finds nothing at first, and says nothing of it', async () => {
    expect(await look()).toEqual({});
  });

  it('finds the records that were used, and the policy', async () => {
    await live(1234);
    const { remains } = await look();
    expect(remains!.policy).toEqual(policy);
    expect(remains!.records.hot).toHaveLength(1235 * hotWords);
    expect(remains!.records.hot[1234 * hotWords + Hot.state]).toBe(StateBits.inUse | 3);
    expect(remains!.records.cold[1234 * coldWords + 2]).toBe(77);
  });

  it('finds totals of servers sealed, by a process that ended by itself and by no other', async () => {
    const file = FlowFile.create(path, device);
    const memory = newMemory();
    file.map(memory);
    file.mapTotals(memory.serverTotals, 2);
    file.publish();
    const sumOfFirst = (totals: SharedArrayBuffer): number =>
      new Float64Array(totals, serverTotalsLength(1))[ServerTotal.sum]!;
    expect(sumOfFirst(memory.serverTotals)).toBe(0);
    file.close();
    const { totals } = (await look()).remains!;
    expect(sumOfFirst(totals)).not.toBe(0);
  });

  it('that dies before it has taken the flows loses nothing', async () => {
    await live();
    const file = FlowFile.create(path, device);
    file.map(newMemory());
    await file.readBefore();
    file.close();
    expect((await look()).remains!.records.hot).toHaveLength(6 * hotWords);
  });

  it('keeps one file', async () => {
    await live();
    await live();
    expect(readdirSync(directory)).toEqual(['flows-fw0-1']);
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  it('does not find what a process that keeps no flows has removed', async () => {
    await live();
    removeLeftFile(path);
    removeLeftFile(path);
    expect(readdirSync(directory)).toEqual([]);
  });
});

/** Signs the header again, as a firewall of another kind would have written it. */
function rewrite(change: (header: Record<string, unknown>) => void): void {
  const bytes = readFileSync(path);
  const [format, json] = bytes.toString('latin1', 0, 4096).split('\n') as [string, string];
  const header = JSON.parse(json) as Record<string, unknown>;
  change(header);
  const text = JSON.stringify(header);
  const digest = createHash('sha256').update(text).digest('hex');
  bytes.fill(0, 0, 4096);
  bytes.write(`${format}\n${text}\n${digest}\n`);
  writeFileSync(path, bytes);
}

/** Keys of an object, and of those in it. */
function placesOf(value: object, before: readonly string[] = []): string[][] {
  return Object.entries(value as Record<string, unknown>).flatMap(([key, each]): string[][] => {
    const place = [...before, key];
    return typeof each === 'object' && each !== null ? [place, ...placesOf(each, place)] : [place];
  });
}

function put(
  whole: Record<string, unknown>,
  [key, ...rest]: readonly string[],
  value: unknown,
): void {
  if (rest.length === 0) whole[key!] = value;
  else put(whole[key!] as Record<string, unknown>, rest, value);
}

describe('a file that is not used, with a reason', () => {
  it.each<[string, (header: Record<string, unknown>) => void, RegExp]>([
    ['another boot', (header) => (header['boot'] = 'x'), /of another boot/],
    ['another device', (header) => (header['device'] = 'fw1'), /of the device fw1/],
    ['another namespace', (header) => (header['namespace'] = 'x'), /another network namespace/],
    ['another user', (header) => (header['user'] = 4711), /of user 4711/],
    [
      'an unknown layout',
      (header) => Object.assign(header['layout'] as object, { id: 9, readableFrom: 9 }),
      /cannot read its record layout, 9/,
    ],
    ['21 days ago', (header) => (header['writtenMs'] = -1e12), /20 days old/],
    ['no layout', (header) => delete header['layout'], /cannot be read/],
    ['an impossible size', (header) => (header['capacity'] = 1e15), /cannot be read/],
  ])('%s', async (_what, change, reason) => {
    await live();
    rewrite(change);
    const { remains, refusal } = await look();
    expect(refusal).toMatch(reason);
    expect(refusal).toContain(path);
    expect(remains).toBeUndefined();
  });

  it('a header with any byte changed, or none', async () => {
    await live();
    const whole = readFileSync(path);
    const end = whole.indexOf(0);
    for (let at = 0; at < end; at += 7) {
      const bytes = Buffer.from(whole);
      bytes[at]! ^= 1 << (at % 8);
      writeFileSync(path, bytes);
      expect((await look()).refusal).toMatch(/header is damaged/);
    }
    writeFileSync(path, '');
    expect((await look()).refusal).toMatch(/header is damaged/);
  });

  it('a signed header that says anything else: refused, or read in part, never more', async () => {
    await live();
    const whole = readFileSync(path);
    const header = JSON.parse(whole.toString('latin1').split('\n')[1]!) as object;
    const hostile: unknown[] = [null, true, -1, 0, 0.5, 1, 4097, 2 ** 31, 2 ** 53, 1e308, '', 'x'];
    hostile.push([], {}, 'x'.repeat(3000), '\u001b[2J', { length: 1e9 });
    for (const key of placesOf(header)) {
      for (const value of hostile) {
        writeFileSync(path, whole);
        rewrite((own) => put(own, key, value));
        const { remains, refusal } = await look();
        if (refusal !== undefined) expect(refusal).toContain(path);
        else {
          expect(remains!.records.hot.length).toBeLessThanOrEqual(whole.length / 4);
          const { digest, ...numbers } = remains!.policy;
          expect([digest, ...Object.values(numbers)].map((each) => typeof each)).toEqual(
            'string number number number'.split(' '),
          );
        }
      }
    }
  });

  it('of one that was cut off anywhere, what is there is read', async () => {
    await live();
    const { size } = statSync(path);
    for (let length = size; length > 4096; length -= 8191) {
      truncateSync(path, length);
      const { remains } = await look();
      expect(remains!.records.hot.length % hotWords).toBe(0);
    }
  });
});

describe('no file can be kept', () => {
  const fails = async (reason: RegExp): Promise<void> => {
    await expect(look()).rejects.toThrow(reason);
    await expect(look()).rejects.toThrow(FlowFileUnavailable);
  };

  it('without its directory', async () => {
    path = join(directory, 'gone', 'flows');
    await fails(/gone does not exist/);
  });

  it('beside a process that has it', async () => {
    await live();
    const fd = openSync(path, 'r');
    loadAddon().lockFile(fd);
    await expect(look()).rejects.toThrow(/in use by another firewall/);
    closeSync(fd);
  });

  it('in place of a link', async () => {
    symlinkSync('/etc/passwd', path);
    await fails(/is a link/);
  });

  it('in place of a file that has two names', async () => {
    await live();
    linkSync(path, `${path}-again`);
    await fails(/second name/);
  });

  it('in place of a directory', async () => {
    mkdirSync(path);
    await fails(/directory/);
  });
});

describe('memory laid into a file', () => {
  const map = (offset: number, bytes: Uint8Array, exact = true): number => {
    const fd = openSync(path, 'w+');
    try {
      return loadAddon().mapFile(fd, offset, bytes, exact);
    } finally {
      closeSync(fd);
    }
  };

  it('begins where it is said, or a little later for the sake of large pages', () => {
    const length = 9 << 20;
    for (const exact of [true, false]) {
      const bytes = new Uint8Array(
        new SharedArrayBuffer(length, { maxByteLength: length }),
        0,
        length,
      );
      const at = map(4096, bytes, exact);
      expect(at % 4096).toBe(0);
      expect(at).toBeGreaterThanOrEqual(4096);
      expect(at).toBeLessThan(exact ? 4097 : 4096 + (2 << 20));
      expect(statSync(path).size).toBe(at + length);
      // Every page, also those between large ones, is the file's.
      for (let page = 0; page < length; page += 4096) bytes[page] = 1 + ((page >> 12) % 251);
      const file = readFileSync(path);
      for (let page = 0; page < length; page += 4096) {
        expect(file[at + page]).toBe(1 + ((page >> 12) % 251));
      }
    }
  });

  it('is refused if it does not lie on pages', () => {
    const growable = (): SharedArrayBuffer => new SharedArrayBuffer(9000, { maxByteLength: 9000 });
    expect(() => map(4096, new Uint8Array(new SharedArrayBuffer(9000)))).toThrow(RangeError);
    expect(() => map(100, new Uint8Array(growable(), 0, 9000))).toThrow(RangeError);
    expect(() => map(0, new Uint8Array(growable(), 4096, 100))).toThrow(RangeError);
    expect(() => map(0, new Int32Array(growable(), 0, 4) as unknown as Uint8Array)).toThrow(
      TypeError,
    );
  });

  it('needs a file that can be written', () => {
    writeFileSync(path, 'x');
    const fd = openSync(path, 'r');
    const bytes = new Uint8Array(new SharedArrayBuffer(4096, { maxByteLength: 4096 }), 0, 4096);
    expect(() => loadAddon().mapFile(fd, 0, bytes, true)).toThrow(/EBADF/);
    closeSync(fd);
  });
});
