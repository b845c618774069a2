/** Before a server is destroyed: what that means, and the rules that name it. */
import { Text } from '@mantine/core';
import { useState } from 'react';
import type { ReactNode } from 'react';
import type { Mention, Server } from '../../data/types.ts';
import { DestroyDialog } from '../../parts/destroy-dialog.tsx';
import type { DestroyDialogProps } from '../../parts/destroy-dialog.tsx';
import { RemoveMentions } from '../../parts/used-by.tsx';

type Props = Omit<DestroyDialogProps, 'kind' | 'force' | 'children' | 'listsPlaces'> & {
  readonly it: Server;
};

export function DestroyServerDialog(props: Props): ReactNode {
  // The refusal of the review says where: a server's own page does not know it.
  const [usedBy, setUsedBy] = useState<readonly Mention[]>([]);
  const [force, setForce] = useState(false);
  return (
    <DestroyDialog
      {...props}
      kind="server"
      force={force}
      listsPlaces={usedBy.length > 0}
      onProblem={(problem) => {
        if (problem.kind === 'in-use') setUsedBy(problem.usedBy);
      }}
    >
      <Text size="sm">
        Everything to and from {props.it.addresses.join(', ')} is dropped from then on, live flows
        included. Its firewalls stay as they are.
      </Text>
      <RemoveMentions mentions={usedBy} force={force} onForce={setForce} />
    </DestroyDialog>
  );
}
