/** A new name for a firewall: its servers and its history stay with it. */
import { TextInput } from '@mantine/core';
import { useState } from 'react';
import type { ReactNode } from 'react';
import { asProblem } from '../../data/api-problem.ts';
import { makeChange } from '../../data/changes.ts';
import { useChange } from '../../data/queries.ts';
import type { Template } from '../../data/types.ts';
import { noteApplied } from '../../parts/applied-note.ts';
import { ConfirmDialog } from '../../parts/confirm-dialog.tsx';

export interface RenameDialogProps {
  readonly template: Template;
  readonly opened: boolean;
  readonly onClose: () => void;
  readonly onRenamed: (to: string) => void;
}

export function RenameDialog(props: RenameDialogProps): ReactNode {
  const { template, opened, onClose, onRenamed } = props;
  const { name, revision } = template;
  const [to, setTo] = useState(name);
  const [error, setError] = useState('');
  const change = useChange(makeChange);
  const rename = async (): Promise<void> => {
    setError('');
    try {
      const { applied } = await change.mutateAsync([
        { kind: 'rename-template', name, to, ifRevision: revision },
      ]);
      noteApplied(`${name} is ${to} now`, applied);
      onRenamed(to);
    } catch (failure) {
      const { kind, errors, message } = asProblem(failure);
      const own = errors.filter(({ path }) => /(^|\.)(to|name)$/.test(path));
      if (own.length > 0) setError(own.map((each) => each.message).join('; '));
      else if (kind === 'exists') setError(message);
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
