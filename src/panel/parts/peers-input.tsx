/** Addresses and groups, typed as a list, with suggestions for the entry that is being typed. */
import { TextInput } from '@mantine/core';
import type { TextInputProps } from '@mantine/core';
import { useId, useState } from 'react';
import type { ReactNode } from 'react';
import { useServers, useSets, useTemplates } from '../data/queries.ts';
import { suggestions } from './suggestions.ts';

export interface PeersInputProps extends Pick<
  TextInputProps,
  'label' | 'description' | 'placeholder' | 'error' | 'onKeyDown'
> {
  readonly value: string;
  readonly onChange: (value: string) => void;
}

export function PeersInput({ value, onChange, ...rest }: PeersInputProps): ReactNode {
  const id = useId();
  const [hasFocus, setFocus] = useState(false);
  return (
    <>
      <TextInput
        {...rest}
        value={value}
        onChange={({ currentTarget }) => onChange(currentTarget.value)}
        onFocus={() => setFocus(true)}
        onBlur={() => setFocus(false)}
        list={id}
        autoComplete="off"
        autoCapitalize="none"
        spellCheck={false}
      />
      {/* Of one field only: a page has hundreds of them. */}
      {hasFocus && <Suggestions id={id} text={value} />}
    </>
  );
}

function Suggestions({ id, text }: { readonly id: string; readonly text: string }): ReactNode {
  const servers = useServers();
  const templates = useTemplates();
  const sets = useSets();
  const names = {
    servers: servers.data?.servers ?? [],
    templates: (templates.data?.templates ?? []).map(({ name }) => name),
    sets: (sets.data?.sets ?? []).map(({ name }) => name),
  };
  return (
    <datalist id={id}>
      {suggestions(text, names).map((each) => (
        <option key={each} value={each} />
      ))}
    </datalist>
  );
}
