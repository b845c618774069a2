/** Create Set. */
import { Paper } from '@mantine/core';
import type { ReactNode } from 'react';
import { useLocation } from 'wouter';
import { BackLink } from '../../parts/back-link.tsx';
import { Page } from '../../parts/page.tsx';
import { SetForm } from './set-form.tsx';

export default function NewSet(): ReactNode {
  const [, navigate] = useLocation();
  return (
    <Page title="Create Set" back={<BackLink path="/sets" title="Sets" />}>
      <Paper withBorder radius="md" p="md">
        <SetForm
          onCancel={() => navigate('/sets')}
          onSaved={(name) => navigate(`/sets/${encodeURIComponent(name)}`)}
        />
      </Paper>
    </Page>
  );
}
