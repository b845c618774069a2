/** Before a set is destroyed: the places that name it. They keep it, unless they are to lose it, too. */
import { Text } from '@mantine/core';
import { useState } from 'react';
import type { ReactNode } from 'react';
import type { AddressSet } from '../../data/types.ts';
import { DestroyDialog } from '../../parts/destroy-dialog.tsx';
import type { DestroyDialogProps } from '../../parts/destroy-dialog.tsx';
import { RemoveMentions } from '../../parts/used-by.tsx';

type Props = Omit<DestroyDialogProps, 'kind' | 'force' | 'children' | 'listsPlaces'> & {
  readonly it: AddressSet;
};

export function DestroySetDialog(props: Props): ReactNode {
  const { usedBy, file } = props.it;
  const [force, setForce] = useState(false);
  return (
    <DestroyDialog {...props} kind="set" force={force} listsPlaces={usedBy.length > 0}>
      <Text size="sm">
        {file !== undefined && `Its list ${file} goes with it. `}Its history stays, and can bring it
        back.
      </Text>
      <RemoveMentions mentions={usedBy} force={force} onForce={setForce} />
    </DestroyDialog>
  );
}
