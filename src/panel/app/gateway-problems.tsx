/** What is wrong with what leads packets to the firewall, on every page. */
import { Alert, List, Text } from '@mantine/core';
import { IconRouteOff } from '@tabler/icons-react';
import type { ReactNode } from 'react';
import type { Status } from '../data/types.ts';

export function GatewayProblems({ status }: { readonly status: Status }): ReactNode {
  const { gateway } = status;
  if (gateway === undefined || gateway.state === 'ok') return null;
  const isDown = gateway.state === 'down';
  return (
    <Alert
      mb="md"
      color={isDown ? 'orange' : 'red'}
      icon={<IconRouteOff aria-hidden />}
      title={isDown ? 'The gateway is down' : 'The gateway is degraded'}
    >
      <Text size="sm">
        {isDown
          ? 'Nothing leads packets to the firewall here before "tunwall gateway up".'
          : 'Packets may take a way around the firewall, or be lost.'}
        {!isDown &&
          gateway.watch !== 'running' &&
          ' Nothing repairs it: "tunwall gateway up" does.'}
      </Text>
      <List size="sm" mt="xs">
        {gateway.problems.map(({ what, wanted, found, hint }) => (
          <List.Item key={what}>
            <span className="mono">{what}</span> is {found}, not {wanted}
            {hint !== undefined && ` (${hint})`}
          </List.Item>
        ))}
      </List>
    </Alert>
  );
}
