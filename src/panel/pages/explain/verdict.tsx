/** The answer: pass or drop, and the way to it: the packet, the live flow, and what each end's server says. */
import { Alert, Badge, Group, Stack, Table, Text, Timeline, Title } from '@mantine/core';
import {
  IconCircleCheck,
  IconCircleX,
  IconHourglass,
  IconPackage,
  IconPlugConnected,
  IconServer,
} from '@tabler/icons-react';
import type { ReactNode } from 'react';
import type { Explanation, Flow } from '../../data/types.ts';
import { formatDuration } from '../../../text/duration.ts';
import { count, formatBytes } from '../../parts/format.ts';
import { destinationText, endText, kindText, sourceText } from '../../../text/packet-text.ts';
import { FirewallLink, ServerLink } from '../../parts/server-link.tsx';

type Side = Explanation['sides'][number];
type Judgement = Explanation['verdict'];

const looks: Readonly<
  Record<Judgement, { title: string; color: string; icon: typeof IconCircleX }>
> = {
  pass: { title: 'Passes', color: 'teal', icon: IconCircleCheck },
  drop: { title: 'Dropped', color: 'red', icon: IconCircleX },
  held: { title: 'Held', color: 'yellow', icon: IconHourglass },
};

const deciders: Readonly<Record<Explanation['decidedBy'], string>> = {
  packet: 'Decided by the packet itself: no rule is asked.',
  rules: 'Decided by the rules.',
  flow: 'Decided by the live flow that it belongs to, before any rule.',
};

export function Verdict({ explanation }: { readonly explanation: Explanation }): ReactNode {
  const { verdict, reason, message, decidedBy, packet, sides, flow, epoch } = explanation;
  const { title, color, icon: Icon } = looks[verdict];
  return (
    <Stack gap="lg">
      <Alert color={color} icon={<Icon aria-hidden />} data-verdict={verdict}>
        <Title order={2} size="h4">
          {title}
        </Title>
        <Text size="sm" mt={4}>
          {sentence(message)} {verdict !== 'pass' && <span className="mono">({reason})</span>}
        </Text>
        <Text size="xs" mt={4}>
          {deciders[decidedBy]} Epoch {epoch}.
        </Text>
      </Alert>
      <Timeline bulletSize={26} lineWidth={2}>
        <Timeline.Item bullet={<IconPackage size={15} aria-hidden />} title="The packet">
          <Packet packet={packet} />
        </Timeline.Item>
        {flow !== undefined && (
          <Timeline.Item
            bullet={<IconPlugConnected size={15} aria-hidden />}
            title="A live flow has it"
          >
            <LiveFlow flow={flow} />
          </Timeline.Item>
        )}
        {sides.map((side) => (
          <Timeline.Item
            key={side.direction}
            bullet={<IconServer size={15} aria-hidden />}
            title={<SideTitle side={side} />}
          >
            <SideAnswer side={side} />
          </Timeline.Item>
        ))}
        <Timeline.Item bullet={<Icon size={15} aria-hidden />} color={color} title={title} />
      </Timeline>
    </Stack>
  );
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}

function Packet({ packet }: Pick<Explanation, 'packet'>): ReactNode {
  const { protocol, source, destination, sourcePort, destinationPort } = packet;
  if (source === undefined || destination === undefined) {
    return <Small>It is not understood as far as its addresses.</Small>;
  }
  return (
    <Small>
      {protocol !== undefined && `${kindText({ ...packet, protocol })} `}
      <span className="mono address">
        {endText(source, sourcePort)} → {endText(destination, destinationPort)}
      </span>
    </Small>
  );
}

function LiveFlow({ flow }: { readonly flow: Flow }): ReactNode {
  return (
    <Small>
      {flow.protocol.toUpperCase()}{' '}
      <span className="mono address">
        {sourceText(flow)} → {destinationText(flow)}
      </span>
      , {flow.state}, {formatDuration(flow.ageSeconds)} old,{' '}
      {formatBytes(flow.original.bytes + flow.reply.bytes)}
    </Small>
  );
}

function SideTitle({ side: { direction, server, allowed } }: { readonly side: Side }): ReactNode {
  return (
    <Group gap="xs">
      <span>
        {direction === 'inbound' ? 'Into' : 'Out of'} <ServerLink name={server} />
      </span>
      <Badge variant="light" color={allowed ? 'teal' : 'red'} tt="none">
        {allowed ? 'allowed' : 'not allowed'}
      </Badge>
    </Group>
  );
}

function SideAnswer({ side }: { readonly side: Side }): ReactNode {
  const { direction, templates, rules, rule, nearest } = side;
  return (
    <Stack gap={6}>
      <Small>
        {templates.length === 0
          ? 'It has no firewall.'
          : `${count(rules, `${direction} rule`)} of ${templates.join(', ')}.`}
      </Small>
      {rule !== undefined && (
        <Small>
          Allowed by <RuleText rule={rule} />
        </Small>
      )}
      {nearest !== undefined && (
        <>
          <Small>
            Nearest is <RuleText rule={nearest} />, but:
          </Small>
          <Failures failed={nearest.failed} />
        </>
      )}
      {rule === undefined && nearest === undefined && templates.length > 0 && (
        <Small>No rule comes near.</Small>
      )}
    </Stack>
  );
}

function RuleText({ rule }: { readonly rule: NonNullable<Side['rule']> }): ReactNode {
  const { template, position, text, comment } = rule;
  return (
    <>
      rule {position + 1} of <FirewallLink name={template} />:{' '}
      <b className="mono address">{text}</b>
      {comment !== undefined && ` (${comment})`}
    </>
  );
}

interface FailuresProps {
  readonly failed: NonNullable<Side['nearest']>['failed'];
}

function Failures({ failed }: FailuresProps): ReactNode {
  return (
    <Table withTableBorder aria-label="What does not fit" maw={480}>
      <Table.Thead>
        <Table.Tr>
          <Table.Th>Field</Table.Th>
          <Table.Th>The rule has</Table.Th>
          <Table.Th>The packet has</Table.Th>
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {failed.map(({ field, expected, found }) => (
          <Table.Tr key={field}>
            <Table.Td>{field}</Table.Td>
            <Table.Td className="mono address">{expected}</Table.Td>
            <Table.Td className="mono address">{found}</Table.Td>
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Table>
  );
}

function Small({ children }: { readonly children: ReactNode }): ReactNode {
  return (
    <Text size="sm" component="div">
      {children}
    </Text>
  );
}
