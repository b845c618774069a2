/**
 * What a change would do: servers with the reasons, rules that would mean other addresses though nobody has touched them, live
 * flows that would end, warnings, and the difference in the files.
 */
import { Alert, List, Spoiler, Stack, Text } from '@mantine/core';
import {
  IconAlertTriangle,
  IconArrowsDiff,
  IconDoor,
  IconDoorOff,
  IconPlugX,
  IconServer,
} from '@tabler/icons-react';
import type { ReactNode } from 'react';
import type { Review } from '../data/types.ts';
import { Diff } from './diff.tsx';
import { count } from './format.ts';

export function ReviewEffects({ review }: { readonly review: Review }): ReactNode {
  const { changed, diff, affected, rules, opens, closes, warnings, flowsCut } = review;
  if (changed.length === 0) {
    return <Alert color="gray">Nothing would change: it is so already.</Alert>;
  }
  return (
    <Stack gap="sm">
      {warnings.length > 0 && <Warnings warnings={warnings} />}
      {opens.length > 0 && (
        <Sentences title="What becomes possible" color="orange" sentences={opens} />
      )}
      {closes.length > 0 && (
        <Sentences title="What is possible no more" color="gray" sentences={closes} />
      )}
      <Affected affected={affected} />
      {rules.length > 0 && <Shifted rules={rules} />}
      {flowsCut !== undefined && <FlowsCut flows={flowsCut} />}
      <div>
        <Text size="sm" fw={600} mb={4}>
          What changes
        </Text>
        <Diff text={diff} label="Difference in the configuration" />
      </div>
    </Stack>
  );
}

function Warnings({ warnings }: Pick<Review, 'warnings'>): ReactNode {
  return (
    <Alert
      variant="light"
      color="yellow"
      icon={<IconAlertTriangle aria-hidden />}
      title="Valid, and perhaps not meant"
    >
      <List size="sm">
        {warnings.map((warning) => (
          <List.Item key={warning}>{warning}</List.Item>
        ))}
      </List>
    </Alert>
  );
}

interface SentencesProps {
  readonly title: string;
  readonly color: string;
  readonly sentences: readonly string[];
}

function Sentences({ title, color, sentences }: SentencesProps): ReactNode {
  const isOpening = color === 'orange';
  return (
    <Alert
      variant="light"
      color={color}
      icon={isOpening ? <IconDoor aria-hidden /> : <IconDoorOff aria-hidden />}
      title={title}
    >
      <Spoiler maxHeight={132} showLabel="Show all" hideLabel="Show fewer">
        <ul className="plain-list" aria-label={title}>
          {sentences.map((sentence) => (
            <li key={sentence} className="address">
              {sentence}
            </li>
          ))}
        </ul>
      </Spoiler>
    </Alert>
  );
}

function Affected({ affected }: Pick<Review, 'affected'>): ReactNode {
  const isNone = affected.length === 0;
  return (
    <Alert
      variant="light"
      color={isNone ? 'gray' : 'blue'}
      icon={<IconServer aria-hidden />}
      title={isNone ? 'No server is affected' : `${count(affected.length, 'server')} affected`}
    >
      {!isNone && (
        <Spoiler maxHeight={88} showLabel="Show all" hideLabel="Show fewer">
          <ul className="plain-list" aria-label="Servers affected">
            {affected.map(({ server, reasons }) => (
              <li key={server}>
                <b>{server}</b>: {reasons.join('; ')}
              </li>
            ))}
          </ul>
        </Spoiler>
      )}
    </Alert>
  );
}

/** Rules that stay as they are written. */
function Shifted({ rules }: Pick<Review, 'rules'>): ReactNode {
  return (
    <Alert
      variant="light"
      color="orange"
      icon={<IconArrowsDiff aria-hidden />}
      title={`${count(rules.length, 'rule')} would mean other addresses`}
    >
      <ul className="plain-list" aria-label="Rules that mean other addresses">
        {rules.map(({ template, direction, index, text, opened, closed }) => (
          <li key={`${template} ${direction} ${index}`}>
            <b>{template}</b>, {direction} rule {index + 1} ({text})
            {opened.length > 0 && <div>would open to {opened.join(', ')}</div>}
            {closed.length > 0 && <div>would close to {closed.join(', ')}</div>}
          </li>
        ))}
      </ul>
    </Alert>
  );
}

function FlowsCut({ flows }: { readonly flows: number }): ReactNode {
  return (
    <Alert
      variant="light"
      color={flows === 0 ? 'gray' : 'orange'}
      icon={<IconPlugX aria-hidden />}
      title={flows === 0 ? 'No live flow is cut' : `${count(flows, 'live flow')} would be cut`}
    >
      {flows > 0 && 'The new rules forbid them: they end when the change is applied.'}
    </Alert>
  );
}
