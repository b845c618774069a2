/** A push: the files of a directory in the place of all those in etcd, as one change. */
import { changeEvent } from '../audit-events.ts';
import { planFiles } from '../change-plan.ts';
import type { PlanParts } from '../change-plan.ts';
import type { PlannedChange } from '../change-queue.ts';
import { sortedFiles } from '../config-texts.ts';
import type { RawFile } from '../config-texts.ts';
import { StoreError } from '../failures.ts';
import type { Actor, ChangeOptions } from '../store.ts';
import type { SharedReading } from './replica.ts';
import { isSame, textsOf } from './stored-policy.ts';

export interface Push {
  readonly actor: Actor;
  /** Texts by name. */
  readonly files: ReadonlyMap<string, string>;
  /** The files that it was made for; absent: whatever is there. */
  readonly expected?: ReadonlyMap<string, string>;
  readonly options?: Pick<ChangeOptions, 'why' | 'confirmWithinS'>;
}

const pushed = 'the files of a directory were pushed';

/** @returns `undefined` when nothing differs. @throws StoreError when it was made for other files, or is not valid */
export function planPush(
  reading: SharedReading,
  { actor, files, expected, options = {} }: Push,
  parts: PlanParts,
): PlannedChange | undefined {
  const present = textsOf({ ...reading.raw, gateway: undefined });
  if (expected !== undefined && !isSame(present, expected)) {
    const message = 'the policy in etcd was changed meanwhile: look at the difference again';
    throw new StoreError([{ kind: 'busy', message }]);
  }
  const wanted = [...files].map(([name, text]): RawFile => ({ name, text, problem: undefined }));
  const after = { ...sortedFiles(wanted), gateway: reading.raw.gateway };
  const plan = planFiles(reading, after, parts);
  if (plan === undefined) return undefined;
  const event = changeEvent(actor, [], 'ok', plan.changed, pushed, options.why);
  return { ...plan, ...options, actor, operations: [], event: { ...event, action: 'store.push' } };
}
