/** Which servers have the firewall: found by name, address, region or label, one by one or all that were found at once. */
import {
  Badge,
  Button,
  Checkbox,
  Group,
  Paper,
  Stack,
  Text,
  TextInput,
  Title,
} from '@mantine/core';
import { IconSearch } from '@tabler/icons-react';
import { memo, useState } from 'react';
import type { ReactNode } from 'react';
import { useServers } from '../../data/queries.ts';
import type { Server } from '../../data/types.ts';
import { count } from '../../parts/format.ts';
import { Loaded } from '../../parts/states.tsx';
import './rules.css';

/** More are found by searching, not by scrolling. */
const mostShown = 100;

export interface ServerPickerProps {
  readonly selected: readonly string[];
  /** Those that have it now; what differs is marked. */
  readonly saved: readonly string[];
  readonly onChange: (selected: readonly string[]) => void;
}

export const ServerPicker = memo(function ServerPicker(props: ServerPickerProps): ReactNode {
  const servers = useServers();
  return (
    <Paper withBorder radius="md" p={{ base: 'sm', sm: 'md' }} component="section">
      <Stack gap="sm">
        <div>
          <Title order={2} size="h4">
            Servers
          </Title>
          <Text size="sm" c="dimmed">
            The rules count for every server that is selected, together with those of its other
            firewalls.
          </Text>
        </div>
        <Loaded query={servers} rows={3}>
          {({ servers: list }) =>
            list.length === 0 ? (
              <Text size="sm" className="no-rules">
                There are no servers yet. The firewall can be saved without.
              </Text>
            ) : (
              <Choices {...props} servers={list} />
            )
          }
        </Loaded>
      </Stack>
    </Paper>
  );
});

function matches(server: Server, words: readonly string[]): boolean {
  const { name, addresses, region = '', labels = {}, templates } = server;
  const pairs = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
  const text = [name, ...addresses, region, ...pairs, ...templates].join(' ').toLowerCase();
  return words.every((word) => text.includes(word));
}

function Choices({
  servers,
  selected,
  saved,
  onChange,
}: ServerPickerProps & { readonly servers: readonly Server[] }): ReactNode {
  const [search, setSearch] = useState('');
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const found = servers.filter((server) => matches(server, words));
  const names = found.map(({ name }) => name);
  const chosen = new Set(selected);
  const addAll = (): void => onChange([...new Set([...selected, ...names])]);
  const removeAll = (): void => onChange(selected.filter((name) => !names.includes(name)));
  return (
    <>
      <Group gap="xs" align="flex-end">
        <TextInput
          label="Search servers"
          placeholder="Name, address, region, label"
          leftSection={<IconSearch size={16} aria-hidden />}
          value={search}
          onChange={({ currentTarget }) => setSearch(currentTarget.value)}
          flex="1 1 220px"
        />
        <Button
          variant="default"
          onClick={addAll}
          disabled={names.every((name) => chosen.has(name))}
        >
          Select all {words.length > 0 && 'found '}({names.length})
        </Button>
        <Button
          variant="default"
          onClick={removeAll}
          disabled={!names.some((name) => chosen.has(name))}
        >
          Remove all {words.length > 0 && 'found'}
        </Button>
      </Group>
      <Text size="sm" role="status">
        {count(selected.length, 'server')} selected
        {words.length > 0 && `, ${count(found.length, 'server')} found`}
      </Text>
      <Stack gap={0} className="server-list" role="group" aria-label="Servers">
        {found.slice(0, mostShown).map((server) => (
          <Choice
            key={server.name}
            server={server}
            isChosen={chosen.has(server.name)}
            wasChosen={saved.includes(server.name)}
            onChange={(isChosen) =>
              onChange(
                isChosen
                  ? [...selected, server.name]
                  : selected.filter((name) => name !== server.name),
              )
            }
          />
        ))}
        {found.length > mostShown && (
          <Text size="sm" c="dimmed" p="xs">
            {count(found.length - mostShown, 'more server')}: search for them.
          </Text>
        )}
      </Stack>
    </>
  );
}

interface ChoiceProps {
  readonly server: Server;
  readonly isChosen: boolean;
  readonly wasChosen: boolean;
  readonly onChange: (isChosen: boolean) => void;
}

function Choice({ server, isChosen, wasChosen, onChange }: ChoiceProps): ReactNode {
  const { name, addresses, region, templates } = server;
  const more = [addresses.join(', '), region, templates.length === 0 && 'no firewall yet'];
  return (
    <Group className="server-choice" gap="xs" justify="space-between" wrap="nowrap">
      <Checkbox
        label={name}
        description={more.filter(Boolean).join(' · ')}
        checked={isChosen}
        onChange={({ currentTarget }) => onChange(currentTarget.checked)}
      />
      {isChosen !== wasChosen && (
        <Badge variant="light" color={isChosen ? 'teal' : 'red'}>
          {isChosen ? 'to be added' : 'to be removed'}
        </Badge>
      )}
    </Group>
  );
}
