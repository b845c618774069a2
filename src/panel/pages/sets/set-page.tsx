/** A set: what is in it, the list beside it, who names it, and how it changes. */
import { Alert, Anchor, Button, List, Modal, Paper, Stack, Text, Title } from '@mantine/core';
import {
  IconAlertTriangle,
  IconHistory,
  IconPencil,
  IconPlus,
  IconTrash,
} from '@tabler/icons-react';
import { useState } from 'react';
import type { ReactNode } from 'react';
import { Link, useLocation } from 'wouter';
import { useMayChange } from '../../app/session.ts';
import { at } from '../../data/client.ts';
import { useSet, useStatus } from '../../data/queries.ts';
import type { AddressSet } from '../../data/types.ts';
import { Ago } from '../../parts/ago.tsx';
import { BackLink } from '../../parts/back-link.tsx';
import { count } from '../../parts/format.ts';
import { Page } from '../../parts/page.tsx';
import { PeerChip } from '../../parts/peers.tsx';
import { Loaded } from '../../parts/states.tsx';
import { UsedBy } from '../../parts/used-by.tsx';
import { AddressesDialog } from './addresses-dialog.tsx';
import { DestroySetDialog } from './destroy-set-dialog.tsx';
import { SetForm } from './set-form.tsx';
import { problemsOf } from './set-problems.ts';

/** More are read in the file. */
const mostShown = 200;

type Dialog = 'edit' | 'addresses' | 'destroy';

export default function SetPage({ name }: { readonly name: string }): ReactNode {
  const set = useSet(name);
  const mayChange = useMayChange();
  const [dialog, setDialog] = useState<Dialog>();
  const close = (): void => setDialog(undefined);
  const { data } = set;
  return (
    <Page
      title={name}
      back={<BackLink path="/sets" title="Sets" />}
      about={data !== undefined && <About set={data} />}
      actions={<Actions name={name} mayChange={mayChange} onOpen={setDialog} />}
    >
      <Loaded query={set}>{(found) => <Content set={found} />}</Loaded>
      {data !== undefined && mayChange && <Dialogs set={data} dialog={dialog} onClose={close} />}
    </Page>
  );
}

function About({ set }: { readonly set: AddressSet }): ReactNode {
  const { description, addressCount, rangeCount, changed } = set;
  return (
    <>
      {description !== undefined && <div>{description}</div>}
      {count(addressCount, 'address', 'addresses')} in {count(rangeCount, 'range')}
      {changed !== undefined && (
        <>
          , changed <Ago at={changed.at} />{' '}
          {changed.actor === 'file' ? 'in the file' : `by ${changed.actor}`}
        </>
      )}
    </>
  );
}

interface ActionsProps {
  readonly name: string;
  readonly mayChange: boolean;
  readonly onOpen: (dialog: Dialog) => void;
}

function Actions({ name, mayChange, onOpen }: ActionsProps): ReactNode {
  return (
    <>
      <Button
        component={Link}
        href={`/sets/${encodeURIComponent(name)}/history`}
        variant="default"
        leftSection={<IconHistory size={16} aria-hidden />}
      >
        History
      </Button>
      {mayChange && (
        <>
          <Button
            variant="default"
            leftSection={<IconPlus size={16} aria-hidden />}
            onClick={() => onOpen('addresses')}
          >
            Add or remove addresses
          </Button>
          <Button
            variant="default"
            leftSection={<IconPencil size={16} aria-hidden />}
            onClick={() => onOpen('edit')}
          >
            Edit
          </Button>
          <Button
            variant="default"
            c="var(--mantine-color-error)"
            leftSection={<IconTrash size={16} aria-hidden />}
            onClick={() => onOpen('destroy')}
          >
            Destroy
          </Button>
        </>
      )}
    </>
  );
}

function Content({ set }: { readonly set: AddressSet }): ReactNode {
  const { addresses, except, include, usedBy } = set;
  return (
    <Stack gap="md">
      <FileNote set={set} />
      <Paper withBorder radius="md" p="md" component="section">
        <Stack gap="sm">
          <Entries title="Addresses" entries={addresses} none="None of its own." />
          {include.length > 0 && <Entries title="Includes" entries={include} none="" />}
          {except.length > 0 && <Entries title="Except" entries={except} none="" />}
        </Stack>
      </Paper>
      <Paper withBorder radius="md" p="md" component="section">
        <Title order={2} size="h4" mb="xs">
          Used by
        </Title>
        {usedBy.length === 0 ? (
          <Text size="sm" c="dimmed">
            No rule and no set names it.
          </Text>
        ) : (
          <UsedBy mentions={usedBy} />
        )}
      </Paper>
    </Stack>
  );
}

/** The list beside the set, and what is wrong with either file. */
function FileNote({ set }: { readonly set: AddressSet }): ReactNode {
  const { name, file, listEntries = 0 } = set;
  const { data } = useStatus();
  const problems = problemsOf(set, data);
  const isError = problems.some(({ severity }) => severity === 'error');
  return (
    <>
      {problems.length > 0 && (
        <Alert
          color={isError ? 'red' : 'yellow'}
          icon={<IconAlertTriangle aria-hidden />}
          title={isError ? 'Its files have errors: the last good state holds' : 'To be looked at'}
        >
          <List size="sm">
            {problems.map(({ file: where, line, message }) => (
              <List.Item key={`${where}:${line}:${message}`}>
                <span className="mono">{`${where}:${line}`}</span> {message}
              </List.Item>
            ))}
          </List>
        </Alert>
      )}
      {file !== undefined && (
        <Text size="sm">
          Its list is <span className="mono">{`sets/${file}`}</span>:{' '}
          {count(listEntries, 'entry', 'entries')}.{' '}
          <Anchor href={at`/v1/sets/${name}/list`} target="_blank" inherit underline="always">
            Show the list
          </Anchor>
        </Text>
      )}
    </>
  );
}

interface EntriesProps {
  readonly title: string;
  readonly entries: readonly string[];
  readonly none: string;
}

function Entries({ title, entries, none }: EntriesProps): ReactNode {
  return (
    <div>
      <Title order={2} size="h4" mb="xs">
        {title}
      </Title>
      {entries.length === 0 ? (
        <Text size="sm" c="dimmed">
          {none}
        </Text>
      ) : (
        <div className="peers">
          {entries.slice(0, mostShown).map((entry) => (
            <PeerChip key={entry} peer={entry} />
          ))}
          {entries.length > mostShown && (
            <Text size="sm">and {count(entries.length - mostShown, 'more', 'more')}</Text>
          )}
        </div>
      )}
    </div>
  );
}

interface DialogsProps {
  readonly set: AddressSet;
  readonly dialog: Dialog | undefined;
  readonly onClose: () => void;
}

function Dialogs({ set, dialog, onClose }: DialogsProps): ReactNode {
  const [, navigate] = useLocation();
  return (
    <>
      <Modal
        opened={dialog === 'edit'}
        onClose={onClose}
        title={`Edit ${set.name}`}
        size="lg"
        closeButtonProps={{ 'aria-label': 'Close' }}
      >
        <SetForm set={set} onCancel={onClose} onSaved={onClose} />
      </Modal>
      <AddressesDialog set={set} opened={dialog === 'addresses'} onClose={onClose} />
      <DestroySetDialog
        it={set}
        opened={dialog === 'destroy'}
        onClose={onClose}
        onDestroyed={() => navigate('/sets')}
      />
    </>
  );
}
