/** The flow log of a running firewall. */
import { FlowEvent } from '../../dataplane/flow/flow-events.ts';
import { wallClockOf } from '../../dataplane/worker/clock.ts';
import type { DataPlane } from '../../dataplane/worker/data-plane.ts';
import type { CompiledPolicy } from '../../policy/compile.ts';
import type { ServerSlots } from '../../policy/server-slots.ts';
import type { FlowLogConfig } from '../../policy/types.ts';
import { FlowLog } from '../log/flow-log.ts';
import type { FlowRecords } from '../log/flow-line.ts';
import type { Logger } from '../log/logger.ts';
import { RotatingFile } from '../log/rotating-file.ts';
import { RuleMemory } from './rule-memory.ts';

export class FlowLogging {
  readonly #dataPlane: DataPlane;
  readonly #rules: RuleMemory;
  readonly #flows: FlowLog;

  /** @param policy in force. Returns undefined if no flow is logged */
  static of(
    config: FlowLogConfig | undefined,
    dataPlane: DataPlane,
    policy: CompiledPolicy,
    slots: ServerSlots,
    log: Logger,
  ): FlowLogging | undefined {
    if (config !== undefined) return new FlowLogging(config, dataPlane, policy, slots, log);
    if (policy.rules.some((place) => place?.rule.log === true)) {
      log.warn('rules have log: true, and gateway.yaml has no log.flows: nothing is written');
    }
    return undefined;
  }

  private constructor(
    { file: path, of, maxSize, keep }: FlowLogConfig,
    dataPlane: DataPlane,
    policy: CompiledPolicy,
    slots: ServerSlots,
    log: Logger,
  ) {
    this.#dataPlane = dataPlane;
    this.#rules = new RuleMemory(policy);
    this.#flows = new FlowLog({
      events: dataPlane.flowEvents!,
      file: new RotatingFile({ path, maxSize, keep }),
      ofRules: of === 'rules',
      ruleOf: (index, epoch, spared) => this.#rules.ruleOf(index, epoch, spared),
      serverName: (slot) => slots.nameOf(slot),
      wallClockOf,
      now: () => performance.now(),
      onTrouble: (error) => {
        if (error === undefined) log.info({ file: path }, 'the flow log is written again');
        else log.error({ file: path, reason: error.message }, 'the flow log cannot be written');
      },
    });
  }

  get lost(): number {
    return this.#flows.lost;
  }

  get lines(): number {
    return this.#flows.lines;
  }

  onCompiled(policy: CompiledPolicy): void {
    this.#rules.onCompiled(policy);
  }

  take(): void {
    this.#flows.take();
  }

  /** The packet threads have stopped. Flows that do not outlive them end now. */
  close(): Promise<void> {
    const { flows, survival } = this.#dataPlane;
    const { nowMs } = flows;
    const left = survival.kept ? [] : this.#left();
    return this.#flows.close(left, nowMs);
  }

  *#left(): Generator<FlowRecords & { event: number }> {
    const { flows } = this.#dataPlane;
    for (const copy of flows.copies()) {
      const event = flows.remainingMs(copy) > 0 ? FlowEvent.shutdown : FlowEvent.timeout;
      yield { ...copy, event };
    }
  }
}
