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
import { endText } from '../../text/packet-text.ts';
import type { Flow, Review } from '../data/types.ts';
import { Diff } from './diff.tsx';
import { count, formatBytes } from './format.ts';

export function ReviewEffects({ review }: { readonly review: Review }): ReactNode {
  const { changed, diff, affected, rules, opens, closes, warnings } = review;
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
      <FlowsCut review={review} />
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

function FlowsCut({ review }: { readonly review: Review }): ReactNode {
  const { flowsCut, largestFlowsCut = [], cutsClient = false } = review;
  if (flowsCut === undefined) return null;
  const icon = <IconPlugX aria-hidden />;
  if (flowsCut === 0) {
    return <Alert variant="light" color="gray" icon={icon} title="No live flow is cut" />;
  }
  const more = flowsCut - largestFlowsCut.length;
  return (
    <Alert
      variant="light"
      color={cutsClient ? 'red' : 'orange'}
      icon={icon}
      title={`${count(flowsCut, 'live flow')} would be cut`}
    >
      {cutsClient && (
        <Text size="sm" fw={600} mb={4}>
          One of them is yours: this change may cut you off.
        </Text>
      )}
      <Spoiler maxHeight={132} showLabel="Show all" hideLabel="Show fewer">
        <ul className="plain-list" aria-label="Live flows that end">
          {largestFlowsCut.map((flow) => (
            <li key={flow.id} className="address">
              {flowText(flow)}
            </li>
          ))}
          {more > 0 && <li>and {count(more, 'smaller one')}</li>}
        </ul>
      </Spoiler>
    </Alert>
  );
}

function flowText(flow: Flow): string {
  const { protocol, source, sourcePort, sourceServer } = flow;
  const { destination, destinationPort, destinationServer, original, reply } = flow;
  const from = endText(source, sourcePort, sourceServer);
  const to = endText(destination, destinationPort, destinationServer);
  return `${protocol.toUpperCase()} ${from} → ${to}, ${formatBytes(original.bytes + reply.bytes)}`;
}
