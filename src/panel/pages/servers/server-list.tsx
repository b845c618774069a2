/** All servers: their addresses and firewalls, and what passes and is dropped this minute. */
import { Button, Checkbox, Group, Stack, Table, Text } from '@mantine/core';
import { IconPlus, IconServer } from '@tabler/icons-react';
import { useMemo, useState } from 'react';
import type { ReactNode } from 'react';
import { useMayChange } from '../../app/session.ts';
import { useSearchParams } from 'wouter';
import { useServers } from '../../data/queries.ts';
import type { StatsHistory } from '../../data/rates.ts';
import type { Server } from '../../data/types.ts';
import { useServerHistories, useStats } from '../../data/use-stats.ts';
import { ExposureBadge } from '../../parts/exposure-badge.tsx';
import { count, formatNumber } from '../../parts/format.ts';
import '../../parts/live.css';
import { ObservingBadge } from '../../parts/observing-badge.tsx';
import { Page } from '../../parts/page.tsx';
import { ServerLink } from '../../parts/server-link.tsx';
import { Empty, Loaded } from '../../parts/states.tsx';
import { BulkAssign } from './bulk-assign.tsx';
import { GatewayReject } from './gateway-reject.tsx';
import { filtered, labelWords, noFilter, sorted } from './server-filter.ts';
import type { Sorting } from './server-filter.ts';
import { ServerFilters } from './server-filters.tsx';
import { Firewalls } from './server-firewalls.tsx';
import { ServerForm } from './server-form.tsx';
import { DropsCell, TrafficCell } from './server-traffic.tsx';
import type { ServerTrafficProps } from './server-traffic.tsx';

const about =
  'Servers are the addresses that the firewall protects. Without a firewall, everything to and from a server is dropped.';

/** More rows at once make a page slow and long. */
const pageSize = 50;

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

function Servers({ list }: { readonly list: readonly Server[] }): ReactNode {
  const [search] = useSearchParams();
  const [filter, setFilter] = useState({ ...noFilter, isBare: search.get('bare') === '1' });
  const [sorting, setSorting] = useState<Sorting>('name');
  const [page, setPage] = useState(0);
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set());
  const mayChange = useMayChange();
  const stats = useStats({ servers: true });
  const found = useMemo(() => sorted(filtered(list, filter), sorting), [list, filter, sorting]);
  const last = Math.max(0, Math.ceil(found.length / pageSize) - 1);
  const shown = Math.min(page, last);
  const chosen = list.filter(({ name }) => selected.has(name)).map(({ name }) => name);
  return (
    <Stack gap="sm">
      <ServerFilters
        {...{ list, filter, sorting }}
        onFilter={(values) => {
          setPage(0);
          setFilter({ ...filter, ...values });
        }}
        onSort={setSorting}
      />
      <Group justify="space-between" gap="xs">
        <Text size="sm" c="dimmed" role="status">
          {found.length === list.length
            ? count(list.length, 'server')
            : `${formatNumber(found.length)} of ${count(list.length, 'server')}`}
        </Text>
        {mayChange && found.length > 0 && (
          <Group gap="xs">
            {chosen.length > 0 && (
              <BulkAssign servers={chosen} onClear={() => setSelected(new Set())} />
            )}
            <Button
              size="xs"
              variant="default"
              onClick={() => setSelected(new Set([...selected, ...found.map(({ name }) => name)]))}
            >
              Select all {found.length < list.length && 'found '}({formatNumber(found.length)})
            </Button>
          </Group>
        )}
      </Group>
      {found.length === 0 ? (
        <Empty title="No server is like that">Search for something else.</Empty>
      ) : (
        <ServerTable
          list={found.slice(shown * pageSize, (shown + 1) * pageSize)}
          {...{ stats, selected }}
          onSelect={mayChange ? setSelected : undefined}
        />
      )}
      {last > 0 && <Pages page={shown} last={last} onPage={setPage} />}
    </Stack>
  );
}

