/** The fields of a rule. Alt with the arrow keys moves it, from any of them; Enter ends. */
import { ActionIcon, Button, NativeSelect, Text, TextInput } from '@mantine/core';
import { IconArrowDown, IconArrowUp, IconCheck, IconTrash } from '@tabler/icons-react';
import type { KeyboardEvent, ReactNode } from 'react';
import type { Rule } from '../../data/types.ts';
import { PeerChip, isGroup } from '../../parts/peers.tsx';
import { PeersInput } from '../../parts/peers-input.tsx';
import { directionWords } from '../../parts/rule-words.ts';
import { allPorts, anyPeer, hasPorts, isWord, listedPeers } from './draft.ts';
import type { RuleDraft } from './draft.ts';
import { fieldKey } from './draft-errors.ts';
import type { RuleField } from './draft-errors.ts';
import { RuleOptions } from './rule-options.tsx';
import type { RuleRowProps } from './rule-row-props.ts';

const protocols = [
  { value: 'all', label: 'ALL' },
  { value: 'tcp', label: 'TCP' },
  { value: 'udp', label: 'UDP' },
  { value: 'icmp', label: 'ICMP' },
];

/** Fields of notation, not of language. */
const typed = { autoComplete: 'off', autoCapitalize: 'none', spellCheck: false } as const;

interface RuleFieldsProps extends Omit<RuleRowProps, 'hits'> {
  readonly hits: ReactNode;
}

export function RuleFields(props: RuleFieldsProps): ReactNode {
  const { direction, rule, index, count, hits, errors, dispatch, onDone } = props;
  const { key } = rule;
  const errorOf = (field: RuleField): string | undefined =>
    errors.rules.get(fieldKey(key, field))?.join('; ');
  const change = (values: Partial<RuleDraft>): void =>
    dispatch({ kind: 'change', direction, key, values });
  const ofAll = errorOf('rule');
  const onKeyDown = (event: KeyboardEvent): void => {
    const by = moveOf(event);
    if (by === undefined && event.key !== 'Enter') return;
    event.preventDefault();
    if (by === undefined) onDone(key);
    else if (index + by >= 0 && index + by < count) move(by, props);
  };
  return (
    <>
      <NativeSelect
        label="Protocol"
        data={protocols}
        value={rule.protocol}
        onChange={({ currentTarget }) =>
          change({ protocol: currentTarget.value as Rule['protocol'] })
        }
        error={errorOf('protocol')}
      />
      <PortsField {...{ rule, change, onKeyDown }} error={errorOf('ports')} />
      <PeersField {...{ direction, rule, change, onKeyDown }} error={errorOf('peers')} />
      <TextInput
        label="Comment"
        value={rule.comment}
        onChange={({ currentTarget }) => change({ comment: currentTarget.value })}
        onKeyDown={onKeyDown}
        error={errorOf('comment')}
        autoComplete="off"
      />
      {hits}
      <RowButtons {...props} change={change} />
      {ofAll !== undefined && (
        <Text className="rule-note" size="xs" c="var(--mantine-color-error)" role="alert">
          {ofAll}
        </Text>
      )}
    </>
  );
}

function move(by: -1 | 1, { rule, index, count, onMove }: RuleFieldsProps): void {
  onMove(rule.key, by, `${index + by + 1} of ${count}`);
}

function moveOf(event: KeyboardEvent): -1 | 1 | undefined {
  if (!event.altKey) return undefined;
  if (event.key === 'ArrowUp') return -1;
  return event.key === 'ArrowDown' ? 1 : undefined;
}

interface FieldProps {
  readonly rule: RuleDraft;
  readonly change: (values: Partial<RuleDraft>) => void;
  readonly onKeyDown: (event: KeyboardEvent) => void;
  readonly error: string | undefined;
}

function PortsField({ rule, change, onKeyDown, error }: FieldProps): ReactNode {
  const isAll = isWord(rule.ports, allPorts);
  if (!hasPorts(rule.protocol)) {
    return <TextInput label="Ports" placeholder="no ports" disabled value="" readOnly />;
  }
  return (
    <div className={isAll ? 'field-open' : undefined}>
      <TextInput
        label="Ports"
        placeholder="443, 8000-8100"
        value={rule.ports}
        onChange={({ currentTarget }) => change({ ports: currentTarget.value })}
        onKeyDown={onKeyDown}
        error={error}
        {...typed}
      />
      {isAll ? (
        <Open>Every port is open</Open>
      ) : (
        <Choice onClick={() => change({ ports: allPorts })}>All ports</Choice>
      )}
    </div>
  );
}

function PeersField(props: FieldProps & Pick<RuleRowProps, 'direction'>): ReactNode {
  const { direction, rule, change, onKeyDown, error } = props;
  const isAny = isWord(rule.peers, anyPeer);
  const groups = listedPeers(rule.peers).filter(isGroup);
  return (
    <div className={isAny ? 'field-open' : undefined}>
      <PeersInput
        label={directionWords[direction].peers}
        placeholder="10.0.0.0/8, label:role=web"
        value={rule.peers}
        onChange={(peers) => change({ peers })}
        onKeyDown={onKeyDown}
        error={error}
      />
      {isAny ? (
        <Open>{direction === 'inbound' ? 'From' : 'To'} the whole Internet</Open>
      ) : (
        <Choice onClick={() => change({ peers: anyPeer })}>Any IPv4</Choice>
      )}
      {groups.length > 0 && (
        <div className="peers">
          {groups.map((group) => (
            <PeerChip key={group} peer={group} />
          ))}
        </div>
      )}
    </div>
  );
}

interface ChoiceProps {
  readonly onClick: () => void;
  readonly children: ReactNode;
}

/** The widest choice, to be made on purpose. */
function Choice({ onClick, children }: ChoiceProps): ReactNode {
  return (
    <Button size="compact-xs" variant="default" mt={4} onClick={onClick}>
      {children}
    </Button>
  );
}

function Open({ children }: { readonly children: ReactNode }): ReactNode {
  return <span className="chip chip-open">{children}</span>;
}

interface RowButtonsProps extends RuleFieldsProps {
  readonly change: (values: Partial<RuleDraft>) => void;
}

function RowButtons(props: RowButtonsProps): ReactNode {
  const { direction, rule, index, count, errors, dispatch, onDone, change } = props;
  const what = `${direction} rule ${index + 1}`;
  return (
    <div className="rule-buttons">
      <ActionIcon
        variant="subtle"
        size="lg"
        aria-label={`Done with ${what}`}
        title="Done (Enter)"
        onClick={() => onDone(rule.key)}
      >
        <IconCheck size={16} aria-hidden />
      </ActionIcon>
      <RuleOptions {...{ what, rule, errors, change }} />
      <ActionIcon
        variant="subtle"
        color="gray"
        size="lg"
        aria-label={`Move ${what} up`}
        title="Move up (Alt ↑)"
        disabled={index === 0}
        onClick={() => move(-1, props)}
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
        onClick={() => move(1, props)}
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
