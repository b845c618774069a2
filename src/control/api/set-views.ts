/** Sets in answers: their bodies, with computed fields. */
import { setBody } from '../../policy/bodies.ts';
import type { SetBody } from '../../policy/bodies.ts';
import type { AddressSet } from '../../policy/types.ts';
import { findMentions, mentionsOf } from '../store/mentions.ts';
import type { Mention, Mentions } from '../store/mentions.ts';
import type { Snapshot, VersionHistory } from '../store/store.ts';
import { countAddresses, resolverOf } from './resolved.ts';
import { changeMark, notFound } from './views.ts';
import type { ChangeMark } from './views.ts';

export interface SetSummary {
  readonly name: string;
  readonly description?: string;
  readonly listEntries?: number;
  readonly addressCount: number;
  readonly rangeCount: number;
  readonly usedBy: readonly Mention[];
  readonly revision: string;
}

export type SetView = SetBody & SetSummary;

const known = new WeakMap<Snapshot, Mentions>();

export function setView(snapshot: Snapshot, set: AddressSet): SetView {
  return { ...setBody(set), ...setSummary(snapshot, set) };
}

export function setSummary(snapshot: Snapshot, set: AddressSet): SetSummary {
  const { name, description, listEntries } = set;
  let mentions = known.get(snapshot);
  if (mentions === undefined) {
    mentions = findMentions(snapshot);
    known.set(snapshot, mentions);
  }
  const peer = { kind: 'set', name, text: `set:${name}` } as const;
  const ranges = resolverOf(snapshot).rangesOf({ protocol: 'all', peers: [peer] })!;
  return {
    name,
    ...(description !== undefined && { description }),
    ...(listEntries !== undefined && { listEntries }),
    addressCount: countAddresses(ranges),
    rangeCount: ranges.length / 2,
    usedBy: mentionsOf(mentions, { kind: 'set', name }),
    revision: snapshot.revisions.sets.get(name)!,
  };
}

/** @throws HttpProblem `not-found` */
export function requireSet(snapshot: Snapshot, name: string): AddressSet {
  const found = snapshot.sets.find((each) => each.name === name);
  if (found === undefined) throw notFound('set', name);
  return found;
}

/** Of a template or set. */
export async function lastChange(
  history: VersionHistory,
  name: string,
): Promise<{ changed?: ChangeMark }> {
  const [newest] = await history.list(name);
  return newest === undefined ? {} : { changed: changeMark(newest) };
}
