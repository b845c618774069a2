/** Before a firewall is destroyed: its servers, and those that would have no firewall left and drop everything. */
import { Alert, List, Text } from '@mantine/core';
import { IconShieldOff } from '@tabler/icons-react';
import { useMemo } from 'react';
import type { ReactNode } from 'react';
import type { Operation } from '../../data/changes.ts';
import { useServers } from '../../data/queries.ts';
import type { Template } from '../../data/types.ts';
import { count } from '../../parts/format.ts';
import { ReviewDialog } from '../../parts/review-dialog.tsx';

export interface DestroyDialogProps {
  readonly template: Pick<Template, 'name' | 'revision'>;
  readonly opened: boolean;
  readonly onClose: () => void;
  readonly onDestroyed: () => void;
}

export function DestroyDialog(props: DestroyDialogProps): ReactNode {
  const { template, opened, onClose, onDestroyed } = props;
  const { name, revision } = template;
  const operations = useMemo(
    (): readonly Operation[] => [
      { kind: 'destroy-template', name, force: true, ifRevision: revision },
    ],
    [name, revision],
  );
  return (
    <ReviewDialog
      title={`Destroy ${name}`}
      operations={opened ? operations : undefined}
      action="Destroy"
      dangerous
      done={`${name} was destroyed`}
      onClose={onClose}
      onSaved={() => {
        onClose();
        onDestroyed();
      }}
    >
      <Exposed name={name} />
    </ReviewDialog>
  );
}

function Exposed({ name }: { readonly name: string }): ReactNode {
  const { data } = useServers();
  if (data === undefined) return null;
  const users = data.servers.filter(({ templates }) => templates.includes(name));
  const bare = users.filter(({ templates }) => templates.length === 1);
  if (users.length === 0) {
    return <Text size="sm">No server has it. Its history stays, and can bring it back.</Text>;
  }
  return (
    <>
      <Text size="sm">
        {count(users.length, 'server has', 'servers have')} it, and would lose its rules. Its
        history stays, and can bring it back.
      </Text>
      {bare.length > 0 && (
        <Alert
          color="red"
          icon={<IconShieldOff aria-hidden />}
          title={`${count(bare.length, 'server')} would drop everything`}
        >
          <Text size="sm">It is their only firewall. Without one, no packet passes:</Text>
          <List size="sm" mt={4}>
            {bare.slice(0, 20).map((server) => (
              <List.Item key={server.name}>
                {server.name} ({server.addresses.join(', ')})
              </List.Item>
            ))}
            {bare.length > 20 && <List.Item>and {bare.length - 20} more</List.Item>}
          </List>
        </Alert>
      )}
    </>
  );
}