interface PagesProps {
  readonly page: number;
  readonly last: number;
  readonly onPage: (page: number) => void;
}

function Pages({ page, last, onPage }: PagesProps): ReactNode {
  return (
    <Group justify="flex-end" gap="xs">
      <Text size="sm" c="dimmed">
        Page {page + 1} of {last + 1}
      </Text>
      <Button variant="default" size="xs" disabled={page === 0} onClick={() => onPage(page - 1)}>
        Previous page
      </Button>
      <Button variant="default" size="xs" disabled={page === last} onClick={() => onPage(page + 1)}>
        Next page
      </Button>
    </Group>
  );
}

interface ServerTableProps {
  readonly list: readonly Server[];
  readonly stats: StatsHistory;
  readonly selected: ReadonlySet<string>;
  /** Absent: there are no check boxes. */
  readonly onSelect: ((selected: ReadonlySet<string>) => void) | undefined;
}

function ServerTable({ list, stats, selected, onSelect }: ServerTableProps): ReactNode {
  const histories = useServerHistories(list.map(({ name }) => name));
  const select = (name: string, isChosen: boolean): void => {
    const next = new Set(selected);
    if (isChosen) next.add(name);
    else next.delete(name);
    onSelect?.(next);
  };
  return (
    <Table className="data-table" verticalSpacing="sm" highlightOnHover aria-label="Servers">
      <Table.Thead>
        <Table.Tr>
          <Table.Th>Name</Table.Th>
          <Table.Th>Addresses</Table.Th>
          <Table.Th>Firewalls</Table.Th>
          <Table.Th>Traffic, 10 minutes</Table.Th>
          <Table.Th>Drops, 10 minutes</Table.Th>
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {list.map((server) => (
          <ServerRow
            key={server.name}
            server={server}
            now={stats.servers.get(server.name)}
            history={histories[server.name]}
            isChosen={selected.has(server.name)}
            onChoose={onSelect && ((isChosen) => select(server.name, isChosen))}
          />
        ))}
      </Table.Tbody>
    </Table>
  );
}

interface ServerRowProps extends ServerTrafficProps {
  readonly server: Server;
  readonly isChosen: boolean;
  readonly onChoose: ((isChosen: boolean) => void) | undefined;
}

function ServerRow({ server, isChosen, onChoose, ...traffic }: ServerRowProps): ReactNode {
  const { name, addresses, exposure } = server;
  return (
    <Table.Tr>
      <Table.Th scope="row" fw={600} fz="sm" c="var(--mantine-color-text)">
        <Group gap="sm" wrap="nowrap" align="flex-start">
          {onChoose !== undefined && (
            <Checkbox
              aria-label={`Select ${name}`}
              checked={isChosen}
              onChange={({ currentTarget }) => onChoose(currentTarget.checked)}
            />
          )}
          <div className="server-name">
            <ServerLink name={name} />
            <Details server={server} />
            <Group gap={4}>
              <ExposureBadge exposure={exposure} />
              <ObservingBadge server={server} />
            </Group>
          </div>
        </Group>
      </Table.Th>
      <Table.Td data-label="Addresses" className="mono address">
        {addresses.join(', ')}
      </Table.Td>
      <Table.Td data-label="Firewalls">
        <Firewalls server={server} />
      </Table.Td>
      <Table.Td data-label="Traffic" className="spark-column">
        <TrafficCell {...traffic} />
      </Table.Td>
      <Table.Td data-label="Drops" className="spark-column">
        <DropsCell {...traffic} />
      </Table.Td>
    </Table.Tr>
  );
}

function Details({ server }: { readonly server: Server }): ReactNode {
  const { region } = server;
  const words = [...(region === undefined ? [] : [region]), ...labelWords(server)];
  if (words.length === 0) return null;
  return (
    <Text size="xs" c="dimmed" fw={400}>
      {words.join(' · ')}
    </Text>
  );
}
