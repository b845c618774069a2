/**
 * What a change would do, before it is made (`review-effects.tsx`). Saving makes exactly what was reviewed. Every change of
 * the policy goes through here, so every one can be undone by itself if nobody confirms it (`app/unconfirmed.tsx`).
 *
 * A refusal goes to `onProblem`, if the caller has fields to show it at; otherwise it is shown here.
 */
import { Alert, Button, Group, Modal, NativeSelect, Stack, TextInput } from '@mantine/core';
import { IconAlertTriangle } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import type { UseQueryResult } from '@tanstack/react-query';
import { useState } from 'react';
import type { ReactNode } from 'react';
import { asProblem, isKind } from '../data/api-problem.ts';
import type { ApiProblem } from '../data/api-problem.ts';
import { makeChange, review } from '../data/changes.ts';
import type { Operation } from '../data/changes.ts';
import { useChange, useStatus } from '../data/queries.ts';
import type { Change, Review } from '../data/types.ts';
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
  /** Whether `children` list the places that a refusal as in-use is about. */
  readonly listsPlaces?: boolean;
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

type ContentProps = ReviewDialogProps & { readonly operations: readonly Operation[] };

function Content(props: ContentProps): ReactNode {
  const { operations, children, onClose, onProblem } = props;
  const [refusal, setRefusal] = useState<ApiProblem>();
  const change = useChange(makeChange);
  const status = useStatus();
  // While this one is being made, it is the one that waits.
  const waiting = change.isPending ? undefined : status.data?.unconfirmed;
  const preview = useReview(props, waiting?.revision);
  const [why, setWhy] = useState('');
  const [chosen, setChosen] = useState<number>();
  const { data } = preview;
  // Whoever may cut off the own session is asked, unless it was chosen otherwise.
  const confirmWithinS = chosen ?? (data?.cutsClient === true ? usualS : 0);
  const save = async (): Promise<void> => {
    setRefusal(undefined);
    try {
      const made = await change.mutateAsync({
        ...{ operations, why },
        ...(confirmWithinS > 0 && { confirmWithinS }),
      });
      noteApplied(props.done, made.applied);
      props.onSaved(made);
    } catch (error) {
      const problem = asProblem(error);
      if (onProblem?.(problem) === true) onClose();
      else setRefusal(problem);
    }
  };
  const isEmpty = data?.changed.length === 0;
  return (
    <Stack>
      {refusal !== undefined && <ProblemSummary error={refusal} />}
      {waiting !== undefined && (
        <Alert color="orange" title={`A change of ${waiting.actor} waits for confirmation`}>
          One at a time: when that one is kept or undone, this one can be made.
        </Alert>
      )}
      {children}
      {preview.isPending && <Loading rows={4} />}
      {preview.isError && (
        <NoReview {...props} error={preview.error} onRetry={() => void preview.refetch()} />
      )}
      {data !== undefined && <ReviewEffects review={data} />}
      {data !== undefined && !isEmpty && (
        <>
          <Reason value={why} onChange={setWhy} />
          <Confirmation seconds={confirmWithinS} onChange={setChosen} />
        </>
      )}
      <Buttons
        {...props}
        onSave={save}
        isSaving={change.isPending}
        isReady={data !== undefined && !isEmpty && waiting === undefined}
      />
    </Stack>
  );
}

interface NoReviewProps extends Pick<ReviewDialogProps, 'listsPlaces'> {
  readonly error: unknown;
  readonly onRetry: () => void;
}

/** What is in use stays so, however often one asks. */
function NoReview({ error, listsPlaces = false, onRetry }: NoReviewProps): ReactNode {
  if (!isKind(error, 'in-use')) return <Failed error={error} onRetry={onRetry} />;
  if (!listsPlaces) return <Failed error={error} />;
  return (
    <Alert color="red" icon={<IconAlertTriangle aria-hidden />} title={asProblem(error).title} />
  );
}

/** @param waiting the change that waits for confirmation: what this one does is another thing with it and without */
function useReview(
  { operations, onClose, onProblem }: ContentProps,
  waiting: number | undefined,
): UseQueryResult<Review> {
  return useQuery({
    queryKey: ['review', operations, waiting],
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
}

interface ButtonsProps extends Pick<ReviewDialogProps, 'action' | 'dangerous' | 'onClose'> {
  readonly onSave: () => void;
  readonly isSaving: boolean;
  readonly isReady: boolean;
}

function Buttons(props: ButtonsProps): ReactNode {
  const {
    action = 'Save and apply',
    dangerous = false,
    onClose,
    onSave,
    isSaving,
    isReady,
  } = props;
  return (
    <Group justify="flex-end">
      <Button variant="default" onClick={onClose}>
        Back
      </Button>
      <Button
        onClick={onSave}
        loading={isSaving}
        disabled={!isReady}
        {...(dangerous && { color: 'red' })}
      >
        {action}
      </Button>
    </Group>
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

const usualS = 60;

/** Seconds; 0: it is not asked. */
const confirmations = [
  { value: '0', label: 'Do not ask: they stay' },
  { value: '60', label: 'Ask: without an answer they go back after 60 s' },
  { value: '300', label: 'Ask: without an answer they go back after 5 min' },
  { value: '1800', label: 'Ask: without an answer they go back after 30 min' },
];

interface ConfirmationProps {
  readonly seconds: number;
  readonly onChange: (seconds: number) => void;
}

function Confirmation({ seconds, onChange }: ConfirmationProps): ReactNode {
  return (
    <NativeSelect
      label="Keep these rules?"
      description="Whoever is cut off cannot answer. Then the firewall undoes the change by itself."
      data={confirmations}
      value={String(seconds)}
      onChange={({ currentTarget }) => onChange(Number(currentTarget.value))}
    />
  );
}
