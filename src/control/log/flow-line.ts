/** A flow as the flow log and the API tell it: from copies of its records (flow/flow-record.ts). */
import { FlowEvent } from '../../dataplane/flow/flow-events.ts';
import {
  Cold,
  FlowState,
  Hot,
  StateBits,
  flowBytes,
  flowPackets,
  flowStateNames,
} from '../../dataplane/flow/flow-record.ts';
import { requestTypeOf } from '../../dataplane/flow/icmp-query.ts';
import { originalSlot, replySlot } from '../../dataplane/flow/server-totals.ts';
import { directionNames } from '../../dataplane/engine/counters.ts';
import { formatAddress, formatProtocol } from '../../dataplane/wire/format.ts';
import { Protocol } from '../../dataplane/wire/headers.ts';

/** Copies of flow records; the flow's start at `record` and `coldRecord`. */
export interface FlowRecords {
  readonly hot: Int32Array;
  readonly cold: Int32Array;
  readonly record: number;
  readonly coldRecord: number;
}

interface Carried {
  readonly packets: number;
  readonly bytes: number;
}

/** Who speaks with whom, and what each side has sent. */
export interface FlowEnds {
  readonly protocol: 'tcp' | 'udp' | 'icmp';
  /** As in the metric `tunwall_flows`. */
  readonly state: string;
  readonly source: string;
  readonly destination: string;
  /** With TCP and UDP. */
  readonly sourcePort?: number;
  readonly destinationPort?: number;
  /** With ICMP. */
  readonly icmpType?: number;
  readonly icmpId?: number;
  /** The servers that the ends belong to. */
  readonly sourceServer?: string;
  readonly destinationServer?: string;
  readonly original: Carried;
  readonly reply: Carried;
}

/** @param serverName of a server slot */
export function describeEnds(
  { hot, record, cold, coldRecord }: FlowRecords,
  serverName: (slot: number) => string | undefined,
): FlowEnds {
  const state = hot[record + Hot.state]! & StateBits.stateMask;
  const kind = hot[record + Hot.kind]!;
  const protocol = kind & 0xff;
  const ports = hot[record + Hot.ports]!;
  const servers = cold[coldRecord + Cold.servers]!;
  const sourceServer = serverName(originalSlot(servers));
  const destinationServer = serverName(replySlot(servers));
  const carried = (direction: number): Carried => ({
    packets: flowPackets(cold, coldRecord, direction),
    bytes: flowBytes(cold, coldRecord, direction),
  });
  return {
    protocol: formatProtocol(protocol) as FlowEnds['protocol'],
    state: flowStateNames[state]!,
    source: formatAddress(hot[record + Hot.originalAddr]!),
    destination: formatAddress(hot[record + Hot.replyAddr]!),
    ...(protocol === Protocol.icmp
      ? { icmpType: requestTypeOf(kind), icmpId: ports >>> 16 }
      : { sourcePort: ports >>> 16, destinationPort: ports & 0xffff }),
    ...(sourceServer !== undefined && { sourceServer }),
    ...(destinationServer !== undefined && { destinationServer }),
    original: carried(0),
    reply: carried(1),
  };
}

/** A rule that admitted a flow. */
export interface AdmittingRule {
  readonly template: string;
  readonly direction: 'inbound' | 'outbound';
  /** Position in the template's list of that direction, from 0. */
  readonly index: number;
}

/** How flows end, by {@link FlowEvent}. */
const endReasons: Readonly<Record<number, string>> = {
  [FlowEvent.timeout]: 'timeout',
  [FlowEvent.closed]: 'closed',
  [FlowEvent.reset]: 'reset',
  [FlowEvent.cut]: 'policy-change',
  [FlowEvent.evicted]: 'evicted',
  [FlowEvent.killed]: 'killed',
  [FlowEvent.shutdown]: 'shutdown',
};

/**
 * The reason of an end. A connection that both sides have closed, or one of them reset, has ended then, whatever became of its record
 * later.
 */
export function endReason(event: number, stateWord: number): string {
  const leftOver =
    event !== FlowEvent.cut && event !== FlowEvent.killed && event !== FlowEvent.reset;
  const state = stateWord & StateBits.stateMask;
  if (leftOver && state === FlowState.timeWait) return 'closed';
  if (leftOver && state === FlowState.close) return 'reset';
  return endReasons[event] ?? 'unknown';
}

export interface FlowLineParts {
  readonly serverName: (slot: number) => string | undefined;
  /** When the packet threads' clock showed `thenMs`: ms since 1970. */
  readonly wallClockOf: (thenMs: number) => number;
}

/** A line of the flow log, with its end. @param event {@link FlowEvent}, @param timeMs when, by the packet threads' clock */
export function flowLine(
  event: number,
  timeMs: number,
  flow: FlowRecords,
  rules: readonly AdmittingRule[],
  { serverName, wallClockOf }: FlowLineParts,
): string {
  const { hot, record, cold, coldRecord } = flow;
  const moment = (thenMs: number): string => new Date(wallClockOf(thenMs)).toISOString();
  const created = cold[coldRecord + Cold.created]!;
  const word = hot[record + Hot.state]!;
  const direction = (word & StateBits.directionMask) >> StateBits.directionShift;
  const { original, reply, state, ...ends } = describeEnds(flow, serverName);
  // Until the last packet: how long it was remembered afterwards is no matter of the flow.
  const durationMs = Math.max(0, (hot[record + Hot.lastRefresh]! - created) | 0);
  return `${JSON.stringify({
    time: moment(timeMs),
    ...(event === FlowEvent.start
      ? { event: 'start' }
      : { event: 'end', reason: endReason(event, word) }),
    direction: directionNames[direction],
    ...ends,
    rules,
    ...(event !== FlowEvent.start && {
      original,
      reply,
      start: moment(created),
      durationSeconds: durationMs / 1000,
      state,
    }),
  })}\n`;
}
