/** Before a set is destroyed: the places that name it. They keep it, unless they are to lose it, too. */
import { Checkbox, Text } from '@mantine/core';
import { useMemo, useState } from 'react';
import type { ReactNode } from 'react';
import type { Operation } from '../../data/changes.ts';
import type { AddressSet } from '../../data/types.ts';
import { count } from '../../parts/format.ts';
import { ReviewDialog } from '../../parts/review-dialog.tsx';
import { UsedBy } from '../../parts/used-by.tsx';

export interface DestroySetDialogProps {
  readonly set: AddressSet;
  readonly opened: boolean;
  readonly onClose: () => void;
  readonly onDestroyed: () => void;
}

export function DestroySetDialog(props: DestroySetDialogProps): ReactNode {
  const { set, opened, onClose, onDestroyed } = props;
  const { name, revision, usedBy, file } = set;
  const [force, setForce] = useState(false);
  const operations = useMemo(
    (): readonly Operation[] => [{ kind: 'destroy-set', name, force, ifRevision: revision }],
    [name, force, revision],
  );
  return (
    <ReviewDialog
      title={`Destroy ${name}`}
      operations={opened ? operations : undefined}
      action="Destroy"
      dangerous
      done={`${name} was destroyed`}
      onClose={onClose}
      onSaved={onDestroyed}
    >
      <Text size="sm">
        {file !== undefined && `Its list ${file} goes with it. `}Its history stays, and can bring it
        back.
      </Text>
      {usedBy.length > 0 && (
        <>
          <Text size="sm">It is named in {count(usedBy.length, 'place')}:</Text>
          <UsedBy mentions={usedBy} />
          <Checkbox
            label="Remove it from these places, too"
            description="A rule that has no other address left goes with it: it would be for everybody."
            checked={force}
            onChange={({ currentTarget }) => setForce(currentTarget.checked)}
          />
        </>
      )}
    </ReviewDialog>
  );
}
