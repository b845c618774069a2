/**
 * A change is stored, then put in force, then answered. So after an answer with `applied: true` no packet is judged by
 * the old policy any more.
 */
import { basename } from 'node:path';
import type { FastifyRequest } from 'fastify';
import type { Static } from 'typebox';
import { openings } from '../../policy/openings.ts';
import type {
  ChangeOptions,
  ChangeResult,
  Edit,
  Failure,
  Operation,
  Snapshot,
} from '../store/store.ts';
import { maxWhy, StoreError } from '../store/store.ts';
import { identityOf } from './access.ts';
import { effectsOf } from './affected.ts';
import type { ApiContext, Applied, ControlPlane } from './context.ts';
import { pendingIn } from './fleet.ts';
import { HttpProblem, problemOf } from './http-problem.ts';
import type { Locate } from './http-problem.ts';
import type { unconfirmed } from './schemas.ts';
import { confirmTimeOf, unconfirmedIn } from './unconfirmed.ts';

/** How long an answer waits for the data plane; usually it takes milliseconds. */
const patienceMs = 5000;

export interface AppliedChange extends ChangeResult {
  readonly applied: AppliedWithWarnings;
}

/** Absent: nothing. */
export type AppliedWithWarnings = Applied & {
  /** What the change has brought that is valid, and perhaps not meant. */
  readonly warnings?: readonly string[];
  /** What has become possible, in sentences, for who wants to know. */
  readonly opens?: readonly string[];
  /** It waits for confirmation. */
  readonly unconfirmed?: Static<typeof unconfirmed>;
};

export function withWarnings(
  applied: AppliedWithWarnings,
  warnings: readonly string[],
): AppliedWithWarnings {
  if (warnings.length === 0) return applied;
  return { ...applied, warnings: [...(applied.warnings ?? []), ...warnings] };
}

/** Warnings of a state that the one before did not have. Places do not count: lines and rules move. */
export function newWarnings(before: Snapshot, after: Snapshot): string[] {
  const words = ({ problems }: Snapshot): string[] =>
    problems
      .filter(({ severity }) => severity === 'warning')
      .map(({ file, message }) => `${basename(file)}: ${message}`);
  const known = new Set(words(before));
  return [...new Set(words(after))].filter((each) => !known.has(each));
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
  try {
    return await storeChange(context, request, edit);
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    // What the edit itself has refused, in the middle of the change.
    throw error.cause instanceof HttpProblem ? error.cause : problemOf(error, locate);
  }
}

/** The same, with refusals as the store has them. @throws StoreError */
export async function storeChange(
  context: ApiContext,
  request: FastifyRequest,
  edit: Edit,
): Promise<AppliedChange> {
  const { actor } = identityOf(request);
  let before: Snapshot | undefined;
  const remember: Edit = (snapshot) => edit((before = snapshot));
  const options = changeOptions(request);
  const confirmWithinS = confirmTimeOf(request);
  await context.controlPlane.undoOverdue?.();
  const result = await context.store.change(actor, remember, {
    ...options,
    ...(confirmWithinS !== undefined && { confirmWithinS }),
  });
  const isMade = result.changed.length > 0;
  const asked = isMade && confirmWithinS !== undefined;
  const applied = {
    ...(await inForce(context, isMade)),
    ...(asked && (await unconfirmedIn(context.store))),
  };
  if (before === undefined) return { ...result, applied };
  const opens = prefersOpenings(request) ? openedBy(before, result) : [];
  const told = opens.length === 0 ? applied : { ...applied, opens };
  return { ...result, applied: withWarnings(told, newWarnings(before, result.snapshot)) };
}

/** What is stored now. @param isMade it has been changed */
export async function inForce(context: ApiContext, isMade = true): Promise<Applied> {
  const here = await applyInTime(context.controlPlane);
  return { ...here, ...(isMade && (await elsewhere(context))) };
}

/** It takes time to find them: so only who prints them asks for them. */
function prefersOpenings({ headers }: FastifyRequest): boolean {
  const preferences = [headers['prefer'] ?? []].flat().join(',').split(',');
  return preferences.some((each) => each.trim().toLowerCase() === 'openings');
}

function openedBy(before: Snapshot, { snapshot, changed }: ChangeResult): string[] {
  const nowMs = Date.now();
  const { affected } = effectsOf(before, snapshot, changed, nowMs);
  const servers = affected.map(({ server }) => server);
  return openings(before, snapshot, servers, nowMs);
}

/** The header of every change that says why it is made. */
export const messageHeader = 'tunwall-message';

/**
 * Of every change: whether the client still may make it, and why it does.
 *
 * @param guard default: that of the client's access
 * @throws HttpProblem `bad-request`
 */
export function changeOptions(
  request: FastifyRequest,
  guard = identityOf(request).guard,
): Pick<ChangeOptions, 'guard' | 'why'> {
  const why = whyOf(request);
  return { ...(guard !== undefined && { guard }), ...(why !== undefined && { why }) };
}

/** @throws HttpProblem `bad-request` */
function whyOf({ headers }: FastifyRequest): string | undefined {
  const value = headers[messageHeader];
  if (value === undefined) return undefined;
  const text = decoded([value].flat().join(', ')).trim();
  if (text.length > maxWhy) {
    throw new HttpProblem('bad-request', `${messageHeader}: it has at most ${maxWhy} characters`);
  }
  return text === '' ? undefined : text;
}

function decoded(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    throw new HttpProblem(
      'bad-request',
      `${messageHeader}: expected text in UTF-8, percent-encoded as in a URL; % itself is %25`,
    );
  }
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

/** How far the other gateways are, if there can be any. The change is made: not to know it is no failure. */
async function elsewhere({
  controlPlane,
}: ApiContext): Promise<Pick<Applied, 'change' | 'pendingGateways'>> {
  const fleet = await controlPlane.gateways();
  if (fleet.newest === undefined) return {};
  return { change: fleet.newest, pendingGateways: pendingIn(fleet) };
}

/** Puts the stored policy in force and waits for it, for a limited time. */
async function applyInTime(controlPlane: ControlPlane): Promise<Applied> {
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
