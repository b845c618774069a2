/** Flows in a table: both ends with the opener first, the state, and the traffic each way. */
import { Badge, Button, Group, Table, Text, VisuallyHidden } from '@mantine/core';
import { IconPlugX } from '@tabler/icons-react';
import type { ReactNode } from 'react';
import type { Flow } from '../data/types.ts';
import { Address } from './address.tsx';
import { ServerLink } from './server-link.tsx';
import { formatDuration } from '../../text/duration.ts';
import { count, formatBytes } from './format.ts';
import { destinationText, kindText, sourceText } from '../../text/packet-text.ts';

export interface FlowTableProps {
  readonly flows: readonly Flow[];
  /** Whose flows they are: it is not named. */
  readonly server?: string | undefined;
  /** Absent: there is no such button. */
  readonly onKill: ((flow: Flow) => void) | undefined;
}

export function FlowTable({ flows, server, onKill }: FlowTableProps): ReactNode {
  return (
    <Table className="data-table" aria-label="Live flows">
      <Table.Thead>
        <Table.Tr>
          <Table.Th>Flow</Table.Th>
          <Table.Th>State</Table.Th>
          <Table.Th className="number">Sent</Table.Th>
          <Table.Th className="number">Answered</Table.Th>
          <Table.Th className="number">Age</Table.Th>
          <Table.Th className="number">Ends in</Table.Th>
          {onKill !== undefined && (
            <Table.Th>
              <VisuallyHidden>Actions</VisuallyHidden>
            </Table.Th>
          )}
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {flows.map((flow) => (
          <Row key={flow.id} {...{ flow, server, onKill }} />
        ))}
      </Table.Tbody>
    </Table>
  );
}

function Row({
  flow,
  server,
  onKill,
}: { readonly flow: Flow } & Pick<FlowTableProps, 'onKill' | 'server'>) {
  const source = sourceText(flow);
  const destination = destinationText(flow);
  return (
    <Table.Tr>
      <Table.Td data-label="Flow">
        <div>
          <Text span size="xs" fw={600} mr={8}>
            {kindText(flow)}
          </Text>
          <span className="flow-end">
            <Address address={flow.source} port={flow.sourcePort} />
            <OfServer name={flow.sourceServer} known={server} /> →
          </span>{' '}
          <span className="flow-end">
            <Address address={flow.destination} port={flow.destinationPort} />
            <OfServer name={flow.destinationServer} known={server} />
          </span>
        </div>
      </Table.Td>
      <Table.Td data-label="State" className="nowrap">
        <Group gap={6}>
          {flow.state}
          {flow.carried === true && (
            <Badge variant="light" tt="none" title="The kernel carries its packets: the fast path">
              carried
            </Badge>
          )}
        </Group>
      </Table.Td>
      <Volume label="Sent" traffic={flow.original} />
      <Volume label="Answered" traffic={flow.reply} />
      <Table.Td data-label="Age" className="number nowrap">
        {formatDuration(flow.ageSeconds)}
      </Table.Td>
      <Table.Td data-label="Ends in" className="number nowrap">
        {formatDuration(flow.expiresSeconds)}
      </Table.Td>
      {onKill !== undefined && (
        <Table.Td data-label="">
          <Button
            size="compact-sm"
            variant="subtle"
            color="red"
            leftSection={<IconPlugX size={14} aria-hidden />}
            onClick={() => onKill(flow)}
            aria-label={`Kill the flow from ${source} to ${destination}`}
          >
            Kill
          </Button>
        </Table.Td>
      )}
    </Table.Tr>
  );
}

interface OfServerProps {
  readonly name: string | undefined;
  readonly known: string | undefined;
}

function OfServer({ name, known }: OfServerProps): ReactNode {
  if (name === undefined || name === known) return null;
  return (
    <Text span size="xs" c="dimmed" ml={6}>
      <ServerLink name={name} />
    </Text>
  );
}

interface VolumeProps {
  readonly label: string;
  readonly traffic: Flow['original'];
}

function Volume({ label, traffic: { packets, bytes } }: VolumeProps): ReactNode {
  return (
    <Table.Td data-label={label} className="number nowrap" title={count(packets, 'packet')}>
      {formatBytes(bytes)}
    </Table.Td>
  );
}
