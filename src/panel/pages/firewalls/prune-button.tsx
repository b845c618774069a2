/** Rules that have expired allow nothing: they are listed, and go when somebody says so. Nothing is shown without any. */
import { Button, List, Text } from '@mantine/core';
import { IconClockX } from '@tabler/icons-react';
import { useState } from 'react';
import type { ReactNode } from 'react';
import { request } from '../../data/client.ts';
import { useChange, useExpired } from '../../data/queries.ts';
import type { Pruned } from '../../data/types.ts';
import { noteApplied } from '../../parts/applied-note.ts';
import { ConfirmDialog } from '../../parts/confirm-dialog.tsx';
import { count } from '../../parts/format.ts';
import { ruleText } from '../../../text/rule-text.ts';

/** @param template absent: of all firewalls */
export function PruneButton({ template }: { readonly template?: string }): ReactNode {
  const { data } = useExpired(template);
  const [opened, setOpened] = useState(false);
  const pruning = useChange(() =>
    request<Pruned>('POST', '/v1/templates/prune', {
      body: template === undefined ? {} : { templates: [template] },
    }),
  );
  const prune = async (): Promise<void> => {
    const { rules, applied } = await pruning.mutateAsync(undefined);
    const what = `${count(rules.length, 'expired rule was', 'expired rules were')} removed`;
    if (applied !== undefined) noteApplied(what, applied);
  };
  const rules = data?.rules ?? [];
  return (
    <>
      {rules.length > 0 && (
        <Button
          variant="default"
          leftSection={<IconClockX size={16} aria-hidden />}
          onClick={() => setOpened(true)}
        >
          Prune {count(rules.length, 'expired rule')}
        </Button>
      )}
      <ConfirmDialog
        title="Remove expired rules?"
        action="Remove them"
        opened={opened}
        onClose={() => setOpened(false)}
        onConfirm={prune}
      >
        <Text size="sm">They allow nothing any more. The history keeps them.</Text>
        <List size="sm" mt="xs">
          {rules.map(({ template: name, direction, index, rule }) => (
            <List.Item key={`${name} ${direction} ${index}`}>
              <b>{name}</b>, {direction} rule {index + 1}: {ruleText(direction, rule)}
            </List.Item>
          ))}
        </List>
      </ConfirmDialog>
    </>
  );
}
