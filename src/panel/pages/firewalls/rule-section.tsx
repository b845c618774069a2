/** The rules of one direction while they are edited: a row a rule, and a button for one more. */
import { Button, Group, Paper, Stack, Text, Title, VisuallyHidden } from '@mantine/core';
import { IconPlus } from '@tabler/icons-react';
import { memo, useCallback, useMemo, useState } from 'react';
import type { ReactNode } from 'react';
import type { RuleDirection } from '../../../text/rule-text.ts';
import { flushSync } from 'react-dom';
import type { RuleHits } from '../../parts/hit-times.ts';
import { directionWords } from '../../parts/rule-words.ts';
import { unchosen } from './draft.ts';
import type { Action, RuleDraft } from './draft.ts';
import { wrongRules } from './draft-errors.ts';
import type { DraftErrors } from './draft-errors.ts';
import { RuleRow } from './rule-row.tsx';
import './rules.css';

export interface RuleSectionProps {
  readonly direction: RuleDirection;
  readonly rules: readonly RuleDraft[];
  readonly errors: DraftErrors;
  /** Flows that a rule as it was saved has opened. */
  readonly hitsOf?: ((rule: RuleDraft) => RuleHits | undefined) | undefined;
  readonly dispatch: (action: Action) => void;
}

const intros: Readonly<Record<RuleDirection, string>> = {
  inbound: 'What may open connections to the servers. Without a rule, everything is dropped.',
  outbound: 'What the servers may open connections to. Replies need no rule.',
};

export const RuleSection = memo(function RuleSection(props: RuleSectionProps): ReactNode {
  const { direction, rules, errors, hitsOf, dispatch } = props;
  const [said, setSaid] = useState('');
  /** The key of the rule that is edited. Besides, those with errors and those that say nothing yet are. */
  const [edited, setEdited] = useState<number>();
  const wrong = useMemo(() => wrongRules(errors), [errors]);
  const { title } = directionWords[direction];

  const edit = useCallback((key: number): void => {
    flushSync(() => setEdited(key));
    document.querySelector<HTMLElement>(`[data-rule="${key}"] select`)?.focus();
  }, []);
  const end = useCallback((key: number): void => {
    flushSync(() => setEdited(undefined));
    document.querySelector<HTMLElement>(`[data-edit="${key}"]`)?.focus();
  }, []);
  const add = (): void => {
    const known = new Set(rules.map(({ key }) => key));
    flushSync(() => dispatch({ kind: 'add', direction }));
    const rows = document.querySelectorAll<HTMLElement>(`[data-direction="${direction}"]`);
    const row = [...rows].find((each) => !known.has(Number(each.dataset['rule'])));
    if (row !== undefined) edit(Number(row.dataset['rule']));
  };
  const move = useCallback(
    (key: number, by: -1 | 1, place: string): void => {
      // Moving an element takes the focus from it.
      const focused = document.activeElement as HTMLElement | null;
      flushSync(() => dispatch({ kind: 'move', direction, key, by }));
      focused?.focus();
      setSaid(`Rule moved to place ${place}`);
    },
    [direction, dispatch],
  );

  return (
    <Paper withBorder radius="md" p={{ base: 'sm', sm: 'md' }} component="section">
      <Stack gap="sm">
        <Intro direction={direction} />
        <VisuallyHidden role="status">{said}</VisuallyHidden>
        {rules.length === 0 ? (
          <Text size="sm" className="no-rules">
            No {direction} rules: nothing is let {direction === 'inbound' ? 'in' : 'out'}.
          </Text>
        ) : (
          <div>
            <Head direction={direction} hits={hitsOf === undefined ? '' : 'Hits'} />
            {rules.map((rule, index) => (
              <RuleRow
                key={rule.key}
                {...{ direction, rule, errors, dispatch, index }}
                count={rules.length}
                hits={hitsOf?.(rule)}
                isEdited={rule.key === edited || wrong.has(rule.key) || unchosen(rule).length > 0}
                onMove={move}
                onEdit={edit}
                onDone={end}
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
});

interface HeadProps {
  readonly direction: RuleDirection;
  readonly hits: string;
}

function Head({ direction, hits }: HeadProps): ReactNode {
  return (
    <div className="rule-head" aria-hidden>
      <span>Protocol</span>
      <span>Ports</span>
      <span>{directionWords[direction].peers}</span>
      <span>Comment</span>
      <span className="number">{hits}</span>
    </div>
  );
}

function Intro({ direction }: Pick<HeadProps, 'direction'>): ReactNode {
  return (
    <div>
      <Title order={2} size="h4">
        {directionWords[direction].title} rules
      </Title>
      <Text size="sm" c="dimmed">
        {intros[direction]}
      </Text>
    </div>
  );
}
