/** The gateways that share this policy: what each has in force, and what is wrong with it. */
import { Alert, Badge, Group, Paper, Table, Text } from '@mantine/core';
import { IconAlertTriangle } from '@tabler/icons-react';
import type { ReactNode } from 'react';
import { useGateways } from '../../data/queries.ts';
import type { Fleet, FleetMember } from '../../data/types.ts';
import { Ago } from '../../parts/ago.tsx';
import { count, formatNumber, formatPackets } from '../../parts/format.ts';
import '../../parts/live.css';
import { Page } from '../../parts/page.tsx';
import { Loaded } from '../../parts/states.tsx';

const about =
  'Gateways that share this policy. A change at one of them is in force at all of them, usually within a second.';

const colors: Readonly<Record<FleetMember['state'], string>> = {
  ok: 'teal',
  behind: 'yellow',
  degraded: 'orange',
  refuses: 'red',
  failed: 'red',
  stopped: 'gray',
};

export default function GatewayList(): ReactNode {
  const gateways = useGateways();
  return (
    <Page title="Gateways" about={about}>
      <Loaded query={gateways}>
        {(fleet) => (
          <>
            {fleet.problem !== undefined && (
              <Alert
                color="red"
                icon={<IconAlertTriangle aria-hidden />}
                title="The other gateways are not known"
                mb="md"
              >
                {fleet.problem}
              </Alert>
            )}
            <GatewayTable fleet={fleet} />
            {fleet.newest !== undefined && (
              <Text size="sm" c="dimmed" mt="sm">
                The newest change is {formatNumber(fleet.newest)}.
              </Text>
            )}
          </>
        )}
      </Loaded>
    </Page>
  );
}

function GatewayTable({ fleet: { gateways, newest } }: { readonly fleet: Fleet }): ReactNode {
  // Changes have a number where gateways share a store.
  const hasChanges = newest !== undefined;
  return (
    <Paper withBorder radius="md" className="table-frame">
      <Table
        className="data-table"
        verticalSpacing="sm"
        horizontalSpacing="md"
        aria-label="Gateways"
      >
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Name</Table.Th>
            <Table.Th>State</Table.Th>
            {hasChanges && <Table.Th className="number">Change</Table.Th>}
            <Table.Th className="number">Flows</Table.Th>
            <Table.Th className="number">Packets</Table.Th>
            <Table.Th>Version</Table.Th>
            <Table.Th>Since</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {gateways.map((gateway) => (
            <Row key={gateway.name} {...{ gateway, hasChanges }} />
          ))}
        </Table.Tbody>
      </Table>
    </Paper>
  );
}

interface RowProps {
  readonly gateway: FleetMember;
  readonly hasChanges: boolean;
}

function Row({ gateway, hasChanges }: RowProps): ReactNode {
  const { name, region, version, isThis, flows, packetsPerSecond } = gateway;
  const runs = gateway.state !== 'stopped';
  return (
    <Table.Tr>
      <Table.Th scope="row" fw={600} fz="sm" c="var(--mantine-color-text)">
        <Group gap="xs">
          <span>{name}</span>
          {region !== undefined && <Badge variant="default">{region}</Badge>}
          {isThis && (
            <Badge variant="light" tt="none">
              this one
            </Badge>
          )}
        </Group>
      </Table.Th>
      <Table.Td data-label="State">
        <State gateway={gateway} />
      </Table.Td>
      {hasChanges && (
        <Table.Td data-label="Change" className="number">
          <ChangeInForce gateway={gateway} />
        </Table.Td>
      )}
      <Table.Td data-label="Flows" className="number">
        {runs ? formatNumber(flows) : '–'}
      </Table.Td>
      <Table.Td data-label="Packets" className="number">
        {runs ? formatPackets(packetsPerSecond) : '–'}
      </Table.Td>
      <Table.Td data-label="Version">{version}</Table.Td>
      <Table.Td data-label="Since">
        {runs ? (
          <Ago at={gateway.startedAt} />
        ) : (
          <span>
            last seen <Ago at={gateway.reportedAt} />
          </span>
        )}
      </Table.Td>
    </Table.Tr>
  );
}

function State({ gateway: { state, problem } }: { readonly gateway: FleetMember }): ReactNode {
  return (
    <div>
      <Badge variant="light" color={colors[state]} tt="none">
        {state}
      </Badge>
      {problem !== undefined && state !== 'stopped' && (
        <Text size="sm" c="red" className="address">
          {problem}
        </Text>
      )}
    </div>
  );
}

function ChangeInForce({ gateway }: { readonly gateway: FleetMember }): ReactNode {
  const { revision, behind = 0 } = gateway;
  if (revision === undefined) return '–';
  return (
    <>
      {formatNumber(revision)}
      {behind > 0 && (
        <Text size="sm" c="dimmed">
          {count(behind, 'change')} behind
        </Text>
      )}
    </>
  );
}
