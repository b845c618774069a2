/** The rules of one direction while they are edited: a row a rule, and a button for one more. */
import { Button, Group, Paper, Stack, Text, Title, VisuallyHidden } from '@mantine/core';
import { IconPlus } from '@tabler/icons-react';
import { useState } from 'react';
import type { Dispatch, ReactNode } from 'react';
import type { RuleDirection } from '../../../text/rule-text.ts';
import { flushSync } from 'react-dom';
import { directionWords } from '../../parts/rule-words.ts';
import type { Action, RuleDraft } from './draft.ts';
import type { DraftErrors } from './draft-errors.ts';
import { RuleRow } from './rule-row.tsx';
import './rules.css';

export interface RuleSectionProps {
  readonly direction: RuleDirection;
  readonly rules: readonly RuleDraft[];
  readonly errors: DraftErrors;
  /** Flows that a rule as it was saved has opened. */
  readonly hitsOf?: ((rule: RuleDraft) => number | undefined) | undefined;
  readonly dispatch: Dispatch<Action>;
}

const intros: Readonly<Record<RuleDirection, string>> = {
  inbound: 'What may open connections to the servers. Without a rule, everything is dropped.',
  outbound: 'What the servers may open connections to. Replies need no rule.',
};

export function RuleSection(props: RuleSectionProps): ReactNode {
  const { direction, rules, errors, hitsOf, dispatch } = props;
  const [said, setSaid] = useState('');
  const { title, peers } = directionWords[direction];

  const add = (): void => {
    const known = new Set(rules.map(({ key }) => key));
    flushSync(() => dispatch({ kind: 'add', direction }));
    const rows = document.querySelectorAll<HTMLElement>(`[data-direction="${direction}"]`);
    const row = [...rows].find((each) => !known.has(Number(each.dataset['rule'])));
    row?.querySelector('select')?.focus();
  };
  const move = (key: number, by: -1 | 1): void => {
    const to = rules.findIndex((rule) => rule.key === key) + by;
    if (to < 0 || to >= rules.length) return;
    // Moving an element takes the focus from it.
    const focused = document.activeElement as HTMLElement | null;
    flushSync(() => dispatch({ kind: 'move', direction, key, by }));
    focused?.focus();
    setSaid(`Rule moved to place ${to + 1} of ${rules.length}`);
  };

  return (
    <Paper withBorder radius="md" p={{ base: 'sm', sm: 'md' }} component="section">
      <Stack gap="sm">
        <div>
          <Title order={2} size="h4">
            {title} rules
          </Title>
          <Text size="sm" c="dimmed">
            {intros[direction]}
          </Text>
        </div>
        <VisuallyHidden role="status">{said}</VisuallyHidden>
        {rules.length === 0 ? (
          <Text size="sm" className="no-rules">
            No {direction} rules: nothing is let {direction === 'inbound' ? 'in' : 'out'}.
          </Text>
        ) : (
          <div>
            <div className="rule-head" aria-hidden>
              <span>Protocol</span>
              <span>Ports</span>
              <span>{peers}</span>
              <span>Comment</span>
              <span className="number">{hitsOf === undefined ? '' : 'Hits'}</span>
            </div>
            {rules.map((rule, index) => (
              <RuleRow
                key={rule.key}
                {...{ direction, rule, errors, dispatch, index }}
                count={rules.length}
                hits={hitsOf?.(rule)}
                onMove={(by) => move(rule.key, by)}
              />
            ))}
          </div>
        )}
        <Group>
          <Button variant="light" leftSection={<IconPlus size={16} aria-hidden />} onClick={add}>
            Add New {title} Rule
          </Button>
        </Group>
      </Stack>
    </Paper>
  );
}
