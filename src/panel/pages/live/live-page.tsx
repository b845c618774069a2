/** What the firewall does at this moment: totals, once a second. */
import { Badge, Table } from '@mantine/core';
import { useState } from 'react';
import type { ReactNode } from 'react';
import { useEventStream } from '../../data/event-stream.ts';
import type { Stats } from '../../data/types.ts';
import { formatBytes, formatNumber } from '../../parts/format.ts';
import { Page } from '../../parts/page.tsx';
import { Failed, Loading } from '../../parts/states.tsx';

export default function LivePage(): ReactNode {
  const [stats, setStats] = useState<Stats>();
  const stream = useEventStream('/v1/stats', ({ data }) => setStats(data as Stats));
  return (
    <Page title="Live" actions={<Badge variant="light">{stream.state}</Badge>}>
      {stream.problem !== undefined && <Failed error={stream.problem} />}
      {stats === undefined ? (
        <Loading />
      ) : (
        <Table>
          <Table.Tbody>
            <Table.Tr>
              <Table.Th scope="row">Passed</Table.Th>
              <Table.Td>
                {formatNumber(stats.passed.packets)} packets, {formatBytes(stats.passed.bytes)}
              </Table.Td>
            </Table.Tr>
            <Table.Tr>
              <Table.Th scope="row">Dropped</Table.Th>
              <Table.Td>
                {formatNumber(stats.dropped.packets)} packets, {formatBytes(stats.dropped.bytes)}
              </Table.Td>
            </Table.Tr>
            <Table.Tr>
              <Table.Th scope="row">Flows</Table.Th>
              <Table.Td>{formatNumber(stats.flows.count)}</Table.Td>
            </Table.Tr>
          </Table.Tbody>
        </Table>
      )}
    </Page>
  );
}
