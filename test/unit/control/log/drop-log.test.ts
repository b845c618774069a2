/** From drop records to log lines: each kind once, then counted; never more lines than allowed; every drop is logged or counted. */
import { describe, expect, it } from 'vitest';
import { EventWord } from '../../../../src/dataplane/engine/event-ring.ts';
import { DropLog, describeDrop } from '../../../../src/control/log/drop-log.ts';
import type { DropRecord } from '../../../../src/control/log/drop-log.ts';
import { DropReason } from '../../../../src/dataplane/wire/drop-reason.ts';
import { addressToInt } from '../../../../src/testing/packets.ts';

interface Fields {
  reason?: number;
  from?: string;
  to?: string;
  srcPort?: number;
  dstPort?: number;
  protocol?: number;
}

function record(fields: Fields = {}): Int32Array {
  const words = new Int32Array(16);
  words[EventWord.reason] = fields.reason ?? DropReason.noInboundRule;
  words[EventWord.srcAddr] = addressToInt(fields.from ?? '198.51.100.2');
  words[EventWord.dstAddr] = addressToInt(fields.to ?? '10.0.0.2');
  words[EventWord.ports] = ((fields.srcPort ?? 40_000) << 16) | (fields.dstPort ?? 22);
  words[EventWord.protocol] = fields.protocol ?? 6;
  words[EventWord.length] = 60;
  words[EventWord.direction] = 1;
  return words;
}

function fixture(linesPerSecond = 10): {
  log: DropLog;
  lines: [DropRecord, number][];
  suppressed: number[];
  pass: (ms: number) => void;
} {
  let nowMs = 1000;
  const lines: [DropRecord, number][] = [];
  const suppressed: number[] = [];
  const log = new DropLog({
    linesPerSecond,
    now: () => nowMs,
    onDrop: (drop, repeats) => lines.push([drop, repeats]),
    onSuppressed: (count) => suppressed.push(count),
  });
  return { log, lines, suppressed, pass: (ms) => (nowMs += ms) };
}

describe('a drop', () => {
  it('reads like an operator would say it', () => {
    expect(describeDrop(record())).toEqual({
      reason: 'no-inbound-rule',
      direction: 'inbound',
      protocol: 'tcp',
      from: '198.51.100.2:40000',
      to: '10.0.0.2:22',
      bytes: 60,
    });
    const icmp = describeDrop(record({ protocol: 1, reason: DropReason.icmpError }));
    expect(icmp).toMatchObject({ protocol: 'icmp', from: '198.51.100.2', to: '10.0.0.2' });
    expect(describeDrop(record({ protocol: 132 })).protocol).toBe('132');
  });

  it('is reported at once; the same again is counted and summed up after ten seconds', () => {
    const { log, lines, pass } = fixture();
    log.add(record());
    for (let again = 0; again < 5; again++) log.add(record({ srcPort: 40_001 + again }));
    log.tick();
    expect(lines.map(([, repeats]) => repeats)).toEqual([0]);
    pass(10_001);
    log.tick();
    expect(lines.map(([, repeats]) => repeats)).toEqual([0, 5]);
    log.add(record());
    expect(lines.map(([, repeats]) => repeats)).toEqual([0, 5, 0]);
  });

  it('what came again meanwhile is summed up at the end, too', () => {
    const { log, lines, suppressed } = fixture(2);
    for (let times = 0; times < 4; times++) log.add(record());
    for (let times = 0; times < 3; times++) log.add(record({ dstPort: 23 }));
    log.close();
    // Two lines are all that is allowed here.
    expect(lines.map(([, repeats]) => repeats)).toEqual([0, 0]);
    expect(suppressed).toEqual([3 + 2]);

    const talkative = fixture();
    for (let times = 0; times < 4; times++) talkative.log.add(record());
    talkative.log.close();
    expect(talkative.lines.map(([, repeats]) => repeats)).toEqual([0, 3]);
    expect(talkative.suppressed).toEqual([]);
  });

  it.each<[string, Fields]>([
    ['reason', { reason: DropReason.outOfWindow }],
    ['source', { from: '198.51.100.3' }],
    ['destination', { to: '10.0.0.3' }],
    ['destination port', { dstPort: 23 }],
    ['protocol', { protocol: 17 }],
  ])('of another %s is another kind', (_what, fields) => {
    const { log, lines } = fixture();
    log.add(record());
    log.add(record(fields));
    expect(lines).toHaveLength(2);
  });
});

describe('a flood of kinds', () => {
  it('writes no more lines than allowed, and says how many it did not', () => {
    const { log, lines, suppressed, pass } = fixture(10);
    for (let second = 0; second < 10; second++) {
      for (let port = 1; port <= 1000; port++) log.add(record({ dstPort: second * 1000 + port }));
      pass(1000);
      log.tick();
    }
    expect(lines).toHaveLength(100);
    log.close();
    expect(suppressed.reduce((sum, count) => sum + count, 0)).toBe(10_000 - 100);
  });

  it('may be silenced, and what the ring has lost is reported as well', () => {
    const { log, lines, suppressed, pass } = fixture(0);
    log.add(record());
    log.addMissed(41);
    pass(10_000);
    log.tick();
    expect(lines).toEqual([]);
    expect(suppressed).toEqual([42]);
  });
});
