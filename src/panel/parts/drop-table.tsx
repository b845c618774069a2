/** Dropped packets, newest first: why, from where to where, and what can be done about it. */
import { Anchor, Button, Group, Table, Text, VisuallyHidden } from '@mantine/core';
import { IconShieldPlus } from '@tabler/icons-react';
import { memo } from 'react';
import type { ReactNode } from 'react';
import { Link } from 'wouter';
import { query } from '../data/client.ts';
import { keyOf } from '../data/drops.ts';
import { useDropReasons } from '../data/queries.ts';
import type { Drop } from '../data/types.ts';
import { canBeAllowed, questionOf } from './allowing-rule.ts';
import { formatClock, formatTime } from './format.ts';
import './live.css';
import { Address } from './address.tsx';
import { destinationText, kindText, sourceText } from '../../text/packet-text.ts';
import { ServerLink } from './server-link.tsx';

export interface DropTableProps {
  readonly drops: readonly Drop[];
  readonly label: string;
  /** Absent: there is no such button. */
  readonly onAllow?: ((drop: Drop) => void) | undefined;
}

export function DropTable({ drops, label, onAllow }: DropTableProps): ReactNode {
  const meanings = useDropReasons();
  return (
    <Table className="data-table" verticalSpacing="xs" horizontalSpacing={6} aria-label={label}>
      <Table.Thead>
        <Table.Tr>
          <Table.Th>Time</Table.Th>
          <Table.Th>Reason</Table.Th>
          <Table.Th>Packet</Table.Th>
          <Table.Th>Source</Table.Th>
          <Table.Th>Destination</Table.Th>
          <Table.Th>
            <VisuallyHidden>Actions</VisuallyHidden>
          </Table.Th>
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {drops.map((drop) => (
          <Row
            key={keyOf(drop)}
            drop={drop}
            meaning={meanings.get(drop.reason)}
            onAllow={onAllow}
          />
        ))}
      </Table.Tbody>
    </Table>
  );
}

interface RowProps extends Pick<DropTableProps, 'onAllow'> {
  readonly drop: Drop;
  readonly meaning: string | undefined;
}

/** A list of two hundred gets a few more four times a second: the rest is not drawn again. */
const Row = memo(function Row({ drop, meaning, onAllow }: RowProps): ReactNode {
  const { at, reason, bytes, sourceServer, destinationServer } = drop;
  return (
    <Table.Tr>
      <Table.Td data-label="Time" className="nowrap">
        <time dateTime={at} title={formatTime(at)}>
          {formatClock(at)}
        </time>
      </Table.Td>
      <Table.Td data-label="Reason" className="mono nowrap" title={meaning}>
        {reason}
      </Table.Td>
      <Table.Td data-label="Packet" className="nowrap" title={`${bytes} bytes`}>
        {kindText(drop)}
      </Table.Td>
      <Table.Td data-label="Source">
        <End address={drop.source} port={drop.sourcePort} server={sourceServer} />
      </Table.Td>
      <Table.Td data-label="Destination">
        <End address={drop.destination} port={drop.destinationPort} server={destinationServer} />
      </Table.Td>
      <Table.Td data-label="">
        <Actions drop={drop} onAllow={onAllow} />
      </Table.Td>
    </Table.Tr>
  );
});

interface EndProps {
  readonly address: string;
  readonly port: number | undefined;
  readonly server: string | undefined;
}

function End({ address, port, server }: EndProps): ReactNode {
  return (
    <div>
      <Address address={address} port={port} />
      {server !== undefined && (
        <Text span size="xs" c="dimmed" ml={6}>
          <ServerLink name={server} />
        </Text>
      )}
    </div>
  );
}

function Actions({ drop, onAllow }: { readonly drop: Drop } & Pick<DropTableProps, 'onAllow'>) {
  const question = questionOf(drop);
  const what = `${kindText(drop)} from ${sourceText(drop)} to ${destinationText(drop)}`;
  return (
    // One below the other where the table would be wider than its place.
    <Group gap="4px 12px" justify="flex-end">
      {question !== undefined && (
        <Anchor
          component={Link}
          href={`/explain${query({ ...question })}`}
          size="sm"
          aria-label={`Explain ${what}`}
        >
          Explain
        </Anchor>
      )}
      {onAllow !== undefined && canBeAllowed(drop) && (
        <Button
          size="compact-sm"
          variant="light"
          leftSection={<IconShieldPlus size={14} aria-hidden />}
          onClick={() => onAllow(drop)}
          aria-label={`Allow this: ${what}`}
        >
          Allow this
        </Button>
      )}
    </Group>
  );
}
