/** Memory that the next process finds as the last one left it; or it says why not. */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { pageAligned } from '../../../../src/dataplane/flow/flow-memory.ts';
import { keepMemory } from '../../../../src/dataplane/worker/kept-memory.ts';

let directory: string;
let path: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tunwall-kept-'));
  path = join(directory, 'charts-fw0-1');
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

/** A process that writes a number, and what it found. */
function live(number: number, device = 'fw0', format = 'numbers 1') {
  const memory = pageAligned(10_000);
  const { refused, close } = keepMemory(path, format, device, memory);
  const numbers = new Float64Array(memory, 0, 1250);
  const found = [numbers[0], numbers[1249]];
  numbers.fill(number);
  close();
  return { found, refused };
}

describe('memory of the process before', () => {
  it('goes on', () => {
    expect(live(1)).toEqual({ found: [0, 0], refused: undefined });
    expect(live(2)).toEqual({ found: [1, 1], refused: undefined });
    expect(live(3)).toEqual({ found: [2, 2], refused: undefined });
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  it('of another device or kind is refused, and this one begins with nothing', () => {
    live(1);
    expect(live(2, 'fw1')).toEqual({ found: [0, 0], refused: `${path}: it is of the device fw0` });
    expect(live(3, 'fw1')).toMatchObject({ found: [2, 2] });
    const other = live(4, 'fw1', 'numbers 2');
    expect(other).toEqual({ found: [0, 0], refused: `${path}: its header is damaged` });
  });

  it('with a damaged header is refused', () => {
    for (const at of [0, 20, 100]) {
      live(1);
      const bytes = readFileSync(path);
      bytes[at]! ^= 4;
      writeFileSync(path, bytes);
      expect(live(2).found, String(at)).toEqual([0, 0]);
    }
  });

  it('that was cut off goes on as far as it is there', () => {
    live(1);
    writeFileSync(path, readFileSync(path).subarray(0, 4096 + 4000));
    expect(live(2).found).toEqual([1, 0]);
  });

  it('that another process has is left alone', () => {
    const { close } = keepMemory(path, 'numbers 1', 'fw0', pageAligned(10_000));
    expect(() => live(1)).toThrow(/charts-fw0-1 is in use by another firewall/);
    close();
    expect(live(2).found).toEqual([0, 0]);
  });
});
