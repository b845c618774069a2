/** What a firewall starts with, and why it does not start. */
import { join } from 'node:path';
import { formatProblem } from '../../policy/problem.ts';
import type { Problem } from '../../policy/types.ts';
import { undoOverdue } from '../store/confirmation.ts';
import type { PolicyStore, Snapshot } from '../store/store.ts';

/** The state of the store, after a change is undone that nobody has confirmed in time: no packet is to be judged by that one. */
export async function readConfirmed(store: PolicyStore): Promise<Snapshot> {
  let message: string | undefined;
  try {
    const undone = await undoOverdue(store);
    if (undone !== undefined) {
      const { number, actor, summary } = undone;
      message = `revision ${number} of ${actor.name} (${summary}) was not confirmed in time, and is undone`;
    }
  } catch (error) {
    message = `a change that was not confirmed in time cannot be undone: ${(error as Error).message}`;
  }
  const read = await store.read();
  if (message === undefined) return read;
  const problem: Problem = {
    ...{ severity: 'warning', file: store.directory, line: 0, column: 0, path: '', message },
  };
  return { ...read, problems: [...read.problems, problem] };
}

/** A reason not to start that the user can do something about. */
export class StartError extends Error {
  override name = 'StartError';
  readonly hint: string;

  constructor(message: string, hint: string) {
    super(message);
    this.hint = hint;
  }
}

/**
 * The state to start with: what was read, or the last good one if that has errors and `start` allows it.
 *
 * @param isUpgrade a firewall runs, and goes on if this one does not start: errors are reported, not passed over
 * @throws StartError
 */
export async function startable(
  store: PolicyStore,
  read: Snapshot,
  isUpgrade: boolean,
): Promise<Snapshot> {
  const problems = errorsOf(read);
  if (problems.length === 0) return read;
  const good = isUpgrade ? undefined : await store.lastGood();
  const own = join(store.directory, 'gateway.yaml');
  const isReadable = problems.every(({ file }) => file !== own && file !== store.directory);
  const { start } = isReadable || good === undefined ? read.gateway : good.gateway;
  if (good !== undefined && start === 'last-good') return good;
  throw new StartError(
    [`${store.directory} has errors:`, ...problems.map(formatProblem)].join('\n'),
    'correct them; tunwall check tells whether all is well',
  );
}

export function errorsOf({ problems }: Snapshot): Problem[] {
  return problems.filter(({ severity }) => severity === 'error');
}
