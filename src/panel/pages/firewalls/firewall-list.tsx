/** All firewalls, which the API calls templates: how many servers and rules each has, its hits, its last author. */
import { ActionIcon, Button, Menu, Paper, Table, Text, TextInput } from '@mantine/core';
import {
  IconCopy,
  IconDots,
  IconHistory,
  IconPlus,
  IconSearch,
  IconShieldPlus,
  IconTrash,
} from '@tabler/icons-react';
import { useState } from 'react';
import type { ReactNode } from 'react';
import { Link } from 'wouter';
import { useMayChange } from '../../app/session.ts';
import { useTemplates } from '../../data/queries.ts';
import type { TemplateSummary } from '../../data/types.ts';
import { Ago } from '../../parts/ago.tsx';
import { ExposureBadge } from '../../parts/exposure-badge.tsx';
import { formatNumber } from '../../parts/format.ts';
import '../../parts/live.css';
import { NameCell } from '../../parts/name-cell.tsx';
import { Page } from '../../parts/page.tsx';
import { Empty, Loaded } from '../../parts/states.tsx';
import { DestroyFirewallDialog } from './destroy-firewall-dialog.tsx';
import { PruneButton } from './prune-button.tsx';

/** So many need no search. */
const few = 8;

export default function FirewallList(): ReactNode {
  const templates = useTemplates();
  const mayChange = useMayChange();
  return (
    <Page
      title="Firewalls"
      about="A firewall is a set of rules for any number of servers. What no rule allows is dropped."
      {...(mayChange && {
        actions: (
          <>
            <PruneButton />
            <Create />
          </>
        ),
      })}
    >
      <Loaded query={templates}>
        {({ templates: list }) =>
          list.length === 0 ? <NoFirewalls mayChange={mayChange} /> : <Firewalls list={list} />
        }
      </Loaded>
    </Page>
  );
}

function Create(): ReactNode {
  return (
    <Button
      component={Link}
      href="/firewalls/~new"
      leftSection={<IconPlus size={16} aria-hidden />}
    >
      Create Firewall
    </Button>
  );
}

function NoFirewalls({ mayChange }: { readonly mayChange: boolean }): ReactNode {
  return (
    <Empty
      icon={<IconShieldPlus size={40} stroke={1.4} aria-hidden />}
      title="No firewalls yet"
      action={mayChange ? <Create /> : undefined}
    >
      Until there is one, everything to and from the servers is dropped. Begin with a pre-defined
      rule set, or with your own rules, and choose the servers that get it.
    </Empty>
  );
}

function Firewalls({ list }: { readonly list: readonly TemplateSummary[] }): ReactNode {
  const [search, setSearch] = useState('');
  const [doomed, setDoomed] = useState<TemplateSummary>();
  const mayChange = useMayChange();
  const word = search.trim().toLowerCase();
  const found = list.filter(({ name, description = '', servers }) =>
    [name, description, ...servers].join(' ').toLowerCase().includes(word),
  );
  return (
    <>
      {list.length > few && (
        <TextInput
          label="Search firewalls"
          placeholder="Name, description, server"
          leftSection={<IconSearch size={16} aria-hidden />}
          value={search}
          onChange={({ currentTarget }) => setSearch(currentTarget.value)}
          maw={360}
        />
      )}
      <Paper withBorder radius="md" className="table-frame">
        <Table
          className="data-table"
          highlightOnHover
          verticalSpacing="sm"
          horizontalSpacing="md"
          aria-label="Firewalls"
        >
          <Table.Thead>
            <Table.Tr>
              <Table.Th>Name</Table.Th>
              <Table.Th className="number">Servers</Table.Th>
              <Table.Th className="number">Rules</Table.Th>
              <Table.Th className="number" title="Flows that its rules have opened">
                Hits
              </Table.Th>
              <Table.Th>Last change</Table.Th>
              <Table.Th w={56} aria-label="Actions" />
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {found.map((template) => (
              <Row
                key={template.name}
                {...{ template, mayChange }}
                onDestroy={() => setDoomed(template)}
              />
            ))}
          </Table.Tbody>
        </Table>
        {found.length === 0 && (
          <Text size="sm" c="dimmed" p="md">
            No firewall is found by “{search}”.
          </Text>
        )}
      </Paper>
      {doomed !== undefined && (
        <DestroyFirewallDialog
          it={doomed}
          opened
          onClose={() => setDoomed(undefined)}
          onDestroyed={() => undefined}
        />
      )}
    </>
  );
}

interface RowProps {
  readonly template: TemplateSummary;
  readonly mayChange: boolean;
  readonly onDestroy: () => void;
}

function Row({ template, mayChange, onDestroy }: RowProps): ReactNode {
  const { name, description, servers, appliedServers, ruleCount, exposure, hits, changed } =
    template;
  return (
    <Table.Tr>
      <NameCell {...{ name, description }} path="/firewalls">
        <div>
          <ExposureBadge exposure={exposure} />
        </div>
      </NameCell>
      <Table.Td data-label="Servers" className="number">
        {formatNumber(servers.length + appliedServers.length)}
      </Table.Td>
      <Table.Td data-label="Rules" className="number">
        {formatNumber(ruleCount)}
      </Table.Td>
      <Table.Td data-label="Hits" className="number">
        {hits === undefined ? '–' : formatNumber(hits)}
      </Table.Td>
      <Table.Td data-label="Last change">
        {changed !== undefined && (
          <span>
            <Ago at={changed.at} />{' '}
            <Text span size="sm" c="dimmed">
              {changed.actor === 'file' ? 'in the file' : changed.actor}
            </Text>
          </span>
        )}
      </Table.Td>
      <Table.Td data-label="">
        <RowMenu {...{ name, mayChange, onDestroy }} />
      </Table.Td>
    </Table.Tr>
  );
}

function RowMenu({
  name,
  mayChange,
  onDestroy,
}: Omit<RowProps, 'template'> & { readonly name: string }): ReactNode {
  return (
    <Menu position="bottom-end">
      <Menu.Target>
        <ActionIcon variant="subtle" color="gray" size="lg" aria-label={`Actions of ${name}`}>
          <IconDots size={18} aria-hidden />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item
          component={Link}
          href={`/firewalls/${name}/history`}
          leftSection={<IconHistory size={16} aria-hidden />}
        >
          History
        </Menu.Item>
        {mayChange && (
          <>
            <Menu.Item
              component={Link}
              href={`/firewalls/~new?clone=${encodeURIComponent(name)}`}
              leftSection={<IconCopy size={16} aria-hidden />}
            >
              Clone
            </Menu.Item>
            <Menu.Item
              color="red"
              leftSection={<IconTrash size={16} aria-hidden />}
              onClick={onDestroy}
            >
              Destroy
            </Menu.Item>
          </>
        )}
      </Menu.Dropdown>
    </Menu>
  );
}
