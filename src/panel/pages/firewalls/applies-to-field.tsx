/** The labels of servers that have a firewall without being named, and which servers these are while one types. */
import { TagsInput, Text } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { useState } from 'react';
import type { ReactNode } from 'react';
import { asProblem } from '../../data/api-problem.ts';
import { useMeaning, useServers } from '../../data/queries.ts';
import { count } from '../../parts/format.ts';
import { ServerLink } from '../../parts/server-link.tsx';
import type { DescriptionFieldProps } from './description-field.tsx';
import { labelsOf } from '../../parts/suggestions.ts';

const quietMs = 200;
const mostShown = 20;

export function AppliesToField({ draft, errors, dispatch }: DescriptionFieldProps): ReactNode {
  const [typed, setTyped] = useState('');
  const servers = useServers();
  const selectors = [...draft.appliesTo, ...(typed.trim() === '' ? [] : [typed.trim()])];
  return (
    <div>
      <TagsInput
        label="Applies to"
        description="Servers with these labels have the firewall, too: role=web, env!=test. Enter ends a selector; a server that matches any of them has it."
        placeholder={draft.appliesTo.length === 0 ? 'role=web' : ''}
        value={[...draft.appliesTo]}
        onChange={(appliesTo) => dispatch({ kind: 'set', values: { appliesTo } })}
        searchValue={typed}
        onSearchChange={setTyped}
        data={labelsOf(servers.data?.servers ?? [])}
        limit={20}
        splitChars={[';']}
        acceptValueOnBlur
        error={errors.appliesTo.join('; ')}
      />
      {selectors.length > 0 && <Matched selectors={selectors} />}
    </div>
  );
}

function Matched({ selectors }: { readonly selectors: readonly string[] }): ReactNode {
  const [quiet] = useDebouncedValue(selectors.join('\n'), quietMs);
  const { data, error } = useMeaning(quiet.split('\n').map((each) => `label:${each}`));
  if (error !== null) {
    const { errors, message } = asProblem(error);
    return <Line>{errors[0]?.message ?? message}</Line>;
  }
  if (data === undefined) return <Line>…</Line>;
  const { serverCount, servers } = data;
  const shown = servers.slice(0, mostShown);
  return (
    <Line>
      Matches {serverCount === 0 ? 'no server now' : count(serverCount, 'server')}
      {shown.map((name, index) => (
        <span key={name}>
          {index === 0 ? ': ' : ', '}
          <ServerLink name={name} />
        </span>
      ))}
      {serverCount > shown.length && ` and ${count(serverCount - shown.length, 'more', 'more')}`}
    </Line>
  );
}

function Line({ children }: { readonly children: ReactNode }): ReactNode {
  return (
    <Text size="sm" mt={4} role="status" aria-label="Servers that match">
      {children}
    </Text>
  );
}
