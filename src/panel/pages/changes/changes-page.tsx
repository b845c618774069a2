/** Every change of the policy, with its reason and what differs, and the way back to any of them. */
import { Button, Stack } from '@mantine/core';
import { IconHistory } from '@tabler/icons-react';
import { useState } from 'react';
import type { ReactNode } from 'react';
import { useMayChange } from '../../app/session.ts';
import type { Operation } from '../../data/changes.ts';
import { useChangeDiff, useChanges } from '../../data/queries.ts';
import type { PolicyChange } from '../../data/types.ts';
import { Diff } from '../../parts/diff.tsx';
import { HistoryEntry } from '../../parts/history-entry.tsx';
import { Page } from '../../parts/page.tsx';
import { ReviewDialog } from '../../parts/review-dialog.tsx';
import { Empty, Loaded } from '../../parts/states.tsx';

const pageSize = 50;

export default function ChangesPage(): ReactNode {
  const [limit, setLimit] = useState(pageSize);
  const changes = useChanges(limit);
  const mayChange = useMayChange();
  const [target, setTarget] = useState<{ number: number; newest: number }>();
  const operations: readonly Operation[] | undefined = target && [
    { kind: 'restore-policy', ...target },
  ];
  return (
    <Page
      title="Changes"
      about="Every change of firewalls, sets and servers, by hand too. Any of them can be returned to, as a whole."
    >
      <Loaded query={changes}>
        {({ changes: all, next }) =>
          all.length === 0 ? (
            <Empty icon={<IconHistory size={36} aria-hidden />} title="Nothing was changed yet">
              Changes by anybody will be listed here.
            </Empty>
          ) : (
            <Stack gap="sm">
              <Stack gap="sm" component="ol" className="versions">
                {all.map((change, index) => (
                  <Entry
                    key={change.number}
                    change={change}
                    before={all[index + 1]?.number ?? change.number - 1}
                    isNewest={index === 0}
                    {...(mayChange &&
                      index > 0 && {
                        onRestore: () =>
                          setTarget({ number: change.number, newest: all[0]!.number }),
                      })}
                  />
                ))}
              </Stack>
              {next !== undefined && (
                <Button variant="default" onClick={() => setLimit(limit + pageSize)}>
                  Show older ones
                </Button>
              )}
            </Stack>
          )
        }
      </Loaded>
      <ReviewDialog
        title={`Back to revision ${target?.number ?? 0}`}
        operations={operations}
        action="Roll back"
        done="The policy was rolled back"
        onClose={() => setTarget(undefined)}
        onSaved={() => setTarget(undefined)}
      />
    </Page>
  );
}

interface EntryProps {
  readonly change: PolicyChange;
  readonly before: number;
  readonly isNewest: boolean;
  readonly onRestore?: () => void;
}

function Entry({ change, before, isNewest, onRestore }: EntryProps): ReactNode {
  const { number, at, actor, via, summary, why } = change;
  return (
    <HistoryEntry
      title={`${number}. ${summary}`}
      {...{ actor, via, at, why, isNewest, onRestore }}
      backLabel={`Roll back to revision ${number}`}
    >
      <ChangeDiff from={before} to={number} />
    </HistoryEntry>
  );
}

function ChangeDiff({ from, to }: { readonly from: number; readonly to: number }): ReactNode {
  const diff = useChangeDiff(from, to);
  return (
    <Loaded query={diff} rows={2}>
      {(text) => <Diff text={text} label={`Changes of revision ${to}`} />}
    </Loaded>
  );
}
