/**
 * Flows that were ended before their time: cut by a new policy, or killed by an operator. Their ends do not know, and go on
 * sending; those packets are dropped with the reason for which the flow ended, not as packets that fit to nothing.
 *
 * A table of fixed size, by hash of the tuple. A later flow of the same place overwrites the entry, and after a change that
 * cuts more flows than there are entries some packets have the plain reason again. Only labels depend on it, never a verdict.
 */
import { DropReason } from '../wire/drop-reason.ts';

const entryCount = 16_384;
const entryShift = 2;

/** Words of an entry. */
const Entry = {
  /** Hash of the tuple. */
  hash: 0,
  endedMs: 1,
  /** A drop reason; 0 = no entry. */
  reason: 2,
  /** Address of the opener. */
  openerAddr: 3,
} as const;

/** How long a flow's end is remembered: TCP sends again for some ten minutes (RFC 9293 section 3.8.3). */
const rememberedMs = 600_000;

export const endedFlowsLength: number = (entryCount << entryShift) * 4;

export class EndedFlows {
  readonly #words: Int32Array;
  /** At `#controlAt`, 0 while there are no entries: the usual state, in which a miss costs nothing more. */
  readonly #control: Int32Array;
  readonly #controlAt: number;
  /** After `reasonFor` has returned another reason than it was given: the packet comes from the end that did not open the flow. */
  isReply = false;

  /** @param control where at `controlAt` a 1 says that there are entries */
  constructor(memory: SharedArrayBuffer, control: Int32Array, controlAt: number) {
    this.#words = new Int32Array(memory);
    this.#control = control;
    this.#controlAt = controlAt;
  }

  note(hash: number, openerAddr: number, reason: number, nowMs: number): void {
    const words = this.#words;
    const at = (hash & (entryCount - 1)) << entryShift;
    words[at + Entry.hash] = hash;
    words[at + Entry.endedMs] = nowMs;
    words[at + Entry.reason] = reason;
    words[at + Entry.openerAddr] = openerAddr;
    this.#control[this.#controlAt] = 1;
  }

  /** The tuple has a flow again. */
  forget(hash: number): void {
    if (this.#control[this.#controlAt] === 0) return;
    const at = (hash & (entryCount - 1)) << entryShift;
    if (this.#words[at + Entry.hash] === hash) this.#words[at + Entry.reason] = 0;
  }

  /**
   * The drop reason of a refused packet without a flow: why its flow ended, or `refused`.
   *
   * If the opener sends a packet that could open a flow, the rules have refused it: the reason is `refused`.
   */
  reasonFor(hash: number, srcAddr: number, refused: number, nowMs: number): number {
    if (this.#control[this.#controlAt] === 0) return refused;
    const words = this.#words;
    const at = (hash & (entryCount - 1)) << entryShift;
    if (words[at + Entry.hash] !== hash || words[at + Entry.reason] === 0) return refused;
    if (((nowMs - words[at + Entry.endedMs]!) | 0) >= rememberedMs) return refused;
    const isReply = words[at + Entry.openerAddr] !== srcAddr;
    this.isReply = isReply;
    const byRules = refused === DropReason.noInboundRule || refused === DropReason.noOutboundRule;
    const outOfPlace =
      refused === DropReason.invalidState ||
      refused === DropReason.icmpType ||
      refused === DropReason.icmpError;
    return outOfPlace || (byRules && isReply) ? words[at + Entry.reason]! : refused;
  }
}
