/** The tables of src/dataplane/flow say what they claim: cell by cell, and sibling tables agree. */
import { describe, expect, it } from 'vitest';
import {
  EvictionClass,
  FlowList,
  evictionClassOfList,
  flowListCount,
  flowListProtocols,
  listOfState,
  timeoutOfList,
} from '../../../../src/dataplane/flow/flow-lists.ts';
import {
  FlowState,
  flowStateCount,
  flowStateNames,
  flowStateProtocols,
} from '../../../../src/dataplane/flow/flow-record.ts';
import {
  SegmentClass,
  classifySegment,
  nextTcpState,
  tcpIgnore,
  tcpInvalid,
  tcpStateCount,
} from '../../../../src/dataplane/flow/tcp-state.ts';
import {
  TimeoutList,
  defaultTimeoutSeconds,
  timeoutListCount,
} from '../../../../src/dataplane/flow/timeouts.ts';
import { tcpFlags } from '../../../../src/testing/packets.ts';

// The table of the project's conntrack facts, retyped from the kernel's documentation of itself.
const columns = 'NO SS SR ES FW CW LA TW CL S2';
const oracle = {
  original: {
    syn: 'SS SS IG IG IG IG IG SS SS S2',
    synAck: 'IV IV SR IV IV IV IV IV IV SR',
    fin: 'IV IV FW FW LA LA LA TW CL IV',
    ack: 'ES IV ES ES CW CW TW TW CL IV',
    rst: 'IV CL CL CL CL CL CL CL CL CL',
    none: 'IV IV IV IV IV IV IV IV IV IV',
  },
  reply: {
    syn: 'IV S2 IV IV IV IV IV SS IV S2',
    synAck: 'IV SR IG IG IG IG IG IG IG SR',
    fin: 'IV IV FW FW LA LA LA TW CL IV',
    ack: 'IV IG SR ES CW CW TW TW CL IG',
    rst: 'IV CL CL CL CL CL CL CL CL CL',
    none: 'IV IV IV IV IV IV IV IV IV IV',
  },
} as const;
const codes: Record<string, number> = { IV: tcpInvalid, IG: tcpIgnore };
columns.split(' ').forEach((name, code) => (codes[name] = code));

describe('TCP state table', () => {
  for (const [d, direction] of (['original', 'reply'] as const).entries()) {
    for (const [row, cells] of Object.entries(oracle[direction])) {
      it(`${direction} ${row}: ${cells}`, () => {
        const segment = SegmentClass[row as keyof typeof SegmentClass];
        const actual = Array.from({ length: tcpStateCount }, (_, state) =>
          nextTcpState(d, segment, state),
        );
        expect(actual).toEqual(cells.split(' ').map((cell) => codes[cell]));
      });
    }
  }

  it.each([
    ['S', 'syn'],
    ['SA', 'synAck'],
    ['SR', 'rst'],
    ['FA', 'fin'],
    ['FR', 'rst'],
    ['A', 'ack'],
    ['PA', 'ack'],
    ['RA', 'rst'],
    ['U', 'none'],
    ['', 'none'],
  ] as const)('a segment with flags "%s" is %s', (letters, name) => {
    expect(classifySegment(tcpFlags(letters))).toBe(SegmentClass[name]);
  });
});

describe('sibling tables', () => {
  it('flow lists: names, timeouts and classes', () => {
    expect(Object.values(FlowList)).toEqual(Array.from({ length: flowListCount }, (_, i) => i));
    expect(timeoutOfList).toHaveLength(flowListCount);
    expect(evictionClassOfList).toHaveLength(flowListCount);
    expect(flowListProtocols).toHaveLength(flowListCount);
    expect(listOfState).toHaveLength(flowStateCount);
    expect(new Set(evictionClassOfList)).toEqual(new Set(Object.values(EvictionClass)));
    for (const timeout of timeoutOfList) expect(timeout).toBeLessThan(timeoutListCount);
  });

  it('timeouts: every list has a default', () => {
    expect(Object.keys(TimeoutList)).toHaveLength(timeoutListCount);
    expect(Object.keys(defaultTimeoutSeconds)).toEqual(Object.keys(TimeoutList));
  });

  it('flow states: codes, names and protocols', () => {
    expect(Object.values(FlowState)).toEqual(Array.from({ length: flowStateCount }, (_, i) => i));
    expect(flowStateNames).toHaveLength(flowStateCount);
    expect(flowStateProtocols).toHaveLength(flowStateCount);
  });
});
