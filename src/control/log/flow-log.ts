/**
 * The flow log: takes flow events from their ring, and writes a line for each into a file that is rotated.
 *
 * No packet waits for it. The ring is the only buffer: while the file cannot take more, events stay there, and when it is full the
 * packet threads count them as lost. Lines that could not be written are lost, too.
 */
import { Cold, Hot, StateBits } from '../../dataplane/flow/flow-record.ts';
import type { FlowEventReader } from '../../dataplane/flow/flow-events.ts';
import { flowLine } from './flow-line.ts';
import type { AdmittingRule, FlowLineParts, FlowRecords } from './flow-line.ts';

/** Events that make one write. */
const linesPerWrite = 1024;

/** After how long the file is tried again. */
const againMs = 5000;

/** A rule that admitted a flow, and whether it has `log`. */
export interface LoggedRule extends AdmittingRule {
  readonly log: boolean;
}

export interface FlowLogOptions extends FlowLineParts {
  readonly events: FlowEventReader;
  /** A file of lines; see RotatingFile. */
  readonly file: {
    open(): Promise<void>;
    append(lines: string): Promise<void>;
    close(): Promise<void>;
  };
  /** Only flows that a rule with `log` admitted. */
  readonly ofRules: boolean;
  /** The rule that a policy had under an index; undefined: none, or nobody knows any more. @param spared the policy forbade the flow */
  readonly ruleOf: (index: number, epoch: number, spared: boolean) => LoggedRule | undefined;
  /** The clock, in ms. */
  readonly now: () => number;
  /** The file cannot be written, or can be again (undefined). */
  readonly onTrouble: (error: Error | undefined) => void;
}

export class FlowLog {
  readonly #options: FlowLogOptions;
  #turn: Promise<void> = Promise.resolve();
  #isBusy = false;
  #notBeforeMs = -Infinity;
  #inTrouble = false;
  #unwritten = 0;
  /** Lines written. */
  lines = 0;

  constructor(options: FlowLogOptions) {
    this.#options = options;
  }

  /** Flows that have no line: their events found no room, or their lines could not be written. */
  get lost(): number {
    return this.#options.events.lost + this.#unwritten;
  }

  /** Writes what has come. To be called a few times a second; never fails. */
  take(): void {
    if (this.#isBusy || this.#options.now() < this.#notBeforeMs) return;
    this.#isBusy = true;
    this.#turn = this.#drain().finally(() => (this.#isBusy = false));
  }

  /** Writes all that there is, and then a line for each of these flows. @param event FlowEvent of each flow */
  async close(flows: Iterable<FlowRecords & { event: number }>, timeMs: number): Promise<void> {
    const { file } = this.#options;
    await this.#turn;
    await this.#drain();
    let lines: string[] = [];
    for (const flow of flows) {
      const line = this.#lineOf(flow.event, timeMs, flow);
      if (line !== undefined) lines.push(line);
      if (lines.length < linesPerWrite) continue;
      await this.#write(lines);
      lines = [];
    }
    await this.#write(lines);
    await file.close().catch(() => undefined);
  }

  async #drain(): Promise<void> {
    const { events } = this.#options;
    // Before events are taken: as long as there is no file they wait in the ring.
    while (await this.#isOpen()) {
      const lines: string[] = [];
      let taken = 0;
      while (taken < linesPerWrite && events.next()) {
        taken++;
        const { hot, cold, event, timeMs } = events;
        const line = this.#lineOf(event, timeMs, { hot, cold, record: 0, coldRecord: 0 });
        if (line !== undefined) lines.push(line);
      }
      await this.#write(lines);
      if (taken < linesPerWrite) return;
    }
  }

  #lineOf(event: number, timeMs: number, flow: FlowRecords): string | undefined {
    const { hot, record, cold, coldRecord } = flow;
    const { ruleOf, ofRules } = this.#options;
    const epoch = hot[record + Hot.epoch]!;
    const spared = (hot[record + Hot.state]! & StateBits.kept) !== 0;
    const rules: AdmittingRule[] = [];
    let isLogged = false;
    for (const word of [Cold.inboundRule, Cold.outboundRule]) {
      const rule = ruleOf(cold[coldRecord + word]! - 1, epoch, spared);
      if (rule === undefined) continue;
      const { log, ...named } = rule;
      rules.push(named);
      isLogged ||= log;
    }
    if (ofRules && !isLogged) return undefined;
    return flowLine(event, timeMs, flow, rules, this.#options);
  }

  async #isOpen(): Promise<boolean> {
    try {
      await this.#options.file.open();
      return true;
    } catch (error) {
      this.#failed(error as Error);
      return false;
    }
  }

  async #write(lines: readonly string[]): Promise<void> {
    if (lines.length === 0) return;
    const { file, onTrouble } = this.#options;
    try {
      await file.open();
      await file.append(lines.join(''));
      this.lines += lines.length;
      if (this.#inTrouble) onTrouble(undefined);
      this.#inTrouble = false;
    } catch (error) {
      this.#unwritten += lines.length;
      this.#failed(error as Error);
    }
  }

  #failed(error: Error): void {
    this.#notBeforeMs = this.#options.now() + againMs;
    if (!this.#inTrouble) this.#options.onTrouble(error);
    this.#inTrouble = true;
  }
}
