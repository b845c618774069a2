/** A new name for a firewall or server: what names it goes on with the new one. */
import { TextInput } from '@mantine/core';
import { useState } from 'react';
import type { ReactNode } from 'react';
import { asProblem } from '../data/api-problem.ts';
import { makeChange } from '../data/changes.ts';
import { useChange } from '../data/queries.ts';
import { noteApplied } from './applied-note.ts';
import { ConfirmDialog } from './confirm-dialog.tsx';

export interface RenameDialogProps {
  readonly kind: 'template' | 'server';
  readonly name: string;
  readonly revision: string;
  readonly opened: boolean;
  readonly onClose: () => void;
  readonly onRenamed: (to: string) => void;
}

export function RenameDialog(props: RenameDialogProps): ReactNode {
  const { kind, name, revision, opened, onClose, onRenamed } = props;
  const [to, setTo] = useState(name);
  const [error, setError] = useState('');
  const change = useChange(makeChange);
  const rename = async (): Promise<void> => {
    setError('');
    try {
      const { applied } = await change.mutateAsync([
        { kind: `rename-${kind}`, name, to, ifRevision: revision },
      ]);
      noteApplied(`${name} is ${to} now`, applied);
      onRenamed(to);
    } catch (failure) {
      const { kind: problem, errors, message } = asProblem(failure);
      const own = errors.filter(({ path }) => /(^|\.)(to|name)$/.test(path));
      if (own.length > 0) setError(own.map((each) => each.message).join('; '));
      else if (problem === 'exists') setError(message);
      throw failure;
    }
  };
  return (
    <ConfirmDialog
      title={`Rename ${name}`}
      action="Rename"
      opened={opened}
      onClose={onClose}
      onConfirm={rename}
    >
      <TextInput
        label="New name"
        value={to}
        onChange={({ currentTarget }) => setTo(currentTarget.value)}
        error={error}
        data-autofocus
        autoComplete="off"
        autoCapitalize="none"
        spellCheck={false}
      />
    </ConfirmDialog>
  );
}
