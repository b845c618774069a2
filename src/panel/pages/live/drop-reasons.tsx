/** Why packets are dropped: the reasons of the last minute, the most frequent first, and how many ever. */
import { Group, Stack, Text } from '@mantine/core';
import type { ReactNode } from 'react';
import { useDropReasons } from '../../data/queries.ts';
import { topReasons } from '../../data/rates.ts';
import type { ReasonRate, StatsHistory } from '../../data/rates.ts';
import { formatNumber, formatPackets } from '../../parts/format.ts';

const overSeconds = 60;
const most = 6;

export function DropReasons({ stats }: { readonly stats: StatsHistory }): ReactNode {
  const meanings = useDropReasons();
  const reasons = topReasons(stats, overSeconds).slice(0, most);
  if (reasons.length === 0) {
    return (
      <Text size="sm" c="dimmed">
        Nothing has been dropped since the firewall was started.
      </Text>
    );
  }
  const isQuiet = reasons[0]!.rate === 0;
  const size = ({ rate, total }: ReasonRate): number => (isQuiet ? total : rate);
  const largest = size(reasons[0]!);
  return (
    <Stack gap="sm" component="ul" className="bare-list">
      {reasons.map((each) => (
        <li key={each.reason}>
          <Group justify="space-between" gap="xs" wrap="nowrap">
            <span className="mono">{each.reason}</span>
            <Text size="xs" c="dimmed" className="tabular nowrap">
              {formatPackets(each.rate)} · {formatNumber(each.total)} so far
            </Text>
          </Group>
          <Bar share={size(each) / largest} />
          <Text size="xs" c="dimmed">
            {meanings.get(each.reason)}
          </Text>
        </li>
      ))}
    </Stack>
  );
}

function Bar({ share }: { readonly share: number }): ReactNode {
  return (
    <div className="reason-bar" aria-hidden>
      <div style={{ width: `${Math.max(1, share * 100)}%` }} />
    </div>
  );
}
