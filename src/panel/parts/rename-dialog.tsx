/** A new name for a firewall or server: what names it goes on with the new one. It is reviewed first. */
import { Button, Group, Modal, Stack, TextInput } from '@mantine/core';
import { useState } from 'react';
import type { ReactNode, SubmitEvent } from 'react';
import type { ApiProblem } from '../data/api-problem.ts';
import type { Operation } from '../data/changes.ts';
import { ReviewDialog } from './review-dialog.tsx';

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
  const [operations, setOperations] = useState<readonly Operation[]>();
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    setError('');
    setOperations([{ kind: `rename-${kind}`, name, to, ifRevision: revision }]);
  };
  const refuse = (problem: ApiProblem): boolean => {
    const text = textFor(problem);
    setError(text);
    return text !== '';
  };
  return (
    <>
      <Modal
        opened={opened}
        onClose={onClose}
        title={`Rename ${name}`}
        closeButtonProps={{ 'aria-label': 'Close' }}
      >
        <form onSubmit={submit} noValidate>
          <Stack>
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
            <Group justify="flex-end">
              <Button variant="default" onClick={onClose}>
                Cancel
              </Button>
              <Button type="submit">Rename</Button>
            </Group>
          </Stack>
        </form>
      </Modal>
      <ReviewDialog
        title="Review before save"
        operations={operations}
        done={`${name} is ${to} now`}
        onClose={() => setOperations(undefined)}
        onSaved={() => {
          setOperations(undefined);
          onClose();
          onRenamed(to);
        }}
        onProblem={refuse}
      />
    </>
  );
}

/** What is wrong with the name; empty: it is something else. */
function textFor({ kind, errors, message }: ApiProblem): string {
  if (kind === 'exists') return message;
  const own = errors.filter(({ path }) => /(^|\.)(to|name)$/.test(path));
  return own.map((each) => each.message).join('; ');
}
