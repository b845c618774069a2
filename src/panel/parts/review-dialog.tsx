/**
 * What a change would do, before it is made (`review-effects.tsx`). Saving makes exactly what was reviewed.
 *
 * A refusal goes to `onProblem`, if the caller has fields to show it at; otherwise it is shown here.
 */
import { Button, Group, Modal, Stack, TextInput } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import type { ReactNode } from 'react';
import { asProblem } from '../data/api-problem.ts';
import type { ApiProblem } from '../data/api-problem.ts';
import { makeChangeWith, review } from '../data/changes.ts';
import type { Operation } from '../data/changes.ts';
import { useChange } from '../data/queries.ts';
import type { Change } from '../data/types.ts';
import { noteApplied } from './applied-note.ts';
import { ProblemSummary } from './problem-summary.tsx';
import { ReviewEffects } from './review-effects.tsx';
import { Failed, Loading } from './states.tsx';

export interface ReviewDialogProps {
  readonly title: string;
  /** What is to be done; `undefined`: the dialog is closed. */
  readonly operations: readonly Operation[] | undefined;
  /** What the button says. */
  readonly action?: string;
  readonly dangerous?: boolean;
  /** What was done, for the note afterwards. */
  readonly done: string;
  /** Above the review. */
  readonly children?: ReactNode;
  readonly onClose: () => void;
  readonly onSaved: (change: Change) => void;
  /** @returns whether the caller shows it; then the dialog is closed */
  readonly onProblem?: (problem: ApiProblem) => boolean;
}

export function ReviewDialog(props: ReviewDialogProps): ReactNode {
  const { title, operations, onClose } = props;
  return (
    <Modal
      opened={operations !== undefined}
      onClose={onClose}
      title={title}
      size="xl"
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      {operations !== undefined && <Content {...props} operations={operations} />}
    </Modal>
  );
}

function Content({
  operations,
  action = 'Save and apply',
  dangerous = false,
  done,
  children,
  onClose,
  onSaved,
  onProblem,
}: ReviewDialogProps & { readonly operations: readonly Operation[] }): ReactNode {
  const [refusal, setRefusal] = useState<ApiProblem>();
  const preview = useQuery({
    queryKey: ['review', operations],
    queryFn: async ({ signal }) => {
      try {
        return await review(operations, signal);
      } catch (error) {
        if (!signal.aborted && onProblem?.(asProblem(error)) === true) onClose();
        throw error;
      }
    },
    gcTime: 0,
    staleTime: 0,
    refetchOnWindowFocus: false,
  });
  const change = useChange(makeChangeWith);
  const [why, setWhy] = useState('');
  const save = async (): Promise<void> => {
    setRefusal(undefined);
    try {
      const made = await change.mutateAsync({ operations, why });
      noteApplied(done, made.applied);
      onSaved(made);
    } catch (error) {
      const problem = asProblem(error);
      if (onProblem?.(problem) === true) onClose();
      else setRefusal(problem);
    }
  };
  const { data } = preview;
  const isEmpty = data?.changed.length === 0;
  return (
    <Stack>
      {refusal !== undefined && <ProblemSummary error={refusal} />}
      {children}
      {preview.isPending && <Loading rows={4} />}
      {preview.isError && <Failed error={preview.error} onRetry={() => void preview.refetch()} />}
      {data !== undefined && <ReviewEffects review={data} />}
      {data !== undefined && !isEmpty && <Reason value={why} onChange={setWhy} />}
      <Group justify="flex-end">
        <Button variant="default" onClick={onClose}>
          Back
        </Button>
        <Button
          onClick={save}
          loading={change.isPending}
          disabled={data === undefined || isEmpty}
          {...(dangerous && { color: 'red' })}
        >
          {action}
        </Button>
      </Group>
    </Stack>
  );
}

interface ReasonProps {
  readonly value: string;
  readonly onChange: (value: string) => void;
}

function Reason({ value, onChange }: ReasonProps): ReactNode {
  return (
    <TextInput
      label="Reason"
      description="For the history and the audit log, if you like"
      value={value}
      maxLength={500}
      onChange={({ currentTarget }) => onChange(currentTarget.value)}
      autoComplete="off"
    />
  );
}
