/**
 * "Allow this": the smallest rule for a dropped packet, into a firewall of the server that refused it. What the rules say of
 * the packet is asked first, since they may have changed after the drop, and between two servers both may refuse it. Then
 * the change is reviewed as any other.
 */
import { Alert, Button, Group, Paper, Select, Stack, Text, TextInput } from '@mantine/core';
import { IconCircleCheck } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import type { ReactNode } from 'react';
import { request } from '../data/client.ts';
import type { Operation } from '../data/changes.ts';
import type { Drop, Explanation } from '../data/types.ts';
import { allowingRule, questionOf } from './allowing-rule.ts';
import type { Side } from './allowing-rule.ts';
import { destinationText, kindText, sourceText } from '../../text/packet-text.ts';
import { ReviewedDialog } from './reviewed-dialog.tsx';
import { ruleText } from '../../text/rule-text.ts';
import { directionWords } from './rule-words.ts';
import { Failed, Loading } from './states.tsx';

export interface AllowDialogProps {
  /** `undefined`: the dialog is closed. */
  readonly drop: Drop | undefined;
  readonly onClose: () => void;
}

export function AllowDialog({ drop, onClose }: AllowDialogProps): ReactNode {
  return (
    <ReviewedDialog
      title="Allow this"
      reviewTitle="Review: allow this"
      size="lg"
      opened={drop !== undefined}
      done="The rule was added"
      onClose={onClose}
    >
      {(onReview) => drop && <Proposal drop={drop} onReview={onReview} onClose={onClose} />}
    </ReviewedDialog>
  );
}

interface ProposalProps {
  readonly drop: Drop;
  readonly onReview: (operations: readonly Operation[]) => void;
  readonly onClose: () => void;
}

function Proposal({ drop, onReview, onClose }: ProposalProps): ReactNode {
  const explanation = useQuery({
    queryKey: ['allow', drop],
    queryFn: ({ signal }) =>
      request<Explanation>('POST', '/v1/explain', { body: questionOf(drop), signal }),
    gcTime: 0,
    staleTime: 0,
    refetchOnWindowFocus: false,
  });
  return (
    <Stack>
      <Text size="sm">
        {kindText(drop)} from <b className="mono">{sourceText(drop)}</b> to{' '}
        <b className="mono">{destinationText(drop)}</b> was dropped:{' '}
        <span className="mono">{drop.reason}</span>.
      </Text>
      {explanation.isPending && <Loading rows={3} />}
      {explanation.isError && (
        <Failed error={explanation.error} onRetry={() => void explanation.refetch()} />
      )}
      {explanation.data !== undefined && (
        <Choices
          drop={drop}
          sides={explanation.data.sides.filter(({ allowed }) => !allowed)}
          onReview={onReview}
          onClose={onClose}
        />
      )}
    </Stack>
  );
}

/** In the list of firewalls, where names have letters. */
const newFirewall = '+';

interface Choice {
  readonly template: string;
  /** Of the new one, if it is to be one. */
  readonly name: string;
}

function firstChoice({ server, templates }: Side): Choice {
  return { template: templates[0] ?? newFirewall, name: `${server.slice(0, 55)}-allowed` };
}

function operationsFor(
  drop: Drop,
  { direction, server }: Side,
  { template, name }: Choice,
  comment: string,
): readonly Operation[] {
  const said = comment.trim();
  const rule = { ...allowingRule(direction, drop), ...(said !== '' && { comment: said }) };
  if (template !== newFirewall) return [{ kind: 'add-rule', template, direction, rule }];
  return [
    { kind: 'create-template', name, body: { [direction]: [rule] } },
    { kind: 'assign', servers: [server], templates: [name] },
  ];
}

interface ChoicesProps extends ProposalProps {
  readonly sides: readonly Side[];
}

function Choices({ drop, sides, onReview, onClose }: ChoicesProps): ReactNode {
  const [choices, setChoices] = useState(() => sides.map(firstChoice));
  const [comment, setComment] = useState('');
  if (sides.length === 0) {
    return (
      <Alert color="teal" icon={<IconCircleCheck aria-hidden />} title="The rules allow it now">
        They have changed since this packet was dropped: the next one passes.
      </Alert>
    );
  }
  const review = (): void =>
    onReview(sides.flatMap((side, at) => operationsFor(drop, side, choices[at]!, comment)));
  return (
    <Stack>
      {sides.map((side, at) => (
        <SideChoice
          key={side.direction}
          drop={drop}
          side={side}
          choice={choices[at]!}
          onChange={(choice) => setChoices(choices.with(at, choice))}
        />
      ))}
      <TextInput
        label="Comment"
        description="Why it is allowed, for later readers of the rules."
        value={comment}
        onChange={({ currentTarget }) => setComment(currentTarget.value)}
      />
      <Group justify="flex-end">
        <Button variant="default" onClick={onClose}>
          Cancel
        </Button>
        <Button onClick={review}>Review</Button>
      </Group>
    </Stack>
  );
}

interface SideChoiceProps {
  readonly drop: Drop;
  readonly side: Side;
  readonly choice: Choice;
  readonly onChange: (choice: Choice) => void;
}

function SideChoice({ drop, side, choice, onChange }: SideChoiceProps): ReactNode {
  const { direction, server, templates } = side;
  const rule = allowingRule(direction, drop);
  return (
    <Paper withBorder p="md">
      <Stack gap="sm">
        <div>
          <Text size="sm" c="dimmed">
            New {directionWords[direction].title.toLowerCase()} rule for {server}
          </Text>
          <Text fw={600}>{ruleText(direction, rule)}</Text>
        </div>
        <Select
          label="Add it to"
          data={[
            ...templates.map((name) => ({ value: name, label: name })),
            { value: newFirewall, label: 'A new firewall, for this server alone' },
          ]}
          value={choice.template}
          onChange={(template) => onChange({ ...choice, template: template ?? choice.template })}
          allowDeselect={false}
        />
        {choice.template === newFirewall && (
          <TextInput
            label="Name of the new firewall"
            value={choice.name}
            onChange={({ currentTarget }) => onChange({ ...choice, name: currentTarget.value })}
          />
        )}
      </Stack>
    </Paper>
  );
}
