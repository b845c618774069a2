/** A policy as etcd keeps it: versions of a commit, digests and texts of files. */
import { filesOf, textDigestOf } from '../config-texts.ts';
import type { ConfigFiles } from '../config-texts.ts';
import type { Actor } from '../store.ts';
import type { WrittenVersion } from '../versions.ts';
import type { StoredVersion } from './layout.ts';

export function storedVersion(
  actor: Actor,
  { kind, name, cause, now }: WrittenVersion,
): StoredVersion {
  const { action, from, to } = cause;
  return {
    ...{ kind, name, actor, action },
    ...(from !== undefined && { from }),
    ...(to !== undefined && { to }),
    ...(now !== undefined && { text: textDigestOf(now.file) }),
    ...(now?.list !== undefined && {
      list: {
        file: now.list.name.slice('sets/'.length),
        sha256: textDigestOf(now.list),
        bytes: Buffer.byteLength(now.list.text!),
      },
    }),
  };
}

export function digestsOf(raw: ConfigFiles): Record<string, string> {
  const own = filesOf({ ...raw, gateway: undefined });
  return Object.fromEntries(own.map((file) => [file.name, textDigestOf(file)]));
}

export function textsOf(raw: ConfigFiles): Map<string, string> {
  return new Map(filesOf(raw).map(({ name, text = '' }) => [name, text]));
}

export function isSame(a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): boolean {
  return a.size === b.size && [...a].every(([name, text]) => b.get(name) === text);
}
