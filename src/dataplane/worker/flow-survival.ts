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

export interface SurvivalOptions {
  /** See flowFilePath. */
  readonly path: string;
  /** Of the first policy: equal for equal policies, whatever their epoch. */
  readonly policyDigest: string;
}

/** What a packet thread does, at its start, to flows that the policy forbids: it goes on with what was begun. */
export interface FirstReview {
  readonly mode: number;
  readonly drainUntilMs: number;
}

export interface Kept {
  readonly survival: Survival;
  readonly review: FirstReview;
  readonly file?: FlowFile;
}

const nothing: Adoption = { adopted: 0, cut: 0, expired: 0, refused: 0 };
const plainReview: FirstReview = { mode: ReloadMode.cut, drainUntilMs: 0 };

export const notKept: Kept = { survival: { kept: false, ...nothing }, review: plainReview };

/**
 * To be called with the memory of an empty table, by the process that has the device, before packet threads start.
 *
 * @throws FlowFileFull
 */
export async function keepFlows(
  { path, policyDigest }: SurvivalOptions,
  device: string,
  memory: FlowMemory,
  engine: EngineOptions,
  { words, root }: PolicyProgram,
): Promise<Kept> {
  const epoch = words[root + Header.epoch]!;
  let file: FlowFile;
  try {
    file = await FlowFile.open(path, device, { digest: policyDigest, epoch, ...plainReview });
  } catch (error) {
    if (!(error instanceof FlowFileUnavailable)) throw error;
    return { ...notKept, survival: { ...notKept.survival, problem: error.message } };
  }
  try {
    file.map(memory);
    const { remains, refusal } = file;
    const same = remains?.policy.digest === policyDigest ? remains.policy : undefined;
    const adoption =
      remains === undefined
        ? nothing
        : adoptFlows(
            remains.records,
            memory,
            engine.limits,
            new Matcher(words, undefined, root),
            same,
            monotonicMs(),
          );
    const { mode, drainUntilMs } = same ?? plainReview;
    file.setPolicy({ digest: policyDigest, epoch, mode, drainUntilMs });
    file.publish();
    const survival: Survival = {
      kept: true,
      ...adoption,
      ...(refusal !== undefined && { problem: refusal }),
    };
    return { survival, review: { mode, drainUntilMs }, file };
  } catch (error) {
    file.close();
    throw error;
  }
}
