/** Commits that change no file: a record alone, and the mark that time has changed what a template means. */
import { cutEvent } from '../audit-events.ts';
import { sha256 } from '../config-texts.ts';
import type { Actor, AuditEvent, VersionHistory } from '../store.ts';
import type { Addition } from './committer.ts';
import type { StoredVersion } from './layout.ts';
import type { SharedReading } from './replica.ts';

/** A mark of the same kind that is so young was made by another gateway for the same moment. */
const sameMarkMs = 60_000;

/** Bytes of the audit record in a commit. */
export const eventBytes = 4096;

export function eventOnly({ head }: SharedReading, event: AuditEvent): Addition {
  const commits = [{ event: cutEvent(event, eventBytes), versions: [] }];
  return { commits, files: head.files, texts: new Map() };
}

/**
 * Each gateway sees the end of a rule; one of them marks it.
 *
 * @returns `undefined`: there is nothing to mark, or it is marked
 */
export async function endMark(
  { raw, head }: SharedReading,
  history: VersionHistory,
  name: string,
  actor: Actor,
  action: 'expire' | 'revive',
): Promise<Addition | undefined> {
  const file = raw.templates?.find((each) => each.name === `templates/${name}.yaml`);
  if (file?.text === undefined) return undefined;
  const [newest] = await history.list(name);
  const isMarked = newest?.action === action && Date.now() - Date.parse(newest.at) < sameMarkMs;
  if (newest === undefined || isMarked) return undefined;
  const version: StoredVersion = {
    ...{ kind: 'template', name, actor, action },
    text: sha256(file.text),
  };
  return { commits: [{ versions: [version] }], files: head.files, texts: new Map() };
}
