/** What a firewall is for, in a line. */
import { TextInput } from '@mantine/core';
import type { ReactNode } from 'react';
import type { DraftErrors } from './draft-errors.ts';
import type { Action, Draft } from './draft.ts';

export interface DescriptionFieldProps {
  readonly draft: Draft;
  readonly errors: DraftErrors;
  readonly dispatch: (action: Action) => void;
}

export function DescriptionField({ draft, errors, dispatch }: DescriptionFieldProps): ReactNode {
  return (
    <TextInput
      label="Description"
      placeholder="What it is for"
      value={draft.description}
      onChange={({ currentTarget }) =>
        dispatch({ kind: 'set', values: { description: currentTarget.value } })
      }
      error={errors.description.join('; ')}
      autoComplete="off"
      miw={220}
    />
  );
}
