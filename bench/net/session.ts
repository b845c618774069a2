/** A workload's subjects from start to end. */
import type { Context } from '../lib/benchmark.ts';
import { closeLab } from './rig.ts';
import { startSubjects } from './subject.ts';
import type { Subject, SubjectKind, SubjectOptions } from './subject.ts';

/**
 * Starts the subjects, prepares each (servers, a first round of traffic so that what is compiled at run time is), works with all
 * of them, and removes them.
 */
export async function withSubjects(
  context: Context,
  kinds: readonly SubjectKind[],
  options: SubjectOptions,
  prepare: (subject: Subject) => Promise<unknown>,
  work: (subjects: readonly Subject[]) => Promise<void>,
): Promise<void> {
  const subjects = await startSubjects(context, kinds, options);
  try {
    for (const subject of subjects) await prepare(subject);
    await work(subjects);
  } finally {
    for (const { lab } of subjects) await closeLab(lab);
  }
}
