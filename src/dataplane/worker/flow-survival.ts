/** Flows that outlive the process: lays the flow table into its file, and takes in what an earlier process left there. */
import { adoptFlows } from '../engine/adoption.ts';
import type { Adoption, Survival } from '../engine/adoption.ts';
import type { EngineOptions } from '../engine/engine.ts';
import { ReloadMode } from '../engine/flow-review.ts';
import type { FlowMemory } from '../flow/flow-memory.ts';
import { Header, Matcher } from '../match/matcher.ts';
import type { PolicyProgram } from '../match/matcher.ts';
import { monotonicMs } from './clock.ts';
import { FlowFile, FlowFileUnavailable } from './flow-file.ts';
import { takeOverTotals } from './kept-totals.ts';

/** What a packet thread does, at its start, to flows that the policy forbids: it goes on with what was begun. */
export interface FirstReview {
  readonly mode: number;
  readonly drainUntilMs: number;
}

export interface Kept {
  readonly survival: Survival;
  readonly review: FirstReview;
  readonly file?: FlowFile;
  /** Servers whose totals begin anew, because those of the process before were damaged. */
  readonly totalsRefused?: number;
}

const nothing: Adoption = { adopted: 0, cut: 0, expired: 0, refused: 0 };
const plainReview: FirstReview = { mode: ReloadMode.cut, drainUntilMs: 0 };

export const notKept: Kept = { survival: { kept: false, ...nothing }, review: plainReview };

/**
 * Lays the memory of an empty table into a file, which is all that takes long.
 *
 * @returns the file, or why there can be none. @throws FlowFileFull
 */
export function layIntoFile(path: string, device: string, memory: FlowMemory): FlowFile | string {
  let file: FlowFile;
  try {
    file = FlowFile.create(path, device);
  } catch (error) {
    if (!(error instanceof FlowFileUnavailable)) throw error;
    return error.message;
  }
  try {
    file.map(memory);
    return file;
  } catch (error) {
    file.close();
    throw error;
  }
}

/**
 * Takes over the flows and totals of the process before. To be called by the process that has the device, before packets are judged.
 *
 * @param digest of the policy: equal for equal policies, whatever their epoch
 */
export async function adoptFrom(
  file: FlowFile,
  memory: FlowMemory,
  engine: EngineOptions,
  { words, root }: PolicyProgram,
  digest: string,
): Promise<Kept> {
  const epoch = words[root + Header.epoch]!;
  try {
    const found = await file.readBefore();
    const remains = typeof found === 'object' ? found : undefined;
    const same = remains?.policy.digest === digest ? remains.policy : undefined;
    const policy = new Matcher(words, undefined, root);
    const { serverTotals } = memory;
    let adoption = nothing;
    let totalsRefused = 0;
    if (remains !== undefined) {
      const { records, totals } = remains;
      const { slotNow, refused } = takeOverTotals(totals, serverTotals);
      const { limits } = engine;
      adoption = adoptFlows(records, memory, limits, policy, same, monotonicMs(), slotNow);
      totalsRefused = refused;
    }
    const { mode, drainUntilMs } = same ?? plainReview;
    file.setPolicy({ digest, epoch, mode, drainUntilMs });
    file.publish();
    const problem = typeof found === 'string' ? { problem: found } : {};
    const survival: Survival = { kept: true, ...adoption, ...problem };
    return { survival, review: { mode, drainUntilMs }, file, totalsRefused };
  } catch (error) {
    file.close();
    if (!(error instanceof FlowFileUnavailable)) throw error;
    return notKeptBecause(error.message);
  }
}

export function notKeptBecause(problem: string): Kept {
  return { ...notKept, survival: { ...notKept.survival, problem } };
}
