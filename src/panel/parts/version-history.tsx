/** Every version of a firewall or set with author, time and difference, and the way back to one. Also for a destroyed one. */
import { Stack } from '@mantine/core';
import { useState } from 'react';
import type { ReactNode } from 'react';
import { useLocation } from 'wouter';
import { useMayChange } from '../app/session.ts';
import type { Operation } from '../data/changes.ts';
import { useHistory, useVersionDiff } from '../data/queries.ts';
import type { Versioned } from '../data/queries.ts';
import type { Version } from '../data/types.ts';
import { Diff } from './diff.tsx';
import { BackLink } from './back-link.tsx';
import { HistoryEntry } from './history-entry.tsx';
import { Page } from './page.tsx';
import { ReviewDialog } from './review-dialog.tsx';
import { Loaded } from './states.tsx';

export interface VersionHistoryProps {
  readonly kind: Versioned;
  readonly name: string;
  /** Of the one that there is now; none: it was destroyed. */
  readonly revision: string | undefined;
  readonly isGone: boolean;
  /** Where all of them are: its path, and what it is called. */
  readonly home: { readonly path: string; readonly title: string };
}

export function VersionHistory(props: VersionHistoryProps): ReactNode {
  const { kind, name, revision, isGone, home } = props;
  const history = useHistory(kind, name);
  const mayChange = useMayChange();
  const [, navigate] = useLocation();
  const [operations, setOperations] = useState<readonly Operation[]>();
  const restore = (version: number): void =>
    setOperations([
      {
        ...{ kind: `restore-${kind}`, name, version },
        ...(revision !== undefined && !isGone && { ifRevision: revision }),
      },
    ]);
  return (
    <Page
      title={`History of ${name}`}
      back={
        <BackLink
          path={isGone ? home.path : `${home.path}/${name}`}
          title={isGone ? home.title : name}
        />
      }
      about={isGone ? 'It was destroyed. Any version can bring it back.' : undefined}
    >
      <Loaded query={history}>
        {({ versions }) => (
          <Stack gap="sm" component="ol" className="versions">
            {versions.map((version, index) => (
              <VersionItem
                key={version.version}
                {...{ kind, name, version }}
                before={versions[index + 1]?.version ?? 0}
                isNewest={index === 0}
                {...(mayChange &&
                  version.sha256 !== undefined &&
                  (index > 0 || isGone) && { onRestore: () => restore(version.version) })}
              />
            ))}
          </Stack>
        )}
      </Loaded>
      <ReviewDialog
        title={`Back to a former version of ${name}`}
        operations={operations}
        action="Roll back"
        done={`${name} was rolled back`}
        onClose={() => setOperations(undefined)}
        onSaved={() => navigate(`${home.path}/${name}`)}
      />
    </Page>
  );
}

const actionWords: Readonly<Record<Version['action'], string>> = {
  create: 'Created',
  edit: 'Edited',
  clone: 'Copied',
  rename: 'Renamed',
  restore: 'Rolled back',
  destroy: 'Destroyed',
  expire: 'A rule expired',
  revive: 'A rule counts again',
};

/** What was done, and in the case of a hand edit where. */
function title({ version, action, from, to }: Version): string {
  const words = actionWords[action];
  const names = from !== undefined && to !== undefined ? ` from ${from} to ${to}` : '';
  return `${version}. ${words}${names}`;
}

interface VersionItemProps {
  readonly kind: Versioned;
  readonly name: string;
  readonly version: Version;
  /** 0: nothing. */
  readonly before: number;
  readonly isNewest: boolean;
  readonly onRestore?: () => void;
}

function VersionItem(props: VersionItemProps): ReactNode {
  const { kind, name, version, before, isNewest, onRestore } = props;
  const { at, actor, via, sha256 } = version;
  return (
    <HistoryEntry
      {...{ title: title(version), actor, via, at, isNewest, onRestore }}
      backLabel={`Roll back to version ${version.version}`}
    >
      {sha256 === undefined ? undefined : (
        <VersionDiff {...{ kind, name }} from={before} to={version.version} />
      )}
    </HistoryEntry>
  );
}

interface VersionDiffProps {
  readonly kind: Versioned;
  readonly name: string;
  readonly from: number;
  readonly to: number;
}

function VersionDiff({ kind, name, from, to }: VersionDiffProps): ReactNode {
  const diff = useVersionDiff(kind, name, from, to);
  return (
    <Loaded query={diff} rows={2}>
      {(text) => <Diff text={text} label={`Changes of version ${to}`} />}
    </Loaded>
  );
}
