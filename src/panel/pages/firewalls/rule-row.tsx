/** A rule while it is edited. Alt with the arrow keys moves it, from any of its fields. */
import { ActionIcon, NativeSelect, Text, TextInput } from '@mantine/core';
import { IconArrowDown, IconArrowUp, IconTrash } from '@tabler/icons-react';
import type { Dispatch, KeyboardEvent, ReactNode } from 'react';
import type { Rule } from '../../data/types.ts';
import type { RuleDirection } from '../../../text/rule-text.ts';
import { formatNumber } from '../../parts/format.ts';
import { directionWords } from '../../parts/rule-words.ts';
import type { Action, RuleDraft } from './draft.ts';
import { hasPorts } from './draft.ts';
import { fieldKey } from './draft-errors.ts';
import type { DraftErrors, RuleField } from './draft-errors.ts';
import { PeersInput } from './peers-input.tsx';
import { RuleNote, RuleOptions } from './rule-options.tsx';

export interface RuleRowProps {
  readonly direction: RuleDirection;
  readonly rule: RuleDraft;
  /** From 0. */
  readonly index: number;
  readonly count: number;
  readonly hits: number | undefined;
  readonly errors: DraftErrors;
  readonly dispatch: Dispatch<Action>;
  readonly onMove: (by: -1 | 1) => void;
}

const protocols = [
  { value: 'all', label: 'ALL' },
  { value: 'tcp', label: 'TCP' },
  { value: 'udp', label: 'UDP' },
  { value: 'icmp', label: 'ICMP' },
];

function moveOf(event: KeyboardEvent): -1 | 1 | undefined {
  if (!event.altKey) return undefined;
  if (event.key === 'ArrowUp') return -1;
  return event.key === 'ArrowDown' ? 1 : undefined;
}

export function RuleRow(props: RuleRowProps): ReactNode {
  const { direction, rule, index, hits, errors, dispatch, onMove } = props;
  const { key } = rule;
  const errorOf = (field: RuleField): string | undefined =>
    errors.rules.get(fieldKey(key, field))?.join('; ');
  const change = (values: Partial<RuleDraft>): void =>
    dispatch({ kind: 'change', direction, key, values });
  const ofAll = errorOf('rule');
  const moveByKey = (event: KeyboardEvent): void => {
    const by = moveOf(event);
    if (by === undefined) return;
    event.preventDefault();
    onMove(by);
  };
  return (
    <div
      className="rule-row"
      role="group"
      aria-label={`${directionWords[direction].title} rule ${index + 1}`}
      data-direction={direction}
      data-rule={key}
    >
      <NativeSelect
        label="Protocol"
        data={protocols}
        value={rule.protocol}
        onChange={({ currentTarget }) =>
          change({ protocol: currentTarget.value as Rule['protocol'] })
        }
        error={errorOf('protocol')}
      />
      <TextInput
        label="Ports"
        placeholder={hasPorts(rule.protocol) ? 'ALL, or 443, 8000-8100' : 'no ports'}
        disabled={!hasPorts(rule.protocol)}
        value={hasPorts(rule.protocol) ? rule.ports : ''}
        onChange={({ currentTarget }) => change({ ports: currentTarget.value })}
        onKeyDown={moveByKey}
        error={errorOf('ports')}
        {...typed}
      />
      <PeersInput
        label={directionWords[direction].peers}
        placeholder="any, or 10.0.0.0/8, label:role=web"
        value={rule.peers}
        onChange={(peers) => change({ peers })}
        onKeyDown={moveByKey}
        error={errorOf('peers')}
      />
      <TextInput
        label="Comment"
        value={rule.comment}
        onChange={({ currentTarget }) => change({ comment: currentTarget.value })}
        onKeyDown={moveByKey}
        error={errorOf('comment')}
        autoComplete="off"
      />
      <Hits hits={hits} />
      <RowButtons {...props} change={change} />
      <RuleNote rule={rule} />
      {ofAll !== undefined && (
        <Text className="rule-note" size="xs" c="var(--mantine-color-error)" role="alert">
          {ofAll}
        </Text>
      )}
    </div>
  );
}

function Hits({ hits }: Pick<RuleRowProps, 'hits'>): ReactNode {
  return (
    <Text className="rule-hits" size="sm">
      {hits !== undefined && (
        <>
          {formatNumber(hits)}
          <span className="rule-hits-word"> {hits === 1 ? 'hit' : 'hits'}</span>
        </>
      )}
    </Text>
  );
}

/** Fields of notation, not of language. */
const typed = { autoComplete: 'off', autoCapitalize: 'none', spellCheck: false } as const;

interface RowButtonsProps extends RuleRowProps {
  readonly change: (values: Partial<RuleDraft>) => void;
}

function RowButtons(props: RowButtonsProps): ReactNode {
  const { direction, rule, index, count, errors, dispatch, onMove, change } = props;
  const what = `${direction} rule ${index + 1}`;
  return (
    <div className="rule-buttons">
      <RuleOptions {...{ what, rule, errors, change }} />
      <ActionIcon
        variant="subtle"
        color="gray"
        size="lg"
        aria-label={`Move ${what} up`}
        title="Move up (Alt ↑)"
        disabled={index === 0}
        onClick={() => onMove(-1)}
      >
        <IconArrowUp size={16} aria-hidden />
      </ActionIcon>
      <ActionIcon
        variant="subtle"
        color="gray"
        size="lg"
        aria-label={`Move ${what} down`}
        title="Move down (Alt ↓)"
        disabled={index === count - 1}
        onClick={() => onMove(1)}
      >
        <IconArrowDown size={16} aria-hidden />
      </ActionIcon>
      <ActionIcon
        variant="subtle"
        color="red"
        size="lg"
        aria-label={`Remove ${what}`}
        title="Remove"
        onClick={() => dispatch({ kind: 'remove', direction, key: rule.key })}
      >
        <IconTrash size={16} aria-hidden />
      </ActionIcon>
    </div>
  );
}
