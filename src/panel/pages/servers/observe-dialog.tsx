/** Lets a server observe for some time, or enforce its rules again: reviewed like any change. */
import { Button, Group, NativeSelect, Stack, Text, TextInput } from '@mantine/core';
import { useState } from 'react';
import type { ReactNode } from 'react';
import type { Operation } from '../../data/changes.ts';
import type { Server } from '../../data/types.ts';
import { ReviewedDialog } from '../../parts/reviewed-dialog.tsx';
import { momentText } from '../../../text/moment.ts';
import { edit, valuesOf } from './server-form.tsx';

export interface ObserveDialogProps {
  readonly server: Server;
  readonly opened: boolean;
  readonly onClose: () => void;
}

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
/** As validate.ts has it; the API says so, too. */
const longestMs = 14 * dayMs;

const lengths: readonly { readonly value: string; readonly label: string }[] = [
  { value: String(hourMs), label: 'An hour' },
  { value: String(dayMs), label: 'A day' },
  { value: String(7 * dayMs), label: 'A week' },
  { value: 'date', label: 'Until a date' },
];

export function ObserveDialog({ server, opened, onClose }: ObserveDialogProps): ReactNode {
  const { name, observing } = server;
  return (
    <ReviewedDialog
      title={`Observe ${name}`}
      opened={opened}
      done={observing ? `${name} was changed` : `${name} observes`}
      onClose={onClose}
    >
      {(onReview) => <Choices server={server} onReview={onReview} onClose={onClose} />}
    </ReviewedDialog>
  );
}

interface ChoicesProps extends Omit<ObserveDialogProps, 'opened'> {
  readonly onReview: (operations: readonly Operation[]) => void;
}

function Choices({ server, onReview, onClose }: ChoicesProps): ReactNode {
  const [length, setLength] = useState(String(dayMs));
  const [date, setDate] = useState('');
  const [openedMs] = useState(() => Date.now());
  const review = (mode: string, until: string): void =>
    onReview(edit({ ...valuesOf(server), mode, until }, server));
  const isDate = length === 'date';
  const dateMs = isDate ? new Date(date).getTime() : undefined;
  return (
    <Stack>
      <Text size="sm">
        What no rule allows passes until then, and is listed as would-drop. After that the rules are
        enforced again.
      </Text>
      <NativeSelect
        label="For how long"
        data={[...lengths]}
        value={length}
        onChange={({ currentTarget }) => setLength(currentTarget.value)}
      />
      {isDate && (
        <TextInput
          label="Until"
          description="At most 14 days ahead, in the time of this browser."
          type="datetime-local"
          min={localText(openedMs)}
          max={localText(openedMs + longestMs)}
          value={date}
          onChange={({ currentTarget }) => setDate(currentTarget.value)}
        />
      )}
      <Group justify="flex-end">
        <Button variant="default" onClick={onClose}>
          Cancel
        </Button>
        {server.observing && (
          <Button variant="default" onClick={() => review('', '')}>
            Enforce the rules now
          </Button>
        )}
        <Button
          disabled={Number.isNaN(dateMs)}
          onClick={() => review('observe', momentText(dateMs ?? endIn(length)))}
        >
          Review
        </Button>
      </Group>
    </Stack>
  );
}

const endIn = (length: string): number => Date.now() + Number(length);

/** As fields for dates have it: without an offset. */
function localText(ms: number): string {
  const date = new Date(ms);
  return new Date(ms - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}
