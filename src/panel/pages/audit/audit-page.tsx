/** Who did what. */
import { Table } from '@mantine/core';
import type { ReactNode } from 'react';
import { useAudit } from '../../data/queries.ts';
import { Ago } from '../../parts/ago.tsx';
import { Page } from '../../parts/page.tsx';
import { Loaded } from '../../parts/states.tsx';

export default function AuditPage(): ReactNode {
  const audit = useAudit({});
  return (
    <Page title="Audit">
      <Loaded query={audit}>
        {({ records }) => (
          <Table>
            <Table.Tbody>
              {records.map(({ id, at, actor, action, result, summary }) => (
                <Table.Tr key={id}>
                  <Table.Td>
                    <Ago at={at} />
                  </Table.Td>
                  <Table.Td>{actor.name}</Table.Td>
                  <Table.Td>{action}</Table.Td>
                  <Table.Td>{result}</Table.Td>
                  <Table.Td>{summary}</Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        )}
      </Loaded>
    </Page>
  );
}
