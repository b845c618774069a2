/**
 * A page of the flow table: the flows that match a query, the largest or oldest first, and where the next page begins. And the
 * flows that a policy would cut.
 *
 * The table changes while it is listed. A page contains the flows that its walk met; the next page continues after the
 * last flow shown, by the sort key that it had then. A flow that grows meanwhile may move past that key and appear on
 * neither page; sorted by age, flows do not move.
 */
import type { Flow, FlowPage, FlowQuery, FlowsCut } from '../api/context.ts';
import {
  Cold,
  Hot,
  StateBits,
  coldWords,
  flowBytes,
  flowPackets,
  flowStateNames,
  hotWords,
} from '../../dataplane/flow/flow-record.ts';
import type { FlowIndex } from '../../dataplane/flow/flow-record.ts';
import { originalSlot, replySlot } from '../../dataplane/flow/server-totals.ts';
import { Protocol } from '../../dataplane/wire/headers.ts';
import { flowTag } from '../../dataplane/worker/flow-inspector.ts';
import type { FlowCopy, FlowInspector } from '../../dataplane/worker/flow-inspector.ts';
import { describeEnds } from '../log/flow-line.ts';

/** Of a server slot: its name. */
export type SlotName = (slot: number) => string | undefined;

const idPattern = /^([1-9]\d{0,7})-([0-9a-f]{1,8})$/;

/** @returns the record and the tag of FlowInspector.kill; undefined if it is no id */
export function parseFlowId(id: string): { flow: FlowIndex; tag: number } | undefined {
  const match = idPattern.exec(id);
  if (match === null) return undefined;
  return { flow: Number(match[1]) as FlowIndex, tag: Number.parseInt(match[2]!, 16) };
}

function createdOf({ cold, coldRecord }: FlowCopy): number {
  return cold[coldRecord + Cold.created]!;
}

export function describeFlow(copy: FlowCopy, flows: FlowInspector, serverName: SlotName): Flow {
  const { hot, record } = copy;
  const seconds = (ms: number): number => Math.floor(ms / 1000);
  return {
    id: `${copy.flow}-${flowTag(hot, record, createdOf(copy)).toString(16)}`,
    ...describeEnds(copy, serverName),
    ageSeconds: seconds(flows.ageMs(copy)),
    idleSeconds: seconds(flows.idleMs(copy)),
    expiresSeconds: seconds(Math.max(0, flows.remainingMs(copy))),
    epoch: hot[record + Hot.epoch]!,
    ...(flows.isCarried(copy) && { carried: true as const }),
  };
}

/** Whether a flow matches; compares numbers, so that a walk over all flows formats no text. */
type Matcher = (copy: FlowCopy) => boolean;

/** What a query names, as the flow table has it. */
export interface FlowMeaning {
  /** Of the server; 0 if there is no such server. */
  readonly slot: number;
  readonly address: number | undefined;
  /** Whether the rule allows a flow. It is asked last. */
  readonly admits?: Matcher | undefined;
}

function matcherOf(query: FlowQuery, { slot: serverSlot, address, admits }: FlowMeaning): Matcher {
  const { server, port, protocol, state } = query;
  const protocolNumber = protocol === undefined ? undefined : Protocol[protocol];
  const states = flowStateNames.map((name) => state === undefined || name === state);
  return (copy) => {
    const { hot, record, cold, coldRecord } = copy;
    const code = hot[record + Hot.state]! & StateBits.stateMask;
    if (!states[code]!) return false;
    const itsProtocol = hot[record + Hot.kind]! & 0xff;
    if (protocolNumber !== undefined && itsProtocol !== protocolNumber) return false;
    if (address !== undefined && !hasEnd(copy, address)) return false;
    const ports = hot[record + Hot.ports]!;
    if (port !== undefined) {
      if (itsProtocol === Protocol.icmp) return false;
      if (ports >>> 16 !== port && (ports & 0xffff) !== port) return false;
    }
    if (server !== undefined) {
      const servers = cold[coldRecord + Cold.servers]!;
      if (serverSlot === 0) return false;
      if (replySlot(servers) !== serverSlot && originalSlot(servers) !== serverSlot) return false;
    }
    return admits?.(copy) ?? true;
  };
}

function hasEnd({ hot, record }: FlowCopy, address: number): boolean {
  return hot[record + Hot.originalAddr] === address || hot[record + Hot.replyAddr] === address;
}

