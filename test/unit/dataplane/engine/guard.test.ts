/** The guard of the fuzzer catches what it is for: planted mistakes throw, with file and line, and right code does not. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { guard } from '../../../fuzz/guard.ts';
import * as runtime from '../../../fuzz/guard-runtime.ts';
import { loadGuardedBuild } from '../../../fuzz/guarded-build.ts';

const folder = mkdtempSync(join(tmpdir(), 'tunwall-guard-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});
// What the snippets import is this test's instance of the runtime.
Object.assign(globalThis, { guardRuntime: runtime });
const runtimeFile = join(folder, 'runtime.mjs');
writeFileSync(
  runtimeFile,
  'export const { edges, readAt, writeAt, stored, range } = globalThis.guardRuntime;',
);

type Snippet = (array: Uint8Array | Int32Array | number[], at: number) => unknown;
let snippets = 0;

/** Guards `body` as a function of `a` and `i`; it stands in line 2 of snippet.ts. */
async function guarded(body: string): Promise<Snippet> {
  const source = `export function f(a: Uint8Array, i: number): unknown {\n${body}\nreturn a; }`;
  const file = join(folder, `snippet-${snippets++}.mjs`);
  writeFileSync(file, guard(source, 'snippet.ts', pathToFileURL(runtimeFile).href, 0).code);
  const { f } = (await import(/* @vite-ignore */ pathToFileURL(file).href)) as { f: Snippet };
  return f;
}

describe('the guard', () => {
  it.each([
    ['a read', 'return a[i];'],
    ['a write', 'a[i] = 1;'],
    ['a compound assignment', 'a[i]! |= 1;'],
    ['an increment', 'a[i]!++;'],
    ['a read inside of an index', 'return a[a[i]!];'],
    ['a read inside of an assigned value', 'a[0] = a[i]!;'],
    ['a read in a condition', 'if (a[i]! > 0) return 1;'],
    ['a read in an arrow function', 'return [0].map(() => a[i]);'],
  ])('catches an index out of range in %s', async (_what, body) => {
    const f = await guarded(body);
    expect(() => f(new Uint8Array(4), 3)).not.toThrow();
    for (const at of [4, -1, 0.5, NaN]) {
      expect(() => f(new Uint8Array(4), at)).toThrow(
        new runtime.GuardError(`snippet.ts:2: index ${at} of Uint8Array(4)`),
      );
    }
    expect(() => f([1, 2, 3], 3)).toThrow('snippet.ts:2: index 3 of Array(3)');
  });

  it.each([
    ['a[0] = i;', NaN],
    ['a[0]! += i;', NaN],
    ['a[0] = undefined as unknown as number;', 0],
    ['a.fill(i);', NaN],
  ])('catches what is no number where it is stored: %s', async (body, value) => {
    const f = await guarded(body);
    expect(() => f(new Int32Array(2), value)).toThrow(/^snippet\.ts:2: .+ stored in Int32Array$/);
  });

  it.each([
    ['a.fill(0, i - 1, i);', 'fill 4 to 5 of 4'],
    ['a.set([1, 2], i - 2);', 'set 3 to 5 of 4'],
    ['a.subarray(i);', 'subarray 5 to 4 of 4'],
    ['a.slice(1, i);', 'slice 1 to 5 of 4'],
    ['a.slice(-i);', 'slice -5 to 4 of 4'],
  ])('catches ranges that the language would clamp: %s', async (body, message) => {
    const f = await guarded(body);
    expect(() => f(new Uint8Array(4), 5)).toThrow(`snippet.ts:2: ${message}`);
  });

  it('catches reads behind a packet, and writes into one, where the memory goes on', async () => {
    const batch = new Uint8Array(16);
    const shadow = new Uint8Array(16);
    shadow.fill(runtime.Shadow.readable, 0, 8);
    shadow.fill(runtime.Shadow.writable, 12);
    runtime.watchArena(batch.buffer, shadow);
    try {
      const read = await guarded('return a[i];');
      const write = await guarded('a[i] = 1;');
      expect(() => read(batch, 7)).not.toThrow();
      expect(() => read(batch, 8)).toThrow('snippet.ts:2: read outside of a packet (byte 8');
      expect(() => read(new Uint16Array(batch.buffer) as never, 4)).toThrow('read outside');
      expect(() => write(batch, 12)).not.toThrow();
      expect(() => write(batch, 7)).toThrow('snippet.ts:2: write into a packet (byte 7');
    } finally {
      runtime.watchArena(undefined, new Uint8Array());
    }
  });

  it('counts edges: which way, how often', async () => {
    const f = await guarded(
      'for (let k = 0; k < i; k++) { if (k === 1 && a.length > 1) a[0]! += k > 5 ? 1 : 2; }',
    );
    runtime.edges.fill(0);
    f(new Uint8Array(4), 3);
    // Function, loop, if and else, right-hand side of &&, one arm of the conditional; not the other.
    expect([...runtime.edges.filter((count) => count > 0)].sort()).toEqual([1, 1, 1, 1, 2, 3]);
  });

  it.each([
    ['[a[0]] = [i];', 'an assignment to a pattern'],
    ['return f(a, i)[0];', 'give the array a name'],
    ['a.copyWithin(0, 1, 2);', 'copyWithin is not guarded'],
    ['return a?.[i];', 'a?.[i] cannot be guarded'],
  ])('refuses what it cannot guard: %s', (body, message) => {
    const source = `function f(a, i) {\n${body}\n}`;
    expect(() => guard(source, 'snippet.ts', 'runtime.js', 0)).toThrow(`snippet.ts:2: ${message}`);
  });

  it('guards the whole data plane', async () => {
    const { edgeCount, engine, matcher } = await loadGuardedBuild();
    expect(edgeCount).toBeGreaterThan(500);
    expect(edgeCount).toBeLessThan(runtime.edges.length);
    expect(engine.Engine.toString()).toContain(
      '$writeAt(verdicts, slot, "src/dataplane/engine/engine.ts:',
    );
    expect(matcher.Matcher.toString()).toContain('$readAt(words, ');
  });
});
