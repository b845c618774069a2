/** Lines of the flow log, its file, and what becomes of flows when the file cannot be written. */
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
} from 'node:fs';
import { appendFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { endReason, flowLine } from '../../../../src/control/log/flow-line.ts';
import { FlowLog } from '../../../../src/control/log/flow-log.ts';
import type { FlowLogOptions, LoggedRule } from '../../../../src/control/log/flow-log.ts';
import { RotatingFile } from '../../../../src/control/log/rotating-file.ts';
import {
  FlowEvent,
  FlowEventReader,
  FlowEventWriter,
  createFlowEvents,
} from '../../../../src/dataplane/flow/flow-events.ts';
import {
  Cold,
  Direction,
  FlowState,
  Hot,
  StateBits,
  coldWords,
  hotWords,
} from '../../../../src/dataplane/flow/flow-record.ts';
import { icmpKind } from '../../../../src/dataplane/flow/icmp-query.ts';
import { addressToInt } from '../../../../src/testing/packets.ts';

const client = addressToInt('198.51.100.2');
const web = addressToInt('10.0.0.2');

/** A TCP connection from the client to a server in slot 3, of 2.5 s. */
function records(state: number = FlowState.established, kind = 6) {
  const hot = new Int32Array(hotWords);
  const cold = new Int32Array(coldWords);
  hot[Hot.originalAddr] = client;
  hot[Hot.replyAddr] = web;
  hot[Hot.ports] = (40_000 << 16) | 443;
  hot[Hot.kind] = kind;
  hot[Hot.epoch] = 7;
  hot[Hot.state] = StateBits.inUse | state | (Direction.inbound << StateBits.directionShift);
  hot[Hot.lastRefresh] = 3500;
  cold[Cold.created] = 1000;
  cold.set([10, 20, 3000, -1], Cold.packets);
  cold[Cold.bytesHigh] = 2 << 16;
  cold[Cold.servers] = 3;
  cold[Cold.inboundRule] = 5;
  return { hot, cold, record: 0, coldRecord: 0 };
}

const parts = {
  serverName: (slot: number) => (slot === 3 ? 'web-1' : undefined),
  wallClockOf: (thenMs: number) => Date.UTC(2026, 0, 1) + thenMs,
};
const named = { template: 'web', direction: 'inbound', index: 2 } as const;
const rule: LoggedRule = { ...named, log: true };

describe('a line', () => {
  const told = (event: number, flow = records()): unknown => {
    const line = flowLine(event, 9000, flow, [named], parts);
    expect(line.endsWith('}\n')).toBe(true);
    return JSON.parse(line);
  };

  it('of a flow that has ended', () => {
    expect(told(FlowEvent.timeout)).toEqual({
      time: '2026-01-01T00:00:09.000Z',
      event: 'end',
      reason: 'timeout',
      direction: 'inbound',
      protocol: 'tcp',
      source: '198.51.100.2',
      destination: '10.0.0.2',
      sourcePort: 40_000,
      destinationPort: 443,
      destinationServer: 'web-1',
      rules: [{ template: 'web', direction: 'inbound', index: 2 }],
      original: { packets: 10, bytes: 3000 },
      reply: { packets: 20, bytes: 2 * 2 ** 32 + 0xffffffff },
      start: '2026-01-01T00:00:01.000Z',
      durationSeconds: 2.5,
      state: 'established',
    });
  });

  it('of one that begins, and of ICMP', () => {
    const flow = records(FlowState.icmpUnanswered, icmpKind(8, client, web, 0));
    flow.hot[Hot.ports] = (77 << 16) | 77;
    expect(told(FlowEvent.start, flow)).toEqual({
      time: '2026-01-01T00:00:09.000Z',
      event: 'start',
      direction: 'inbound',
      protocol: 'icmp',
      source: '198.51.100.2',
      destination: '10.0.0.2',
      icmpType: 8,
      icmpId: 77,
      destinationServer: 'web-1',
      rules: [named],
    });
  });

  it.each([
    [FlowEvent.timeout, FlowState.established, 'timeout'],
    [FlowEvent.timeout, FlowState.timeWait, 'closed'],
    [FlowEvent.timeout, FlowState.close, 'reset'],
    [FlowEvent.evicted, FlowState.synSent, 'evicted'],
    [FlowEvent.evicted, FlowState.timeWait, 'closed'],
    [FlowEvent.closed, FlowState.timeWait, 'closed'],
    [FlowEvent.closed, FlowState.close, 'reset'],
    [FlowEvent.reset, FlowState.synSent, 'reset'],
    [FlowEvent.cut, FlowState.timeWait, 'policy-change'],
    [FlowEvent.killed, FlowState.established, 'killed'],
    [FlowEvent.shutdown, FlowState.established, 'shutdown'],
    [FlowEvent.shutdown, FlowState.close, 'reset'],
  ])('reason of event %i in state %i: %s', (event, state, reason) => {
    expect(endReason(event, StateBits.inUse | StateBits.seenReply | state)).toBe(reason);
  });
});

describe('the log', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'tunwall-flow-log-'));
  });
  afterEach(() => {
    chmodSync(directory, 0o700);
    rmSync(directory, { recursive: true });
  });

  const path = (): string => join(directory, 'flows.log');
  const linesOf = (name: string): { source: string; sourcePort: number }[] =>
    readFileSync(join(directory, name), 'utf8')
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as { source: string; sourcePort: number });

  class Subject {
    readonly writer: FlowEventWriter;
    readonly log: FlowLog;
    readonly troubles: (string | undefined)[] = [];
    nowMs = 0;

    constructor(options: Partial<FlowLogOptions> = {}, maxSize = 1 << 20, keep = 2) {
      const ring = createFlowEvents(64);
      this.writer = new FlowEventWriter(ring);
      this.log = new FlowLog({
        ...parts,
        events: new FlowEventReader(ring),
        file: new RotatingFile({ path: path(), maxSize, keep }),
        ofRules: false,
        ruleOf: (index) => (index === 4 ? rule : undefined),
        now: () => this.nowMs,
        onTrouble: (error) => this.troubles.push(error?.message),
        ...options,
      });
    }

    end(port: number, ruleWord = 5): void {
      const { hot, cold } = records();
      hot[Hot.ports] = (port << 16) | 443;
      cold[Cold.inboundRule] = ruleWord;
      this.writer.write(FlowEvent.timeout, hot, cold, 0, 9000);
    }
  }

  it('has a line for each flow, in order, and for those that are left at the end', async () => {
    const subject = new Subject();
    for (let port = 1; port <= 60; port++) subject.end(port);
    subject.log.take();
    subject.log.take();
    await expect.poll(() => subject.log.lines, { timeout: 60_000 }).toBe(60);
    subject.end(61);
    await subject.log.close([{ ...records(), event: FlowEvent.shutdown }], 9500);
    const ports = Array.from({ length: 61 }, (_, at) => at + 1);
    expect(linesOf('flows.log').map(({ sourcePort }) => sourcePort)).toEqual([...ports, 40_000]);
    expect(subject.log).toMatchObject({ lines: 62, lost: 0 });
    expect(statSync(path()).mode & 0o777).toBe(0o640);
  });

  it('of rules only: flows that one with log has admitted', async () => {
    const subject = new Subject({ ofRules: true });
    subject.end(1, 4);
    subject.end(2, 5);
    subject.end(3, 0);
    await subject.log.close([], 0);
    expect(linesOf('flows.log').map(({ sourcePort }) => sourcePort)).toEqual([2]);
    expect(subject.log.lost).toBe(0);
  });

  it('begins a new file when one is full, and keeps so many', async () => {
    const line = flowLine(FlowEvent.timeout, 9000, records(), [named], parts).length;
    const subject = new Subject({}, line * 10);
    for (let turn = 0; turn < 5; turn++) {
      for (let i = 0; i < 8; i++) subject.end(10_000 + turn);
      subject.log.take();
      await expect.poll(() => subject.log.lines, { timeout: 60_000 }).toBe((turn + 1) * 8);
    }
    await subject.log.close([], 0);
    expect(readdirSync(directory).sort()).toEqual(['flows.log', 'flows.log.1', 'flows.log.2']);
    const turns = ['flows.log.2', 'flows.log.1', 'flows.log'].map((name) =>
      linesOf(name).map(({ sourcePort }) => sourcePort - 10_000),
    );
    expect(turns).toEqual([2, 3, 4].map((turn) => new Array<number>(8).fill(turn)));
    expect(subject.log.lost).toBe(0);
  });

  it('waits for its file, in the ring, and counts what finds no room', async () => {
    const missing = join(directory, 'later');
    const file = new RotatingFile({ path: join(missing, 'flows.log'), maxSize: 1e6, keep: 1 });
    const subject = new Subject({ file });
    for (let port = 1; port <= 70; port++) subject.end(port);
    subject.log.take();
    await expect.poll(() => subject.troubles.length, { timeout: 60_000 }).toBe(1);
    expect(subject.troubles[0]).toContain('ENOENT');
    expect(subject.log).toMatchObject({ lines: 0, lost: 6 });
    mkdirSync(missing);
    // Not at once again.
    subject.log.take();
    subject.nowMs = 5000;
    subject.log.take();
    await expect.poll(() => subject.log.lines, { timeout: 60_000 }).toBe(64);
    expect(subject.troubles.slice(1)).toEqual([undefined]);
    await subject.log.close([], 0);
    expect(linesOf('later/flows.log').map(({ sourcePort }) => sourcePort)).toEqual(
      Array.from({ length: 64 }, (_, at) => at + 1),
    );
  });

  it('counts lines that could not be written', async () => {
    let fails = true;
    let text = '';
    const file = {
      open: () => Promise.resolve(),
      append: (lines: string) => {
        if (fails) return Promise.reject(new Error('ENOSPC: no space left on device'));
        text += lines;
        return Promise.resolve();
      },
      close: () => Promise.resolve(),
    };
    const subject = new Subject({ file });
    subject.end(1);
    subject.log.take();
    await expect.poll(() => subject.log.lost, { timeout: 60_000 }).toBe(1);
    fails = false;
    subject.end(2);
    await subject.log.close([], 0);
    expect(subject.log).toMatchObject({ lines: 1, lost: 1 });
    expect(text).toContain('"sourcePort":2');
    expect(subject.troubles).toEqual(['ENOSPC: no space left on device', undefined]);
  });

  it('ends a line that a write has left half done, and follows no link', async () => {
    writeFileSync(path(), '{"time":');
    const subject = new Subject();
    subject.end(1);
    await subject.log.close([], 0);
    const [half, whole] = readFileSync(path(), 'utf8').split('\n');
    expect(half).toBe('{"time":');
    expect(JSON.parse(whole!)).toMatchObject({ sourcePort: 1 });

    rmSync(path());
    const secret = join(directory, 'secret');
    appendFileSync(secret, 'mine\n');
    symlinkSync(secret, path());
    const other = new Subject();
    other.end(2);
    await other.log.close([], 0);
    expect(readFileSync(secret, 'utf8')).toBe('mine\n');
    expect(other.troubles[0]).toContain('link');
  });
});
