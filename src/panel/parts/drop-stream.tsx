/** Drops, one by one as they come or grouped, with what steers it: pause, and filters by server and reason. */
import { Button, Group, SegmentedControl, Select, Stack, Text } from '@mantine/core';
import { IconPlayerPause, IconPlayerPlay } from '@tabler/icons-react';
import { useState } from 'react';
import type { ReactNode } from 'react';
import { useMayChange } from '../app/session.ts';
import type { DropFilter } from '../data/use-drops.ts';
import { useDrops } from '../data/use-drops.ts';
import type { Drop } from '../data/types.ts';
import { AllowDialog } from './allow-dialog.tsx';
import { DropGroups } from './drop-groups.tsx';
import { DropTable } from './drop-table.tsx';
import { Empty, Failed, Loading } from './states.tsx';
import { StreamNote } from './stream-note.tsx';

export interface DropStreamProps {
  /** Only drops of this server; absent: it can be chosen. */
  readonly server?: string;
  readonly servers?: readonly string[];
  readonly reasons: readonly string[];
}

export function DropStream({ server: fixed, servers = [], reasons }: DropStreamProps): ReactNode {
  const [server, setServer] = useState<string | null>(null);
  const [reason, setReason] = useState<string | null>(null);
  const [isPaused, setPaused] = useState(false);
  const [view, setView] = useState<'each' | 'groups'>('each');
  const filter = { server: fixed ?? server ?? undefined, reason: reason ?? undefined };
  return (
    <Stack gap="sm">
      <Group gap="sm" align="end">
        {fixed === undefined && (
          <Select
            label="Server"
            placeholder="All servers"
            data={[...servers]}
            value={server}
            onChange={setServer}
            searchable
            clearable
            w={180}
            clearButtonProps={{ 'aria-label': 'All servers' }}
          />
        )}
        <Select
          label="Reason"
          placeholder="All reasons"
          data={[...reasons]}
          value={reason}
          onChange={setReason}
          searchable
          clearable
          w={190}
          clearButtonProps={{ 'aria-label': 'All reasons' }}
        />
        <SegmentedControl
          aria-label="How drops are shown"
          data={[
            { value: 'each', label: 'One by one' },
            { value: 'groups', label: 'Grouped' },
          ]}
          value={view}
          onChange={setView}
        />
        <Button
          variant="default"
          disabled={view === 'groups'}
          leftSection={
            isPaused ? (
              <IconPlayerPlay size={16} aria-hidden />
            ) : (
              <IconPlayerPause size={16} aria-hidden />
            )
          }
          onClick={() => setPaused(!isPaused)}
        >
          {isPaused ? 'Continue' : 'Pause'}
        </Button>
      </Group>
      {view === 'groups' ? (
        <DropGroups filter={filter} />
      ) : (
        <Drops key={JSON.stringify(filter)} filter={filter} isPaused={isPaused} />
      )}
    </Stack>
  );
}

interface DropsProps {
  readonly filter: DropFilter;
  readonly isPaused: boolean;
}

function Drops({ filter, isPaused }: DropsProps): ReactNode {
  const { drops, isComplete, stream } = useDrops(filter, isPaused);
  const [allowed, setAllowed] = useState<Drop>();
  const mayChange = useMayChange();
  if (stream.problem !== undefined) return <Failed error={stream.problem} />;
  if (drops.length === 0) {
    if (!isComplete && !isPaused) return <Loading rows={3} />;
    return (
      <Empty title="Nothing was dropped">
        {filter.reason === undefined
          ? 'Packets that are dropped appear here at once, with the reason.'
          : 'No packet was dropped for this reason. Choose another one, or all of them.'}
      </Empty>
    );
  }
  return (
    <>
      <Group justify="space-between">
        <StreamNote state={isPaused ? 'paused' : stream.state} />
        <Text size="sm" c="dimmed">
          The last {drops.length}, newest first
        </Text>
      </Group>
      {/* What scrolls has to be reachable by the keyboard. */}
      {/* eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
      <section className="scrolls" tabIndex={0} aria-label="Dropped packets">
        <DropTable
          drops={drops}
          label="Dropped packets"
          onAllow={mayChange ? setAllowed : undefined}
        />
      </section>
      <AllowDialog drop={allowed} onClose={() => setAllowed(undefined)} />
    </>
  );
}
