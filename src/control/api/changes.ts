/**
 * A change is stored, then put in force, then answered. So after an answer with `applied: true` no packet is judged by
 * the old policy any more.
 */
import type { FastifyRequest } from 'fastify';
import type { ChangeResult, Edit, Failure, Operation } from '../store/store.ts';
import { StoreError } from '../store/store.ts';
import { identityOf } from './access.ts';
import type { ApiContext, Applied, ControlPlane } from './context.ts';
import { HttpProblem, problemOf } from './http-problem.ts';
import type { Locate } from './http-problem.ts';

/** How long an answer waits for the data plane; usually it takes milliseconds. */
const patienceMs = 5000;

export interface AppliedChange extends ChangeResult {
  readonly applied: Applied;
}

/**
 * Makes a change on behalf of the request's user.
 *
 * @param locate finds the place in the body that caused a failure
 * @throws HttpProblem when it is refused: then nothing has changed
 */
export async function makeChange(
  context: ApiContext,
  request: FastifyRequest,
  edit: Edit,
  locate?: Locate,
): Promise<AppliedChange> {
  let result: ChangeResult;
  try {
    const { actor, guard } = identityOf(request);
    result = await context.store.change(actor, edit, guard);
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    // What the edit itself has refused, in the middle of the change.
    throw error.cause instanceof HttpProblem ? error.cause : problemOf(error, locate);
  }
  return { ...result, applied: await applyInTime(context.controlPlane) };
}

/** The same for operations that do not depend on the current state. */
export function makeOperations(
  context: ApiContext,
  request: FastifyRequest,
  operations: readonly Operation[],
  locate?: Locate,
): Promise<AppliedChange> {
  return makeChange(context, request, () => operations, locate);
}

/** Puts the stored policy in force and waits for it, for a limited time. */
export async function applyInTime(controlPlane: ControlPlane): Promise<Applied> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Applied>((resolve) => {
    timer = setTimeout(() => {
      const { epoch } = controlPlane.health();
      const pending = 'it is stored; the packet threads have not taken it yet';
      resolve({ applied: false, epoch, pending });
    }, patienceMs);
  });
  try {
    return await Promise.race([controlPlane.apply(), late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Names that a body refers to: a missing one is an error of that value (422), not a missing page (404).
 *
 * @param lists by kind of thing: the names, and the path of their list in the body
 */
export function locateNames(
  lists: Partial<Record<'template' | 'server', { names: readonly string[]; path: string }>>,
): Locate {
  return (failure: Failure) => {
    if (failure.kind !== 'not-found') return undefined;
    if (failure.what !== 'template' && failure.what !== 'server') return undefined;
    const list = lists[failure.what];
    const index = list?.names.indexOf(failure.name) ?? -1;
    return index < 0 ? undefined : `${list!.path}[${index}]`;
  };
}
