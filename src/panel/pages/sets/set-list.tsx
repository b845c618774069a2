/** All named sets: how many addresses each has, who names it, and what is wrong with its files. */
import { Badge, Button, Paper, Table, Text } from '@mantine/core';
import { IconListDetails, IconPlus } from '@tabler/icons-react';
import type { ReactNode } from 'react';
import { Link } from 'wouter';
import { useMayChange } from '../../app/session.ts';
import { useSets, useStatus } from '../../data/queries.ts';
import type { SetSummary } from '../../data/types.ts';
import { Ago } from '../../parts/ago.tsx';
import { count, formatNumber } from '../../parts/format.ts';
import '../../parts/live.css';
import { NameCell } from '../../parts/name-cell.tsx';
import { Page } from '../../parts/page.tsx';
import { Empty, Loaded } from '../../parts/states.tsx';
import { problemsOf } from './set-problems.ts';

const about =
  'A set gives addresses a name. Rules name it as set:NAME, and mean whatever is in it at the moment.';

export default function SetList(): ReactNode {
  const sets = useSets();
  const mayChange = useMayChange();
  const create = (
    <Button component={Link} href="/sets/~new" leftSection={<IconPlus size={16} aria-hidden />}>
      Create Set
    </Button>
  );
  return (
    <Page title="Sets" about={about} {...(mayChange && { actions: create })}>
      <Loaded query={sets}>
        {({ sets: list }) =>
          list.length === 0 ? (
            <Empty
              icon={<IconListDetails size={40} stroke={1.4} aria-hidden />}
              title="No sets yet"
              {...(mayChange && { action: create })}
            >
              Write addresses that belong together once: the office, the VPN, a block list.
            </Empty>
          ) : (
            <SetTable list={list} />
          )
        }
      </Loaded>
    </Page>
  );
}

function SetTable({ list }: { readonly list: readonly SetSummary[] }): ReactNode {
  return (
    <Paper withBorder radius="md" className="table-frame">
      <Table className="data-table" verticalSpacing="sm" horizontalSpacing="md" aria-label="Sets">
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Name</Table.Th>
            <Table.Th className="number">Addresses</Table.Th>
            <Table.Th className="number">Ranges</Table.Th>
            <Table.Th>Used by</Table.Th>
            <Table.Th>Problems</Table.Th>
            <Table.Th>Last change</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {list.map((set) => (
            <Row key={set.name} set={set} />
          ))}
        </Table.Tbody>
      </Table>
    </Paper>
  );
}

function Row({ set }: { readonly set: SetSummary }): ReactNode {
  const { name, description, addressCount, rangeCount, usedBy, changed } = set;
  return (
    <Table.Tr>
      <NameCell {...{ name, description }} path="/sets" />
      <Table.Td data-label="Addresses" className="number">
        {formatNumber(addressCount)}
      </Table.Td>
      <Table.Td data-label="Ranges" className="number">
        {formatNumber(rangeCount)}
      </Table.Td>
      <Table.Td data-label="Used by">
        {usedBy.length === 0 ? 'nobody' : count(usedBy.length, 'place')}
      </Table.Td>
      <Table.Td data-label="Problems">
        <Problems set={set} />
      </Table.Td>
      <Table.Td data-label="Last change">
        {changed !== undefined && (
          <span>
            <Ago at={changed.at} />{' '}
            <Text span size="sm" c="dimmed">
              {changed.actor === 'file' ? 'in the file' : changed.actor}
            </Text>
          </span>
        )}
      </Table.Td>
    </Table.Tr>
  );
}

function Problems({ set }: { readonly set: SetSummary }): ReactNode {
  const { data } = useStatus();
  const problems = problemsOf(set, data);
  if (problems.length === 0) return 'none';
  const isError = problems.some(({ severity }) => severity === 'error');
  return (
    <Badge variant="light" color={isError ? 'red' : 'yellow'} tt="none">
      {count(problems.length, 'problem')}
    </Badge>
  );
}
