/** Addresses are pasted, and added to a set or removed from it and its list. */
import { Button, Group, Modal, SegmentedControl, Stack, Textarea } from '@mantine/core';
import { useState } from 'react';
import type { ReactNode } from 'react';
import type { ApiProblem } from '../../data/api-problem.ts';
import type { Operation } from '../../data/changes.ts';
import type { AddressSet } from '../../data/types.ts';
import { count } from '../../parts/format.ts';
import { ReviewDialog } from '../../parts/review-dialog.tsx';
import { named, pasted } from './set-draft.ts';

export interface AddressesDialogProps {
  readonly set: AddressSet;
  readonly opened: boolean;
  readonly onClose: () => void;
}

export function AddressesDialog({ set, opened, onClose }: AddressesDialogProps): ReactNode {
  return (
    <Modal
      opened={opened}
      onClose={onClose}
      title={`Addresses of ${set.name}`}
      size="lg"
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      <Form set={set} onClose={onClose} />
    </Modal>
  );
}

function Form({ set, onClose }: Omit<AddressesDialogProps, 'opened'>): ReactNode {
  const [way, setWay] = useState<'add' | 'remove'>('add');
  const [text, setText] = useState('');
  const [operations, setOperations] = useState<readonly Operation[]>();
  const [refusal, setRefusal] = useState<ApiProblem>();
  const addresses = pasted(text);
  const many =
    addresses.length === 0 ? 'addresses' : count(addresses.length, 'address', 'addresses');
  const review = (): void => {
    const { name, revision } = set;
    setOperations([
      { kind: 'change-addresses', set: name, [way]: addresses, ifRevision: revision },
    ]);
  };
  return (
    <Stack>
      <SegmentedControl
        aria-label="What to do"
        value={way}
        onChange={setWay}
        data={[
          { value: 'add', label: 'Add' },
          { value: 'remove', label: 'Remove' },
        ]}
      />
      <Textarea
        label="Addresses"
        description={
          way === 'add'
            ? 'Addresses, blocks and ranges; # and ; begin a comment.'
            : 'As they are written in the set or in its list.'
        }
        placeholder={'192.0.2.9\n198.51.100.0/24'}
        value={text}
        onChange={({ currentTarget }) => {
          setRefusal(undefined);
          setText(currentTarget.value);
        }}
        error={refusal && wordsOf(refusal, addresses)}
        rows={8}
        classNames={{ input: 'mono' }}
        autoCapitalize="none"
        spellCheck={false}
        data-autofocus
      />
      <Group justify="flex-end">
        <Button variant="default" onClick={onClose}>
          Cancel
        </Button>
        <Button onClick={review} disabled={addresses.length === 0}>
          {way === 'add' ? `Add ${many}` : `Remove ${many}`}
        </Button>
      </Group>
      <ReviewDialog
        title="Review before save"
        operations={operations}
        done={`${set.name} was changed`}
        onClose={() => setOperations(undefined)}
        onSaved={onClose}
        onProblem={(problem) => {
          setRefusal(problem);
          return true;
        }}
      />
    </Stack>
  );
}

/** What is wrong, with the entry that is meant. */
function wordsOf({ errors, message }: ApiProblem, addresses: readonly string[]): string {
  if (errors.length === 0) return message;
  return errors
    .map((error) => named(addresses[Number(/\[(\d+)\]$/.exec(error.path)?.[1])], error.message))
    .join('; ');
}
