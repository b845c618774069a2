/** All servers: their addresses and firewalls, and what passes and is dropped this minute. */
import { Button, Group, Stack, Table, Text, TextInput } from '@mantine/core';
import { IconPlus, IconSearch, IconServer } from '@tabler/icons-react';
import { useState } from 'react';
import type { ReactNode } from 'react';
import { useMayChange } from '../../app/session.ts';
import { useServers } from '../../data/queries.ts';
import type { StatsHistory } from '../../data/rates.ts';
import type { Server } from '../../data/types.ts';
import { useStats } from '../../data/use-stats.ts';
import { count } from '../../parts/format.ts';
import '../../parts/live.css';
import { Page } from '../../parts/page.tsx';
import { ServerLink } from '../../parts/server-link.tsx';
import { Empty, Loaded } from '../../parts/states.tsx';
import { GatewayReject } from './gateway-reject.tsx';
import { Firewalls } from './server-firewalls.tsx';
import { ServerForm } from './server-form.tsx';
import { DropsCell, TrafficCell } from './server-traffic.tsx';

const about =
  'Servers are the addresses that the firewall protects. Without a firewall, everything to and from a server is dropped.';

/** More rows than that make a page slow; a search finds the others. */
const mostRows = 200;

export default function ServerList(): ReactNode {
  const servers = useServers();
  const mayChange = useMayChange();
  const [isCreating, setCreating] = useState(false);
  const create = (
    <Button leftSection={<IconPlus size={16} aria-hidden />} onClick={() => setCreating(true)}>
      Add Server
    </Button>
  );
  return (
    <Page title="Servers" about={about} {...(mayChange && { actions: create })}>
      <Loaded query={servers}>
        {({ servers: list }) =>
          list.length === 0 ? (
            <Empty
              icon={<IconServer size={36} aria-hidden />}
              title="No servers yet"
              {...(mayChange && { action: create })}
            >
              {mayChange
                ? 'Add the first one: its name, its addresses and the firewalls it is to have. What goes to an address that no server has is dropped.'
                : 'An owner adds servers. What goes to an address that no server has is dropped.'}
            </Empty>
          ) : (
            <Servers list={list} />
          )
        }
      </Loaded>
      <GatewayReject />
      {mayChange && <ServerForm opened={isCreating} onClose={() => setCreating(false)} />}
    </Page>
  );
}

function matches(server: Server, words: string): boolean {
  const { name, addresses, templates, appliedTemplates, region, labels } = server;
  const applied = appliedTemplates.map(({ template }) => template);
  const texts = [name, ...addresses, ...templates, ...applied, region ?? '', ...labelWords(labels)];
  const all = texts.join(' ').toLowerCase();
  return words
    .toLowerCase()
    .split(/\s+/)
    .every((word) => all.includes(word));
}

function labelWords(labels: Server['labels']): string[] {
  return Object.entries(labels ?? {}).map(([key, value]) => `${key}=${value}`);
}

function Servers({ list }: { readonly list: readonly Server[] }): ReactNode {
  const [words, setWords] = useState('');
  const stats = useStats({ servers: true });
  const found = list.filter((server) => matches(server, words.trim()));
  return (
    <Stack gap="sm">
      <Group justify="space-between" align="end">
        <TextInput
          aria-label="Search servers"
          placeholder="Name, address, firewall, region or label"
          leftSection={<IconSearch size={16} aria-hidden />}
          value={words}
          onChange={({ currentTarget }) => setWords(currentTarget.value)}
          w={{ base: '100%', xs: 340 }}
        />
        <Text size="sm" c="dimmed" role="status">
          {found.length === list.length
            ? count(list.length, 'server')
            : `${found.length} of ${count(list.length, 'server')}`}
        </Text>
      </Group>
      {found.length === 0 ? (
        <Empty title="No server is like that">Search for something else.</Empty>
      ) : (
        <ServerTable list={found.slice(0, mostRows)} stats={stats} />
      )}
      {found.length > mostRows && (
        <Text size="sm" c="dimmed">
          The first {mostRows} of {found.length}. Search to see others.
        </Text>
      )}
    </Stack>
  );
}

interface ServerTableProps {
  readonly list: readonly Server[];
  readonly stats: StatsHistory;
}

function ServerTable({ list, stats }: ServerTableProps): ReactNode {
  return (
    <Table className="data-table" verticalSpacing="sm" highlightOnHover>
      <Table.Thead>
        <Table.Tr>
          <Table.Th>Name</Table.Th>
          <Table.Th>Addresses</Table.Th>
          <Table.Th>Firewalls</Table.Th>
          <Table.Th>Traffic, last minute</Table.Th>
          <Table.Th>Drops, last minute</Table.Th>
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {list.map((server) => (
          <Table.Tr key={server.name}>
            <Table.Th scope="row" fw={600} fz="sm" c="var(--mantine-color-text)">
              <div>
                <ServerLink name={server.name} />
                <Details server={server} />
              </div>
            </Table.Th>
            <Table.Td data-label="Addresses" className="mono">
              {server.addresses.join(', ')}
            </Table.Td>
            <Table.Td data-label="Firewalls">
              <Firewalls server={server} />
            </Table.Td>
            <Table.Td data-label="Traffic" w={200}>
              <TrafficCell stats={stats} name={server.name} />
            </Table.Td>
            <Table.Td data-label="Drops" w={180}>
              <DropsCell stats={stats} name={server.name} />
            </Table.Td>
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Table>
  );
}

function Details({ server: { region, labels } }: { readonly server: Server }): ReactNode {
  const words = [...(region === undefined ? [] : [region]), ...labelWords(labels)];
  if (words.length === 0) return null;
  return (
    <Text size="xs" c="dimmed" fw={400}>
      {words.join(' · ')}
    </Text>
  );
}
