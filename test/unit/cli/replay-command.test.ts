/** `tunwall replay` as it is typed: what it prints, what it refuses, and when it shows its progress. */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { replayFile } from '../../../src/interop/captures/replay-file.ts';
import { createOutput } from '../../../src/cli/output.ts';
import { runProgram } from '../../../src/cli/program.ts';
import { replayCommand } from '../../../src/cli/replay-command.ts';
import { ScratchDirectory, pcapFile } from '../../support/captures.ts';
import { at, client, config, fromClient, handshake, server } from '../../support/replay-fixture.ts';

let scratch: ScratchDirectory;
beforeAll(() => {
  scratch = new ScratchDirectory();
});
afterAll(() => scratch.remove());

describe('the command', () => {
  let drawn: string[] = [];
  async function run(
    args: readonly string[],
    problems: Parameters<typeof replayCommand>[0]['readConfig'] = () =>
      Promise.resolve({ ...config, problems: [] }),
  ): Promise<{ code: number; out: string; err: string }> {
    let out = '';
    let err = '';
    drawn = [];
    const stderr = { write: (text: string) => (err += text) };
    const output = createOutput({ write: (text: string) => (out += text) }, stderr, {});
    const verb = replayCommand({
      readConfig: problems,
      replay: replayFile,
      version: '1.2.3',
      progress: (label) => ({
        update: (done, total) => drawn.push(`${label} ${done}/${total}`),
        finish: () => drawn.push('finished'),
      }),
    });
    const code = await runProgram(['replay', ...args], { version: '1.2.3', output, verbs: [verb] });
    return { code, out, err };
  }
  const capture = pcapFile([...handshake, at(3, fromClient('S', 1, 0, 8080))]);

  it('prints a summary, and lines if asked', async () => {
    const file = scratch.file('command.pcap', capture);
    const { code, out, err } = await run([file, '-v']);
    expect([code, err]).toEqual([0, '']);
    expect(out).toContain(
      `2023-11-14T22:13:20.000000Z inbound tcp ${client}:4000 > ${server}:80 S 40 pass (new flow by web inbound[0])\n`,
    );
    expect(out).toContain(
      `inbound tcp ${client}:4000 > ${server}:8080 S 40 drop no-inbound-rule\n`,
    );
    expect(out).toContain(`${file}: pcap, 4 packets, 160 bytes, 2023-11-14T22:13:20.000000Z to`);
    expect(out).toContain('4 judged: 3 passed, 1 dropped\n');
    expect(out).toMatch(/^no-inbound-rule +1$/m);
    expect(out).toContain('flows: 1 opened, 1 open at the end, none evicted\n');
    expect((await run([file])).out).not.toContain('> ');
  });

  it('prints JSON: one object, or one a line', async () => {
    const file = scratch.file('command.pcap', capture);
    const summary = JSON.parse((await run([file, '--json', '--limit', '3'])).out) as object;
    expect(summary).toMatchObject({ file, packets: 3, passed: 3, durationSeconds: 0.002 });
    const lines = (await run([file, '--json', '-v'])).out.trimEnd().split('\n');
    const objects = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(objects).toHaveLength(5);
    expect(objects[3]).toMatchObject({ packet: 4, verdict: 'drop', reason: 'no-inbound-rule' });
    expect(objects[4]!['summary']).toMatchObject({ packets: 4, drops: { 'no-inbound-rule': 1 } });
  });

  it('shows how far it is, unless lines of packets are printed', async () => {
    const file = scratch.file('command.pcap', capture);
    await run([file]);
    expect(drawn.slice(-2)).toEqual([`replay ${capture.length}/${capture.length}`, 'finished']);
    await run([file, '-v']);
    expect(drawn).toEqual([]);
    await run([scratch.file('half.pcap', capture.subarray(0, -1))]);
    expect(drawn.at(-1)).toBe('finished');
  });

  it('of a damaged file tells what came before, then the error', async () => {
    const { code, out, err } = await run([scratch.file('half.pcap', capture.subarray(0, -1))]);
    expect(code).toBe(1);
    expect(out).toContain('3 judged: 3 passed, 0 dropped');
    expect(err).toMatch(
      /^tunwall: .*half\.pcap: byte 192: the file ends in the middle of a record/,
    );
    expect(err).not.toContain('    at ');
  });

  it('says what is wrong: the file, the number, the configuration, the output', async () => {
    const file = scratch.file('command.pcap', capture);
    const refused = async (
      args: string[],
      ...rest: [Parameters<typeof run>[1]?]
    ): Promise<string> => {
      const { code, err } = await run(args, ...rest);
      expect(err).not.toContain('    at ');
      return `${code} ${err}`;
    };
    expect(await refused([join(scratch.path, 'none')])).toMatch(/^1 .*it does not exist/);
    expect(await refused([file, '--limit', '0'])).toMatch(/^2 .*Expected a number from 1 up/);
    expect(await refused([])).toMatch(/^2 .*missing required argument/);
    expect(await refused([file, '--write', file])).toMatch(/^1 .*this is the file that is read/);
    expect(await refused([file, '--write', '/nowhere/x'])).toMatch(
      /^1 .*\/nowhere\/x: cannot be written/,
    );
    expect(await refused([file, '--write', '/dev/full'])).toMatch(
      /^1 .*\/dev\/full: cannot be written/,
    );
    const problem = {
      severity: 'error' as const,
      file: 'web.yaml',
      line: 1,
      column: 2,
      path: 'x',
      message: 'no',
    };
    const broken = (): ReturnType<Parameters<typeof replayCommand>[0]['readConfig']> =>
      Promise.resolve({ ...config, problems: [problem] });
    expect(await refused([file], broken)).toMatch(/^1 .*has errors:\nweb\.yaml:1:2: x: no\n/);
  });
});
