/** A set is edited, and the change reviewed. Errors stand at their fields. */
import { Button, Group, Stack } from '@mantine/core';
import { useState } from 'react';
import type { ReactNode } from 'react';
import type { ApiProblem } from '../../data/api-problem.ts';
import type { Operation } from '../../data/changes.ts';
import type { AddressSet } from '../../data/types.ts';
import { ProblemSummary } from '../../parts/problem-summary.tsx';
import { ReviewDialog } from '../../parts/review-dialog.tsx';
import { emptySet, setChange, setDraft, setErrors } from './set-draft.ts';
import { SetFields } from './set-fields.tsx';

export interface SetFormProps {
  /** Absent: a new one. */
  readonly set?: AddressSet;
  readonly onCancel: () => void;
  readonly onSaved: (name: string) => void;
}

export function SetForm({ set: before, onCancel, onSaved }: SetFormProps): ReactNode {
  // As it was when the form was opened: what is typed belongs to this one.
  const [set] = useState(before);
  const [draft, setDraftNow] = useState(() => (set === undefined ? emptySet : setDraft(set)));
  const [operations, setOperations] = useState<readonly Operation[]>();
  const [refusal, setRefusal] = useState<ApiProblem>();
  const errors = refusal === undefined ? new Map() : setErrors(refusal, draft);
  const name = draft.name.trim();
  return (
    <Stack>
      {refusal !== undefined && errors.size === 0 && <ProblemSummary error={refusal} />}
      <SetFields
        draft={draft}
        errors={errors}
        isNew={set === undefined}
        change={(values) => {
          setRefusal(undefined);
          setDraftNow({ ...draft, ...values });
        }}
      />
      <Group justify="flex-end">
        <Button variant="default" onClick={onCancel}>
          Cancel
        </Button>
        <Button onClick={() => setOperations(setChange(draft, set))}>Save</Button>
      </Group>
      <ReviewDialog
        title="Review before save"
        operations={operations}
        done={`${name} was ${set === undefined ? 'created' : 'saved'}`}
        onClose={() => setOperations(undefined)}
        onSaved={() => onSaved(name)}
        onProblem={(problem) => {
          setRefusal(problem);
          return true;
        }}
      />
    </Stack>
  );
}
