/** What a rule may have beside its fields: exceptions, an end, whether it counts at all, and whether its flows are logged. */
import { ActionIcon, Button, Group, Popover, Stack, Switch, Text, TextInput } from '@mantine/core';
import { IconClock } from '@tabler/icons-react';
import { useState } from 'react';
import type { ReactNode } from 'react';
import type { RuleDraft } from './draft.ts';
import { isPlain, optionsText } from './draft.ts';
import { fieldKey } from './draft-errors.ts';
import type { DraftErrors } from './draft-errors.ts';
import { useNow } from '../../parts/ago.tsx';
import { momentText } from '../../../text/moment.ts';
import { PeersInput } from '../../parts/peers-input.tsx';

export interface RuleOptionsProps {
  /** `inbound rule 2`. */
  readonly what: string;
  readonly rule: RuleDraft;
  readonly errors: DraftErrors;
  readonly change: (values: Partial<RuleDraft>) => void;
}

const hourMs = 3_600_000;
const terms: readonly { readonly label: string; readonly ms: number }[] = [
  { label: '1 hour', ms: hourMs },
  { label: '1 day', ms: 24 * hourMs },
  { label: '1 week', ms: 7 * 24 * hourMs },
];

export function RuleOptions(props: RuleOptionsProps): ReactNode {
  const { what } = props;
  const [opened, setOpened] = useState(false);
  return (
    <Popover
      opened={opened}
      onChange={setOpened}
      position="bottom-end"
      width={350}
      withArrow
      trapFocus
      returnFocus
    >
      <Popover.Target>
        <ActionIcon
          variant="subtle"
          color="gray"
          size="lg"
          aria-label={`Options of ${what}`}
          title="Exceptions, end, on and off"
          onClick={() => setOpened(!opened)}
        >
          <IconClock size={16} aria-hidden />
        </ActionIcon>
      </Popover.Target>
      <Popover.Dropdown aria-label={`Options of ${what}`}>
        {opened && <Options {...props} />}
      </Popover.Dropdown>
    </Popover>
  );
}

const endIn = (ms: number): string => momentText(Date.now() + ms);

function Options({ rule, errors, change }: RuleOptionsProps): ReactNode {
  const errorOf = (field: 'except' | 'expires'): string | undefined =>
    errors.rules.get(fieldKey(rule.key, field))?.join('; ');
  return (
    <Stack gap="sm">
      <Switch
        label="The rule counts"
        checked={rule.enabled}
        onChange={({ currentTarget }) => change({ enabled: currentTarget.checked })}
      />
      <Switch
        label="Log when its flows begin"
        description="In the flow log, if gateway.yaml has one."
        checked={rule.log}
        onChange={({ currentTarget }) => change({ log: currentTarget.checked })}
      />
      <PeersInput
        label="Except"
        description="Taken away from the addresses above."
        placeholder="192.0.2.7, server:web-9"
        value={rule.except}
        onChange={(except) => change({ except })}
        error={errorOf('except')}
      />
      <TextInput
        label="Ends at"
        description="From then on the rule does not count. Empty: never."
        placeholder="2030-01-31T18:00:00Z"
        value={rule.expires}
        onChange={({ currentTarget }) => change({ expires: currentTarget.value.trim() })}
        error={errorOf('expires')}
        autoComplete="off"
      />
      <Group gap={6}>
        {terms.map(({ label, ms }) => (
          <Button
            key={label}
            size="compact-sm"
            variant="default"
            onClick={() => change({ expires: endIn(ms) })}
          >
            {label}
          </Button>
        ))}
        <Button size="compact-sm" variant="default" onClick={() => change({ expires: '' })}>
          Never
        </Button>
      </Group>
    </Stack>
  );
}

/** What of it differs from other rules. */
export function RuleNote({ rule }: { readonly rule: RuleDraft }): ReactNode {
  return isPlain(rule) ? null : <Note rule={rule} />;
}

function Note({ rule }: { readonly rule: RuleDraft }): ReactNode {
  const nowMs = useNow();
  return (
    <Text className="rule-note" size="xs" c="dimmed">
      {optionsText(rule, nowMs)}
    </Text>
  );
}
