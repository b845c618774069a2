/** Asks for confirmation of an action without undo. A refusal is shown in the dialog, which stays open. */
import { Button, Group, Modal, Stack } from '@mantine/core';
import { useState } from 'react';
import type { ReactNode } from 'react';
import { ProblemSummary } from './problem-summary.tsx';

export interface ConfirmDialogProps {
  readonly title: string;
  readonly children: ReactNode;
  /** What the button says: the thing that is done, not "OK". */
  readonly action: string;
  readonly dangerous?: boolean;
  readonly opened: boolean;
  readonly onClose: () => void;
  /** Closes the dialog when it is done. */
  readonly onConfirm: () => Promise<unknown>;
}

export function ConfirmDialog(props: ConfirmDialogProps): ReactNode {
  const { title, children, action, dangerous = false, opened, onClose, onConfirm } = props;
  const [error, setError] = useState<unknown>();
  const [isBusy, setBusy] = useState(false);
  const close = (): void => {
    setError(undefined);
    onClose();
  };
  const confirm = async (): Promise<void> => {
    setBusy(true);
    setError(undefined);
    try {
      await onConfirm();
      close();
    } catch (failure) {
      setError(failure);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Modal
      opened={opened}
      onClose={close}
      title={title}
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      <Stack gap="md">
        {error !== undefined && <ProblemSummary error={error} />}
        <div>{children}</div>
        <Group justify="flex-end">
          <Button variant="default" onClick={close}>
            Cancel
          </Button>
          <Button {...(dangerous && { color: 'red' })} loading={isBusy} onClick={confirm}>
            {action}
          </Button>
        </Group>
      </Stack>
    </Modal>
  );
}
