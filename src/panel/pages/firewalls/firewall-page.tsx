/** A firewall: its rules and servers. */
import { Anchor, Table, Title } from '@mantine/core';
import type { ReactNode } from 'react';
import { Link } from 'wouter';
import { useTemplate } from '../../data/queries.ts';
import type { Direction } from '../../data/types.ts';
import { Page } from '../../parts/page.tsx';
import { directionWords, peerWords, trafficWords } from '../../parts/rule-words.ts';
import { Loaded } from '../../parts/states.tsx';

const directions: readonly Direction[] = ['inbound', 'outbound'];

export default function FirewallPage({ name }: { readonly name: string }): ReactNode {
  const template = useTemplate(name);
  return (
    <Page title={name}>
      <Anchor component={Link} href={`/firewalls/${name}/history`}>
        History
      </Anchor>
      <Loaded query={template}>
        {(data) =>
          directions.map((direction) => (
            <section key={direction}>
              <Title order={2} size="h4">
                {directionWords[direction].title}
              </Title>
              <Table>
                <Table.Tbody>
                  {data[direction].map((rule, index) => (
                    <Table.Tr key={index}>
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
