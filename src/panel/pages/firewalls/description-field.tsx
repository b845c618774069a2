/** What a firewall is for, in a line; and the labels of servers that have it without being named. */
import { TagsInput, TextInput } from '@mantine/core';
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

export function AppliesToField({ draft, errors, dispatch }: DescriptionFieldProps): ReactNode {
  return (
    <TagsInput
      label="Applies to"
      description="Servers with these labels have the firewall, too: role=web, env!=test. Enter ends a selector; a server that matches any of them has it."
      placeholder={draft.appliesTo.length === 0 ? 'role=web' : ''}
      value={[...draft.appliesTo]}
      onChange={(appliesTo) => dispatch({ kind: 'set', values: { appliesTo } })}
      splitChars={[';']}
      acceptValueOnBlur
      error={errors.appliesTo.join('; ')}
    />
  );
}
