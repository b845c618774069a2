/** Firewalls are given to the servers that are checked, or taken from them, in one change that is reviewed. */
import { Button, Group, Modal, MultiSelect, Stack, Text } from '@mantine/core';
import { useState } from 'react';
import type { ReactNode } from 'react';
import type { Operation } from '../../data/changes.ts';
import { useTemplates } from '../../data/queries.ts';
import { count } from '../../parts/format.ts';
import { ReviewDialog } from '../../parts/review-dialog.tsx';

export interface BulkAssignProps {
  readonly servers: readonly string[];
  readonly onClear: () => void;
}

export function BulkAssign({ servers, onClear }: BulkAssignProps): ReactNode {
  const [opened, setOpened] = useState(false);
  return (
    <Group gap="xs">
      <Text size="sm" fw={600} role="status" aria-label="Servers selected">
        {count(servers.length, 'server')} selected
      </Text>
      <Button size="xs" onClick={() => setOpened(true)}>
        Assign firewalls
      </Button>
      <Button size="xs" variant="default" onClick={onClear}>
        Clear
      </Button>
      <Modal
        opened={opened}
        onClose={() => setOpened(false)}
        title={`Firewalls of ${count(servers.length, 'server')}`}
        closeButtonProps={{ 'aria-label': 'Close' }}
      >
        <Form servers={servers} onDone={onClear} onClose={() => setOpened(false)} />
      </Modal>
    </Group>
  );
}

interface FormProps {
  readonly servers: readonly string[];
  readonly onClose: () => void;
  readonly onDone: () => void;
}

function Form({ servers, onClose, onDone }: FormProps): ReactNode {
  const { data } = useTemplates();
  const [templates, setTemplates] = useState<readonly string[]>([]);
  const [operations, setOperations] = useState<readonly Operation[]>();
  const review = (kind: 'assign' | 'unassign'): void =>
    setOperations([{ kind, servers, templates }]);
  return (
    <Stack>
      <MultiSelect
        label="Firewalls"
        data={(data?.templates ?? []).map(({ name }) => name)}
        value={[...templates]}
        onChange={setTemplates}
        searchable
        nothingFoundMessage="No firewall is called so"
        data-autofocus
      />
      <Group justify="flex-end">
        <Button
          variant="default"
          disabled={templates.length === 0}
          onClick={() => review('unassign')}
        >
          Take away
        </Button>
        <Button disabled={templates.length === 0} onClick={() => review('assign')}>
          Assign
        </Button>
      </Group>
      <ReviewDialog
        title="Review before save"
        operations={operations}
        done={`${count(servers.length, 'server was', 'servers were')} changed`}
        onClose={() => setOperations(undefined)}
        onSaved={() => {
          onClose();
          onDone();
        }}
      />
    </Stack>
  );
}
