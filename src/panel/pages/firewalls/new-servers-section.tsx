/** Servers that are not there yet, added in the same change as the firewall: one by one, or as a list that is pasted. */
import {
  ActionIcon,
  Button,
  Group,
  Paper,
  Stack,
  Text,
  TextInput,
  Textarea,
  Title,
} from '@mantine/core';
import { IconClipboardList, IconPlus, IconX } from '@tabler/icons-react';
import { useEffect, useRef, useState } from 'react';
import type { KeyboardEvent, ReactNode } from 'react';
import { errorKey, meant, newServer, parseServers } from './new-servers.ts';
import type { NewServer, ServerErrors, ServerField } from './new-servers.ts';
import type { NewServers } from './use-new-servers.ts';
import './rules.css';

interface NewServersProps {
  readonly servers: Pick<NewServers, 'rows' | 'errors' | 'change'>;
}

export function NewServersSection({ servers }: NewServersProps): ReactNode {
  const { rows, errors, change } = servers;
  const [isPasting, setPasting] = useState(false);
  const [added, setAdded] = useState<number>();
  const add = (): void => {
    const server = newServer();
    setAdded(server.key);
    change([...rows, server]);
  };
  return (
    <Paper
      withBorder
      radius="md"
      p={{ base: 'sm', sm: 'md' }}
      component="section"
      aria-label="New servers"
    >
      <Stack gap="sm">
        <div>
          <Title order={2} size="h4">
            New servers
          </Title>
          <Text size="sm" c="dimmed">
            Servers that are not there yet: they are added with this firewall, in the same change.
          </Text>
        </div>
        {rows.length > 0 && (
          <div>
            {rows.map((server, index) => (
              <Row
                key={server.key}
                {...{ server, errors }}
                number={index + 1}
                takesFocus={server.key === added}
                onChange={(values) => change(rows.with(index, { ...server, ...values }))}
                onRemove={() => change(rows.toSpliced(index, 1))}
                onNext={add}
              />
            ))}
          </div>
        )}
        {isPasting && (
          <PasteList
            onAdd={(pasted) => {
              change([...meant(rows), ...pasted]);
              setPasting(false);
            }}
            onClose={() => setPasting(false)}
          />
        )}
        <Group gap="xs">
          <Button variant="default" leftSection={<IconPlus size={16} aria-hidden />} onClick={add}>
            {rows.length === 0 ? 'Add a server' : 'Add another'}
          </Button>
          {!isPasting && (
            <Button
              variant="default"
              leftSection={<IconClipboardList size={16} aria-hidden />}
              onClick={() => setPasting(true)}
            >
              Paste a list
            </Button>
          )}
        </Group>
      </Stack>
    </Paper>
  );
}

const columns: readonly { field: ServerField; label: string; placeholder: string }[] = [
  { field: 'name', label: 'Name', placeholder: 'web-1' },
  { field: 'addresses', label: 'Addresses', placeholder: '10.0.0.2' },
  { field: 'region', label: 'Region', placeholder: '' },
  { field: 'labels', label: 'Labels', placeholder: 'role=web' },
];

interface RowProps {
  readonly server: NewServer;
  /** From 1. */
  readonly number: number;
  readonly errors: ServerErrors;
  readonly takesFocus: boolean;
  readonly onChange: (values: Partial<Record<ServerField, string>>) => void;
  readonly onRemove: () => void;
  /** Enter: there is another one. */
  readonly onNext: () => void;
}

function Row(props: RowProps): ReactNode {
  const { server, number, errors, takesFocus, onChange, onRemove, onNext } = props;
  const first = useRef<HTMLInputElement>(null);
  useEffect(() => {
    if (takesFocus) first.current?.focus();
  }, [takesFocus]);
  const next = (event: KeyboardEvent): void => {
    if (event.key !== 'Enter') return;
    event.preventDefault();
    onNext();
  };
  return (
    <div role="group" aria-label={`New server ${number}`} className="new-server">
      {columns.map(({ field, label, placeholder }) => (
        <TextInput
          key={field}
          {...(field === 'name' && { ref: first })}
          label={label}
          placeholder={placeholder}
          value={server[field]}
          onChange={({ currentTarget }) => onChange({ [field]: currentTarget.value })}
          onKeyDown={next}
          error={errors.get(errorKey(server, field))}
          autoComplete="off"
          autoCapitalize="none"
          spellCheck={false}
        />
      ))}
      <ActionIcon
        variant="subtle"
        color="gray"
        size="lg"
        aria-label={`Remove new server ${number}`}
        onClick={onRemove}
      >
        <IconX size={16} aria-hidden />
      </ActionIcon>
    </div>
  );
}

interface PasteListProps {
  readonly onAdd: (servers: readonly NewServer[]) => void;
  readonly onClose: () => void;
}

function PasteList({ onAdd, onClose }: PasteListProps): ReactNode {
  const [text, setText] = useState('');
  const [error, setError] = useState('');
  const field = useRef<HTMLTextAreaElement>(null);
  useEffect(() => field.current?.focus(), []);
  const add = (): void => {
    const { servers, errors } = parseServers(text);
    if (errors.length > 0) setError(errors.join('; '));
    else if (servers.length === 0) setError('there is no server in it');
    else onAdd(servers);
  };
  return (
    <Stack gap="xs">
      <Textarea
        ref={field}
        label="List of servers"
        description="One a line: name, addresses, and if you like a region and labels, with blanks or commas between."
        placeholder={'web-1 10.0.0.2 hkg role=web\ndb-1, 10.0.0.3, 10.0.0.4'}
        value={text}
        onChange={({ currentTarget }) => setText(currentTarget.value)}
        error={error}
        autosize
        minRows={4}
        maxRows={14}
        autoComplete="off"
        autoCapitalize="none"
        spellCheck={false}
      />
      <Group gap="xs">
        <Button onClick={add}>Add these servers</Button>
        <Button variant="default" onClick={onClose}>
          Cancel
        </Button>
      </Group>
    </Stack>
  );
}
