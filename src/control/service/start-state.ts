/** What a firewall starts with, and why it does not start. */
import { join } from 'node:path';
import { formatProblem } from '../../policy/problem.ts';
import type { Problem } from '../../policy/types.ts';
import type { PolicyStore, Snapshot } from '../store/store.ts';

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
 * @param isUpgrade a firewall runs, and goes on if this one does not start: errors are told, not passed over
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
