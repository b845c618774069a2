/**
 * TCP connections that were ended before their time, by a policy or an operator, and whose ends are to be told with an RST: a ring
 * between those who end flows and the packet threads, which send. Every call needs the lock of the flow table.
 *
 * Only connections whose handshake was completed are noted: both ends have answered, so no address is forged. What an end of
 * another one sends is answered when it comes.
 */
import { FlowState, Hot, StateBits, hotShift } from '../flow/flow-record.ts';
import type { FlowIndex } from '../flow/flow-record.ts';
import type { FlowTable } from '../flow/flow-table.ts';
import {
  ConnectionWord,
  connectionHeader,
  connectionShift,
  waitingConnections,
} from './answer-memory.ts';
import type { AnswerMemory } from './answer-memory.ts';

/** Words before the ring. */
const noted = 0;
const taken = 1;
const lost = 2;

/** Whether both ends have a connection and may still send: not in TIME_WAIT, and not after an RST. */
function isOpen(state: number): boolean {
  const code = state & StateBits.stateMask;
  return (
    (state & StateBits.seenReply) !== 0 &&
    code >= FlowState.established &&
    code <= FlowState.lastAck
  );
}

export class CutConnections {
  readonly words: Int32Array;

  constructor(memory: AnswerMemory) {
    this.words = new Int32Array(memory.connections);
  }

  /** How many wait. */
  get waiting(): number {
    return (this.words[noted]! - this.words[taken]!) | 0;
  }

  /**
   * Notes the connection of a flow that is about to be ended. If the ring is full, the oldest one is overwritten.
   *
   * @returns whether it was one to note
   */
  note({ hot, carried }: FlowTable, flow: FlowIndex): boolean {
    const record = flow << hotShift;
    // What its ends expect next the record does not know as long as the kernel carries it.
    if (carried !== undefined) carried.bringHome(flow);
    if (!isOpen(hot[record + Hot.state]!)) return false;
    const words = this.words;
    const at = this.#place(words[noted]!);
    words[at + ConnectionWord.originalAddr] = hot[record + Hot.originalAddr]!;
    words[at + ConnectionWord.replyAddr] = hot[record + Hot.replyAddr]!;
    words[at + ConnectionWord.ports] = hot[record + Hot.ports]!;
    words[at + ConnectionWord.end] = hot[record + Hot.end]!;
    words[at + ConnectionWord.end + 1] = hot[record + Hot.end + 1]!;
    words[noted] = (words[noted]! + 1) | 0;
    if (this.waiting > waitingConnections) {
      words[taken] = (words[taken]! + 1) | 0;
      words[lost]! += 1;
    }
    return true;
  }

  /** How many were overwritten since the last call. */
  takeLost(): number {
    const count = this.words[lost]!;
    this.words[lost] = 0;
    return count;
  }

  /** Takes back what was noted last. */
  forgetLast(): void {
    this.words[noted] = (this.words[noted]! - 1) | 0;
  }

  /** Takes the oldest one; returns where it lies (ConnectionWord), valid until the next `note`. */
  take(): number {
    const at = this.#place(this.words[taken]!);
    this.words[taken] = (this.words[taken]! + 1) | 0;
    return at;
  }

  clear(): void {
    this.words[taken] = this.words[noted]!;
  }

  #place(count: number): number {
    return connectionHeader + ((count & (waitingConnections - 1)) << connectionShift);
  }
}
