/** Dropped packets by source, destination, port and reason: how many, and when the last one was. */
import { Checkbox, Group, Select, Stack, Table, Text } from '@mantine/core';
import { useState } from 'react';
import type { ReactNode } from 'react';
import { useDropGroups, useDropReasons } from '../data/queries.ts';
import type { DropGroup, DropGroups as Groups } from '../data/types.ts';
import type { DropFilter } from '../data/use-drops.ts';
import { Ago } from './ago.tsx';
import { count, formatBytes, formatNumber } from './format.ts';
import './live.css';
import { ServerLink } from './server-link.tsx';
import { Empty, Loaded } from './states.tsx';

const fields = [
  { value: 'source', label: 'Source' },
  { value: 'destination', label: 'Destination' },
  { value: 'port', label: 'Port' },
  { value: 'reason', label: 'Reason' },
] as const;
type Field = (typeof fields)[number]['value'];

const groupsShown = 100;

export function DropGroups({ filter }: { readonly filter: DropFilter }): ReactNode {
  const [by, setBy] = useState<readonly Field[]>(['source', 'destination', 'port', 'reason']);
  const [sort, setSort] = useState<'count' | 'last'>('count');
  const groups = useDropGroups({ ...filter, by: by.join(','), sort, limit: groupsShown });
  const toggle = (field: Field, isWanted: boolean): void => {
    const next = fields
      .map(({ value }) => value)
      .filter((each) => (each === field ? isWanted : by.includes(each)));
    // By nothing would be one group.
    if (next.length > 0) setBy(next);
  };
  return (
    <Stack gap="sm">
      <Group gap="md" align="end">
        <Select
          label="Sort by"
          data={[
            { value: 'count', label: 'Most packets' },
            { value: 'last', label: 'Last seen' },
          ]}
          value={sort}
          onChange={(value) => setSort(value ?? 'count')}
          allowDeselect={false}
          w={150}
        />
        <Group gap="md" mb={8} role="group" aria-label="Group by">
          {fields.map(({ value, label }) => (
            <Checkbox
              key={value}
              label={label}
              checked={by.includes(value)}
              onChange={({ currentTarget }) => toggle(value, currentTarget.checked)}
            />
          ))}
        </Group>
      </Group>
      <Loaded query={groups} rows={3}>
        {(found) =>
          found.groups.length === 0 ? (
            <Empty title="Nothing was dropped">Packets that are dropped are counted here.</Empty>
          ) : (
            <Found groups={found} by={by} />
          )
        }
      </Loaded>
    </Stack>
  );
}

interface FoundProps {
  readonly groups: Groups;
  readonly by: readonly Field[];
}

function Found({ groups: { groups, total, drops, forgotten }, by }: FoundProps): ReactNode {
  const meanings = useDropReasons();
  const beyond = total > groups.length ? `, the first ${formatNumber(groups.length)}` : '';
  const lost = forgotten > 0 ? ` ${formatNumber(forgotten)} more are of kinds forgotten.` : '';
  return (
    <>
      <Text size="sm" c="dimmed">
        {`${count(drops, 'packet')} in ${count(total, 'group')}${beyond}, since the firewall was started.${lost}`}
      </Text>
      <Table className="data-table" verticalSpacing="xs" aria-label="Dropped packets by group">
        <Table.Thead>
          <Table.Tr>
            {fields
              .filter(({ value }) => by.includes(value))
              .map(({ value, label }) => (
                <Table.Th key={value}>{label}</Table.Th>
              ))}
            <Table.Th className="number">Packets</Table.Th>
            <Table.Th>Last seen</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {groups.map((group) => (
            <Table.Tr key={keyOf(group)}>
              {fields
                .filter(({ value }) => by.includes(value))
                .map(({ value, label }) => (
                  <Table.Td key={value} data-label={label}>
                    <Cell field={value} group={group} meanings={meanings} />
                  </Table.Td>
                ))}
              <Table.Td data-label="Packets" className="number" title={formatBytes(group.bytes)}>
                {formatNumber(group.count)}
              </Table.Td>
              <Table.Td data-label="Last seen" className="nowrap">
                <Ago at={group.last} />
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </>
  );
}

function keyOf({ source, destination, protocol, destinationPort, reason }: DropGroup): string {
  return [source, destination, protocol, destinationPort, reason].join(' ');
}

interface CellProps {
  readonly field: Field;
  readonly group: DropGroup;
  readonly meanings: ReadonlyMap<string, string>;
}

function Cell({ field, group, meanings }: CellProps): ReactNode {
  switch (field) {
    case 'source':
      return <End address={group.source} server={group.sourceServer} />;
    case 'destination':
      return <End address={group.destination} server={group.destinationServer} />;
    case 'port':
      return (
        <span className="nowrap">{`${group.protocol?.toUpperCase() ?? ''} ${group.destinationPort ?? ''}`}</span>
      );
    case 'reason':
      return (
        <span className="mono" title={meanings.get(group.reason ?? '')}>
          {group.reason}
        </span>
      );
  }
}

interface EndProps {
  readonly address: string | undefined;
  readonly server: string | undefined;
}

function End({ address, server }: EndProps): ReactNode {
  return (
    <div>
      <span className="mono">{address}</span>
      {server !== undefined && (
        <Text span size="xs" c="dimmed" ml={6}>
          <ServerLink name={server} />
        </Text>
      )}
    </div>
  );
}
