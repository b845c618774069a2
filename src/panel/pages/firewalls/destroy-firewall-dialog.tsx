/** Before a firewall is destroyed: its servers, and those that would have no firewall left and drop everything. */
import { Alert, List, Text } from '@mantine/core';
import { IconShieldOff } from '@tabler/icons-react';
import type { ReactNode } from 'react';
import { useServers } from '../../data/queries.ts';
import type { Server } from '../../data/types.ts';
import { DestroyDialog } from '../../parts/destroy-dialog.tsx';
import type { DestroyDialogProps } from '../../parts/destroy-dialog.tsx';
import { count } from '../../parts/format.ts';

type Props = Omit<DestroyDialogProps, 'kind' | 'force' | 'children'>;

export function DestroyFirewallDialog(props: Props): ReactNode {
  return (
    <DestroyDialog {...props} kind="template" force>
      <Exposed name={props.it.name} />
    </DestroyDialog>
  );
}

/** The firewalls of a server: those that it names, and those that apply to it by its labels. */
function firewallsOf({ templates, appliedTemplates }: Server): Set<string> {
  return new Set([...templates, ...appliedTemplates.map(({ template }) => template)]);
}

function Exposed({ name }: { readonly name: string }): ReactNode {
  const { data } = useServers();
  if (data === undefined) return null;
  const users = data.servers.filter((server) => firewallsOf(server).has(name));
  const bare = users.filter((server) => firewallsOf(server).size === 1);
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
