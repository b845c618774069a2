/**
 * Rules for what a server was seen to need while it observed, with what else each would admit. One chooses among them, and where
 * they are to go; then they are reviewed as any other change.
 */
import { Alert, Button, Checkbox, Group, Select, Stack, Text } from '@mantine/core';
import { useState } from 'react';
import type { ReactNode } from 'react';
import type { Operation } from '../../data/changes.ts';
import { useSuggestion } from '../../data/queries.ts';
import type { Server, Suggestion } from '../../data/types.ts';
import { count, formatTime } from '../../parts/format.ts';
import { ReviewedDialog } from '../../parts/reviewed-dialog.tsx';
import { Empty, Loaded } from '../../parts/states.tsx';
import { directions } from '../../../text/rule-text.ts';
import { alsoText } from '../../../text/suggestion-text.ts';

export interface SuggestDialogProps {
  readonly server: Server;
  readonly opened: boolean;
  readonly onClose: () => void;
}

export function SuggestDialog({ server, opened, onClose }: SuggestDialogProps): ReactNode {
  return (
    <ReviewedDialog
      title={`Rules for ${server.name}`}
      size="xl"
      opened={opened}
      done="The rules were added"
      onClose={onClose}
    >
      {(onReview) => <Proposal server={server} onReview={onReview} onClose={onClose} />}
    </ReviewedDialog>
  );
}

interface ProposalProps extends Omit<SuggestDialogProps, 'opened'> {
  readonly onReview: (operations: readonly Operation[]) => void;
}

function Proposal({ server, onReview, onClose }: ProposalProps): ReactNode {
  const [template, setTemplate] = useState<string>();
  const suggestion = useSuggestion(server.name, template);
  return (
    <Loaded query={suggestion}>
      {(found) =>
        found.rules.length === 0 ? (
          <Empty title="Nothing was seen that lacks a rule">
            {found.since === undefined
              ? 'The server has not observed on this gateway.'
              : `Recorded since ${formatTime(found.since)}.`}
          </Empty>
        ) : (
          <Choices {...{ found, server, onReview, onClose }} onTemplate={setTemplate} />
        )
      }
    </Loaded>
  );
}

interface ChoicesProps extends ProposalProps {
  readonly found: Suggestion;
  readonly onTemplate: (template: string) => void;
}

function Choices({ found, server, onReview, onClose, onTemplate }: ChoicesProps): ReactNode {
  const { rules, since, template } = found;
  const [left, setLeft] = useState<ReadonlySet<string>>(new Set());
  const keyOf = ({ direction, text }: Suggestion['rules'][number]): string =>
    `${direction} ${text}`;
  const chosen = rules.filter((each) => !left.has(keyOf(each)));
  const choose = (key: string, isChosen: boolean): void => {
    const next = new Set(left);
    if (isChosen) next.delete(key);
    else next.add(key);
    setLeft(next);
  };
  const own = [...server.templates, ...server.appliedTemplates.map((each) => each.template)];
  return (
    <Stack>
      <Text size="sm">
        Rules that cover what no rule allowed
        {since !== undefined && ` since ${formatTime(since)}`}.
      </Text>
      <Lacks found={found} />
      {rules.map((each) => (
        <Checkbox
          key={keyOf(each)}
          label={<span className="mono">{`${each.direction} ${each.text}`}</span>}
          description={[
            `${count(each.flows, 'flow')} of ${count(each.peers, 'address', 'addresses')}`,
            ...each.alsoAdmits.map((also) => alsoText(also, each.rule.ports)),
          ].join('; ')}
          checked={!left.has(keyOf(each))}
          onChange={({ currentTarget }) => choose(keyOf(each), currentTarget.checked)}
        />
      ))}
      <Select
        label="Add them to"
        data={[
          ...own.map((name) => ({ value: name, label: name })),
          ...(template.exists
            ? []
            : [{ value: template.name, label: `${template.name}: a new firewall` }]),
        ]}
        value={template.name}
        onChange={(name) => name !== null && own.includes(name) && onTemplate(name)}
        allowDeselect={false}
      />
      {template.otherServers.length > 0 && (
        <Alert color="orange">They count for these, too: {template.otherServers.join(', ')}</Alert>
      )}
      <Group justify="flex-end">
        <Button variant="default" onClick={onClose}>
          Cancel
        </Button>
        <Button
          disabled={chosen.length === 0}
          onClick={() => onReview(operationsFor(found, chosen))}
        >
          Review {count(chosen.length, 'rule')}
        </Button>
      </Group>
    </Stack>
  );
}

/** What the rules do not cover. */
function Lacks({ found: { forgotten, lost, leftOut } }: { readonly found: Suggestion }): ReactNode {
  const texts = [
    ...(leftOut > 0 ? [`${count(leftOut, 'flow')} to port 0, which no rule can name`] : []),
    ...(forgotten > 0 ? [`${count(forgotten, 'flow')} of kinds that were too many to keep`] : []),
    ...(lost > 0 ? [`perhaps some of ${count(lost, 'record')} that were lost under load`] : []),
  ];
  return texts.length > 0 && <Alert color="orange">Not covered: {texts.join('; ')}</Alert>;
}

function operationsFor(
  { server, template: { name, exists } }: Suggestion,
  chosen: Suggestion['rules'],
): readonly Operation[] {
  if (exists) {
    return chosen.map(({ direction, rule }) => ({
      ...{ kind: 'add-rule', template: name, direction, rule },
    }));
  }
  const body = Object.fromEntries(
    directions.map((direction) => [
      direction,
      chosen.filter((each) => each.direction === direction).map(({ rule }) => rule),
    ]),
  );
  return [
    { kind: 'create-template', name, body },
    { kind: 'assign', servers: [server], templates: [name] },
  ];
}
