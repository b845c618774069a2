/** The fields of a set, new or as it is. */
import { MultiSelect, Stack, TextInput, Textarea } from '@mantine/core';
import type { ReactNode } from 'react';
import { useSets } from '../../data/queries.ts';
import type { SetDraft, SetErrors, SetField } from './set-draft.ts';

export interface SetFieldsProps {
  readonly draft: SetDraft;
  readonly errors: SetErrors;
  readonly isNew: boolean;
  readonly change: (values: Partial<SetDraft>) => void;
}

const notation = { autoComplete: 'off', autoCapitalize: 'none', spellCheck: false } as const;

export function SetFields({ draft, errors, isNew, change }: SetFieldsProps): ReactNode {
  const sets = useSets();
  const others = (sets.data?.sets ?? []).map(({ name }) => name);
  const errorOf = (field: SetField): string | undefined => errors.get(field);
  return (
    <Stack gap="sm">
      {isNew && (
        <TextInput
          label="Name"
          placeholder="office"
          value={draft.name}
          onChange={({ currentTarget }) => change({ name: currentTarget.value })}
          error={errorOf('name')}
          {...notation}
        />
      )}
      <TextInput
        label="Description"
        placeholder="Whose addresses these are"
        value={draft.description}
        onChange={({ currentTarget }) => change({ description: currentTarget.value })}
        error={errorOf('description')}
        autoComplete="off"
      />
      <Textarea
        label="Addresses"
        description="Addresses, blocks and ranges. Paste a list: lines, blanks and commas part them; # and ; begin a comment."
        placeholder={'192.0.2.0/24\n198.51.100.10-198.51.100.20'}
        value={draft.addresses}
        onChange={({ currentTarget }) => change({ addresses: currentTarget.value })}
        error={errorOf('addresses')}
        rows={6}
        classNames={{ input: 'mono' }}
        {...notation}
      />
      <Textarea
        label="Except"
        description="Taken away from all of the set, also from the sets that it includes."
        placeholder="192.0.2.66"
        value={draft.except}
        onChange={({ currentTarget }) => change({ except: currentTarget.value })}
        error={errorOf('except')}
        rows={2}
        classNames={{ input: 'mono' }}
        {...notation}
      />
      <MultiSelect
        label="Includes"
        description="Other sets, whose addresses belong to this one, too."
        data={others.filter((name) => name !== draft.name)}
        value={[...draft.include]}
        onChange={(include) => change({ include })}
        error={errorOf('include')}
        searchable
        nothingFoundMessage="No set is called so"
      />
    </Stack>
  );
}
