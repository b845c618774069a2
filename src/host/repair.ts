/** One look of the watch at a gateway that is up, and the repair of what is due. */
import { apply } from './apply.ts';
import { GatewayError } from './error.ts';
import { settleFastPath } from './fast-path.ts';
import { withGatewayLock } from './gateway-lock.ts';
import { bypassIn, type Bypass } from './guard.ts';
import { compare, isAboutDevice } from './plan.ts';
import { problemsOf, type GatewayProblem } from './problems.ts';
import {
  hasOurMark,
  prepareStateDirectory,
  readRecord,
  recordPath,
  wantedOf,
  writeRecord,
  type GatewayRecord,
} from './record.ts';
import { readSnapshot } from './snapshot.ts';

/** One thing that {@link lookAndRepair} has repaired, or why it could not. */
export interface Attempt {
  readonly problem: GatewayProblem;
  readonly failure?: string;
}

export interface Looked {
  /** What was found, before the repairs. */
  readonly problems: readonly GatewayProblem[];
  readonly attempts: readonly Attempt[];
  readonly bypass: Bypass | undefined;
  readonly record: GatewayRecord;
}

/**
 * Looks at a gateway that is up, and repairs what is due. Unlike `up` it leaves alone what is in the way, and goes on
 * when one change fails: the others close something. Undefined: the gateway was taken down.
 *
 * @param known the record as it was last. It tells what is wanted, also when somebody has removed the record, or
 *   everything by which to tell that it is about this namespace.
 * @throws GatewayError when the state cannot be read, or another command is at work for long.
 */
export async function lookAndRepair(
  stateDirectory: string,
  known: GatewayRecord,
  isDue: (problem: GatewayProblem) => boolean,
): Promise<Looked | undefined> {
  prepareStateDirectory(stateDirectory);
  return withGatewayLock(stateDirectory, async () => {
    const snapshot = await readSnapshot();
    const problems: GatewayProblem[] = [];
    const attempts: Attempt[] = [];
    const repair = async (problem: GatewayProblem, change: () => unknown): Promise<void> => {
      problems.push(problem);
      if (!problem.repairable || !isDue(problem)) return;
      try {
        await change();
        attempts.push({ problem });
      } catch (error) {
        if (!(error instanceof GatewayError)) throw error;
        attempts.push({ problem, failure: error.message });
      }
    };
    const found = readRecord(stateDirectory);
    if (found === undefined) {
      if (!hasOurMark(snapshot, known.device)) return undefined;
      await repair(recordProblem(stateDirectory), () => writeRecord(stateDirectory, known));
    }
    const record = found ?? known;
    const wanted = wantedOf(record);
    const { device, ownerUid, fastPath: mode, fastPathSlots: slots } = wanted;
    // First: it may be in the way of what others have put there since.
    if (mode !== 'off') {
      await settleFastPath(stateDirectory, snapshot, { mode, slots, ownerUid, device });
    }
    const failed = (what: string): boolean =>
      attempts.some(({ problem, failure }) => failure !== undefined && problem.what === what);
    for (const item of compare(snapshot, wanted)) {
      const { change } = item;
      // It could not be made: by now something else may have its name. The next look will tell.
      if (isAboutDevice(item, record.device) && failed(`device ${record.device}`)) continue;
      for (const problem of problemsOf([item])) {
        await repair(problem, () => change !== undefined && apply(change));
      }
    }
    return { problems, attempts, bypass: bypassIn(snapshot, record.forwardDropped), record };
  });
}

function recordProblem(stateDirectory: string): GatewayProblem {
  const what = `record ${recordPath(stateDirectory)}`;
  const [wanted, found] = ['what `gateway down` goes back to', 'missing'];
  return { what, wanted, found, kind: 'record', repairable: true };
}
