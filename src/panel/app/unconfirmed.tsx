/**
 * A change that waits for confirmation, on every page. Whoever made it is asked in a dialog; it can be laid aside, to look at
 * other pages first, and the others see the same above each page. All of it is the firewall's own word (`/v1/status`): so it is
 * there again after the page is loaded anew, or in another browser.
 *
 * While the gateway does not answer, the time goes on by this computer's clock.
 */
import { Alert, Button, Group, Modal, Progress, Stack, Text } from '@mantine/core';
import { useInterval } from '@mantine/hooks';
import { notifications } from '@mantine/notifications';
import { IconHourglass } from '@tabler/icons-react';
import { useEffect, useEffectEvent, useRef, useState } from 'react';
import type { ReactNode } from 'react';
import { settleChange } from '../data/changes.ts';
import { howSettled, useChange, useStatus } from '../data/queries.ts';
import type { Unconfirmed as Waiting } from '../data/types.ts';
import { formatDuration } from '../../text/duration.ts';
import { ProblemSummary } from '../parts/problem-summary.tsx';
import { useSession } from './session.ts';

export function Unconfirmed(): ReactNode {
  const { data, dataUpdatedAt, isError } = useStatus();
  const waiting = data?.unconfirmed;
  const { session } = useSession();
  const [asideOf, setAside] = useState<number>();
  useNotice(waiting);
  if (waiting === undefined) return null;
  const { revision, actor } = waiting;
  const isAsked = session.may.change && actor === session.name && asideOf !== revision;
  const shown = { waiting, readAtMs: dataUpdatedAt, isLost: isError };
  return isAsked ? (
    <Modal
      opened
      onClose={() => setAside(revision)}
      title="Keep these rules?"
      closeOnClickOutside={false}
      closeButtonProps={{ 'aria-label': 'Look around first' }}
    >
      <Question key={revision} {...shown} mayChange onAside={() => setAside(revision)} />
    </Modal>
  ) : (
    <Alert
      mb="md"
      color="orange"
      icon={<IconHourglass aria-hidden />}
      title={`A change of ${actor} waits for confirmation`}
    >
      <Question key={revision} {...shown} mayChange={session.may.change} />
    </Alert>
  );
}

interface QuestionProps {
  readonly waiting: Waiting;
  /** When that was read, in ms since 1970. */
  readonly readAtMs: number;
  /** The gateway does not answer. */
  readonly isLost: boolean;
  readonly mayChange: boolean;
  readonly onAside?: () => void;
}

function Question(props: QuestionProps): ReactNode {
  const { waiting, readAtMs, isLost, mayChange, onAside } = props;
  const { revision, summary, why } = waiting;
  const left = useSecondsLeft(waiting.secondsLeft, readAtMs);
  const settle = useChange(async (how: 'confirm' | 'revert') => {
    // The next look may come before this answer.
    settled.add(revision);
    try {
      await settleChange(how, revision);
    } catch (error) {
      settled.delete(revision);
      throw error;
    }
    note(how === 'confirm' ? 'kept' : 'undone', summary);
  });
  const whole = (Date.parse(waiting.until) - Date.parse(waiting.at)) / 1000;
  return (
    <Stack gap="sm">
      {settle.isError && <ProblemSummary error={settle.error} />}
      <Text size="sm" className="address">
        <b>{summary}</b>
        {why !== undefined && ` (${why})`}
      </Text>
      <Text size="sm" role="timer" aria-label="Time left">
        {left > 0
          ? `Without an answer the firewall undoes it in ${formatDuration(Math.ceil(left))}.`
          : 'The time is over: the firewall undoes it.'}
      </Text>
      <Progress value={Math.min(100, (100 * left) / whole)} color="orange" aria-hidden />
      {isLost && (
        <Text size="sm" fw={600}>
          The gateway does not answer. If the change has cut you off, wait.
        </Text>
      )}
      {mayChange && (
        <Group justify="flex-end" gap="xs">
          {onAside !== undefined && (
            <Button variant="subtle" onClick={onAside}>
              Look around first
            </Button>
          )}
          <Button
            variant="default"
            onClick={() => settle.mutate('revert')}
            disabled={settle.isPending}
          >
            Undo now
          </Button>
          <Button onClick={() => settle.mutate('confirm')} loading={settle.isPending}>
            Keep
          </Button>
        </Group>
      )}
    </Stack>
  );
}

/** It goes on between two answers of the firewall, and without any. */
function useSecondsLeft(secondsLeft: number, readAtMs: number): number {
  const [nowMs, setNowMs] = useState(() => Date.now());
  useInterval(() => setNowMs(Date.now()), 500, { autoInvoke: true });
  return Math.max(0, secondsLeft - Math.max(0, nowMs - readAtMs) / 1000);
}

/** Settled here, and said so: by their revision. */
const settled = new Set<number>();

/** Says how a change was settled that waits no more, by whom that ever was. */
function useNotice(waiting: Waiting | undefined): void {
  const before = useRef<Waiting>(undefined);
  const settle = useChange(howSettled);
  const tell = useEffectEvent(async ({ revision, summary }: Waiting) => {
    if (settled.has(revision)) return;
    // Whatever there was to read may be old now, and is read again.
    note(await settle.mutateAsync(revision), summary);
  });
  useEffect(() => {
    const last = before.current;
    before.current = waiting;
    if (last !== undefined && last.revision !== waiting?.revision) void tell(last);
  }, [waiting]);
}

function note(how: 'kept' | 'undone', summary: string): void {
  notifications.show(
    how === 'kept'
      ? { color: 'teal', title: 'The change stays', message: summary }
      : {
          ...{ color: 'yellow', autoClose: 15_000, message: summary },
          title: 'The change was undone: the policy is what it was before',
        },
  );
}