/** The sort key of a flow, largest first; ties are broken by the record's number, lowest first. */
interface Order {
  key(copy: FlowCopy): number;
  /** Converts a key for a cursor, and back. */
  toCursor(key: number): number;
  fromCursor(value: number): number;
}

function orderOf(sort: FlowQuery['sort'], flows: FlowInspector): Order {
  if (sort === 'age') {
    // Ages change between two pages, the time of opening does not.
    const { nowMs } = flows;
    const turn = (value: number): number => (nowMs - value) | 0;
    return { key: (copy) => turn(createdOf(copy)), toCursor: turn, fromCursor: turn };
  }
  const count = sort === 'bytes' ? flowBytes : flowPackets;
  const same = (value: number): number => value;
  return {
    key: ({ cold, coldRecord }) => count(cold, coldRecord, 0) + count(cold, coldRecord, 1),
    toCursor: same,
    fromCursor: same,
  };
}

/** A candidate for the page, with copies of its records. */
interface Candidate extends FlowCopy {
  readonly key: number;
}

function compare(a: { key: number; flow: number }, b: { key: number; flow: number }): number {
  return b.key - a.key || a.flow - b.flow;
}

/** The first `limit` of all that were offered. */
class Candidates {
  readonly #limit: number;
  #kept: Candidate[] = [];
  /** The smallest one that is still on the page. */
  #worst: Candidate | undefined;

  constructor(limit: number) {
    this.#limit = limit;
  }

  offer(key: number, { hot, record, cold, coldRecord, flow }: FlowCopy): void {
    if (this.#worst !== undefined && compare({ key, flow }, this.#worst) > 0) return;
    this.#kept.push({
      key,
      flow,
      hot: hot.slice(record, record + hotWords),
      cold: cold.slice(coldRecord, coldRecord + coldWords),
      record: 0,
      coldRecord: 0,
    });
    if (this.#kept.length >= 2 * this.#limit) this.#prune();
  }

  sorted(): readonly Candidate[] {
    this.#prune();
    return this.#kept;
  }

  #prune(): void {
    this.#kept.sort(compare);
    this.#kept.length = Math.min(this.#kept.length, this.#limit);
    if (this.#kept.length === this.#limit) this.#worst = this.#kept.at(-1);
  }
}

const cursorPattern = /^(-?\d{1,16})\.(\d{1,8})$/;

/** @param after a cursor of an earlier page; an invalid one begins at the start */
function readCursor(after: string | undefined): { value: number; flow: number } | undefined {
  const match = cursorPattern.exec(after ?? '');
  return match === null ? undefined : { value: Number(match[1]), flow: Number(match[2]) };
}

export async function flowPage(
  flows: FlowInspector,
  query: FlowQuery,
  meaning: FlowMeaning,
  serverName: SlotName,
): Promise<FlowPage> {
  const matches = matcherOf(query, meaning);
  const order = orderOf(query.sort, flows);
  const cursor = readCursor(query.after);
  const behind =
    cursor === undefined ? undefined : { key: order.fromCursor(cursor.value), flow: cursor.flow };
  const candidates = new Candidates(query.limit);
  let total = 0;
  let rest = 0;
  await flows.walk((copy) => {
    if (!matches(copy)) return;
    total++;
    const key = order.key(copy);
    if (behind !== undefined && compare({ key, flow: copy.flow }, behind) <= 0) return;
    rest++;
    candidates.offer(key, copy);
  });
  const page = candidates.sorted();
  const last = page.at(-1);
  return {
    flows: page.map((copy) => describeFlow(copy, flows, serverName)),
    total,
    ...(rest > page.length &&
      last !== undefined && { next: `${order.toCursor(last.key)}.${last.flow}` }),
  };
}

/** So many are listed of those that a change would end. */
const mostListed = 20;

/** The flows that a policy would cut, in one walk. @param client the address of whoever asks */
export async function flowsCut(
  flows: FlowInspector,
  isCut: (copy: FlowCopy) => boolean,
  client: number | undefined,
  serverName: SlotName,
): Promise<FlowsCut> {
  const order = orderOf('bytes', flows);
  const candidates = new Candidates(mostListed);
  let count = 0;
  let ofClient = false;
  await flows.walk((copy) => {
    if (!isCut(copy)) return;
    count++;
    ofClient ||= client !== undefined && hasEnd(copy, client);
    candidates.offer(order.key(copy), copy);
  });
  const largest = candidates.sorted().map((copy) => describeFlow(copy, flows, serverName));
  return { count, largest, ofClient };
}
