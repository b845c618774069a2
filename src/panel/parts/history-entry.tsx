/** A row of a history: what was done by whom and when, what differs, and the way back. */
import { Badge, Button, Group, Paper, Text } from '@mantine/core';
import { IconArrowBackUp, IconChevronDown, IconChevronRight } from '@tabler/icons-react';
import { useState } from 'react';
import type { ReactNode } from 'react';
import { Ago } from './ago.tsx';

export interface HistoryEntryProps {
  readonly title: string;
  readonly actor: string;
  readonly via: string;
  readonly at: string;
  readonly why?: string | undefined;
  readonly isNewest: boolean;
  /** What the button for the way back says to who does not see the row. */
  readonly backLabel: string;
  readonly onRestore?: (() => void) | undefined;
  /** What differs; loaded when it is opened. */
  readonly children?: ReactNode;
}

export function HistoryEntry(props: HistoryEntryProps): ReactNode {
  const { title, actor, via, at, why, isNewest, backLabel, onRestore, children } = props;
  const [isOpen, setOpen] = useState(isNewest);
  const Chevron = isOpen ? IconChevronDown : IconChevronRight;
  return (
    <Paper withBorder radius="md" p="sm" component="li">
      <Group justify="space-between" gap="xs">
        <div>
          <Group gap="xs">
            <Text fw={600}>{title}</Text>
            {isNewest && (
              <Badge variant="light" tt="none">
                newest
              </Badge>
            )}
          </Group>
          {why !== undefined && <Text size="sm">“{why}”</Text>}
          <Text size="sm" c="dimmed">
            {actor === via
              ? `by ${actor === 'file' ? 'hand, in the file' : actor}`
              : `${actor}, ${via}`}
            {' · '}
            <Ago at={at} />
          </Text>
        </div>
        <Group gap="xs">
          {children !== undefined && (
            <Button
              variant="subtle"
              size="xs"
              aria-expanded={isOpen}
              leftSection={<Chevron size={14} aria-hidden />}
              onClick={() => setOpen(!isOpen)}
            >
              {isOpen ? 'Hide changes' : 'Show changes'}
            </Button>
          )}
          {onRestore !== undefined && (
            <Button
              variant="default"
              size="xs"
              leftSection={<IconArrowBackUp size={14} aria-hidden />}
              aria-label={backLabel}
              onClick={onRestore}
            >
              Roll back
            </Button>
          )}
        </Group>
      </Group>
      {isOpen && children !== undefined && <div className="version-diff">{children}</div>}
    </Paper>
  );
}
