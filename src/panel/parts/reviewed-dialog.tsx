/** A dialog in which a change is put together, and the review of it. What was chosen is still there when one comes back from the review. */
import { Modal } from '@mantine/core';
import type { MantineSize } from '@mantine/core';
import { useState } from 'react';
import type { ReactNode } from 'react';
import type { Operation } from '../data/changes.ts';
import { ReviewDialog } from './review-dialog.tsx';

export interface ReviewedDialogProps {
  readonly title: string;
  readonly reviewTitle?: string;
  readonly size?: MantineSize;
  readonly opened: boolean;
  /** What was done, for the note afterwards. */
  readonly done: string;
  readonly onClose: () => void;
  /** What one chooses in, while it is opened. */
  readonly children: (onReview: (operations: readonly Operation[]) => void) => ReactNode;
}

export function ReviewedDialog(props: ReviewedDialogProps): ReactNode {
  const { title, reviewTitle = 'Review before save', size = 'md', opened, done, onClose } = props;
  const [operations, setOperations] = useState<readonly Operation[]>();
  return (
    <>
      <Modal
        opened={opened && operations === undefined}
        onClose={onClose}
        title={title}
        size={size}
        keepMounted
        closeButtonProps={{ 'aria-label': 'Close' }}
      >
        {opened && props.children(setOperations)}
      </Modal>
      <ReviewDialog
        title={reviewTitle}
        operations={operations}
        done={done}
        onClose={() => setOperations(undefined)}
        onSaved={() => {
          setOperations(undefined);
          onClose();
        }}
      />
    </>
  );
}
