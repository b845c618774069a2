/** A new firewall: its name. */
import { Button, Stack, TextInput } from '@mantine/core';
import { useState } from 'react';
import type { ReactNode } from 'react';
import { useLocation } from 'wouter';
import { request } from '../../data/client.ts';
import { useChange } from '../../data/queries.ts';
import type { ChangedTemplate } from '../../data/types.ts';
import { noteApplied } from '../../parts/applied-note.ts';
import { Page } from '../../parts/page.tsx';
import { ProblemSummary } from '../../parts/problem-summary.tsx';

export default function NewFirewall(): ReactNode {
  const [name, setName] = useState('');
  const [, navigate] = useLocation();
  const creation = useChange((body: object) =>
    request<ChangedTemplate>('POST', '/v1/templates', { body }),
  );
  const save = async (): Promise<void> => {
    const { applied } = await creation.mutateAsync({ name });
    noteApplied(`${name} was created`, applied);
    navigate(`/firewalls/${name}`);
  };
  return (
    <Page title="Create Firewall">
      <Stack maw={480}>
        {creation.error !== null && <ProblemSummary error={creation.error} />}
        <TextInput
          label="Name"
          value={name}
          onChange={({ currentTarget }) => setName(currentTarget.value)}
        />
        <Button onClick={() => void save().catch(() => undefined)} loading={creation.isPending}>
          Save
        </Button>
      </Stack>
    </Page>
  );
}
