/** At the bottom of what is edited, always in sight: that there is something to save, and how. */
import { Button, Group, Text } from '@mantine/core';
import type { ReactNode } from 'react';
import { count } from '../../parts/format.ts';
import type { DraftErrors } from './draft-errors.ts';
import './rules.css';

export interface SaveBarProps {
  readonly note: string;
  readonly errors: DraftErrors;
  readonly discard: string;
  readonly onDiscard: () => void;
  readonly onSave: () => void;
}

export function SaveBar({ note, errors, discard, onDiscard, onSave }: SaveBarProps): ReactNode {
  const wrong =
    errors.name.length +
    errors.description.length +
    errors.appliesTo.length +
    errors.rules.size +
    errors.others.length;
  return (
    <section className="save-bar" aria-label="Save">
      <Group justify="space-between" gap="xs">
        <Text size="sm" role="status" {...(wrong > 0 && { c: 'var(--mantine-color-error)' })}>
          {wrong > 0 ? `${count(wrong, 'field needs', 'fields need')} a correction` : note}
        </Text>
        <Group gap="xs" ml="auto">
          <Button variant="default" onClick={onDiscard}>
            {discard}
          </Button>
          <Button onClick={onSave}>Save</Button>
        </Group>
      </Group>
    </section>
  );
}

/** The first field that is marked as wrong; @returns whether there is one */
export function focusFirstError(): boolean {
  const field = document.querySelector<HTMLElement>('main [aria-invalid="true"]');
  field?.focus();
  return field !== null;
}
