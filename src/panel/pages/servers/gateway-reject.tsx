/** What the gateway does with packets that no rule allows, for servers without a setting of their own; and how to change it. */
import { Code, Text } from '@mantine/core';
import type { ReactNode } from 'react';
import { useStatus } from '../../data/queries.ts';
import { directions } from '../../../text/rule-text.ts';
import { formatNumber } from '../../parts/format.ts';

export function GatewayReject(): ReactNode {
  const { data } = useStatus();
  if (data === undefined) return null;
  const { reject } = data;
  const answered = directions.filter((direction) => reject[direction]);
  return (
    <Text size="sm" c="dimmed" component="div" role="note" aria-label="Reject of the gateway">
      {answered.length === 0
        ? 'The gateway drops silently what no rule allows. A server may have its own setting. To answer instead, so that clients fail at once, write '
        : `The gateway rejects ${answered.join(' and ')} packets that no rule allows, at most ${formatNumber(reject.perSecond)} a second and ${formatNumber(reject.perSourcePerSecond)} for each source. A server may have its own setting. To drop silently, write `}
      <Code>{lineFor(answered.length === 0)}</Code> in <Code>gateway.yaml</Code>.
    </Text>
  );
}

const lineFor = (value: boolean): string => `reject: { inbound: ${value}, outbound: ${value} }`;
