/** A server: the union of the rules of its firewalls. */
import { Table, Title } from '@mantine/core';
import type { ReactNode } from 'react';
import { useServer, useServerRules } from '../../data/queries.ts';
import type { Direction } from '../../data/types.ts';
import { Page } from '../../parts/page.tsx';
import { directionWords, peerWords, trafficWords } from '../../parts/rule-words.ts';
import { Loaded } from '../../parts/states.tsx';

const directions: readonly Direction[] = ['inbound', 'outbound'];

export default function ServerPage({ name }: { readonly name: string }): ReactNode {
  const server = useServer(name);
  const rules = useServerRules(name);
  return (
    <Page title={name} about={server.data?.addresses.join(', ')}>
      <Loaded query={rules}>
        {(data) =>
          directions.map((direction) => (
            <section key={direction}>
              <Title order={2} size="h4">
                {directionWords[direction].title}
              </Title>
              <Table>
                <Table.Tbody>
                  {data[direction].map((rule) => (
                    <Table.Tr key={`${rule.template} ${rule.index}`}>
                      <Table.Td>{rule.template}</Table.Td>
                      <Table.Td>{trafficWords(rule)}</Table.Td>
                      <Table.Td>{peerWords(direction, rule)}</Table.Td>
                      <Table.Td className="number">{rule.hits ?? '–'}</Table.Td>
                    </Table.Tr>
                  ))}
                </Table.Tbody>
              </Table>
            </section>
          ))
        }
      </Loaded>
    </Page>
  );
}
