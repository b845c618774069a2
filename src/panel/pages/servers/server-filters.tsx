/** What narrows the list of servers: a search, region, label, firewall, those without any; and the order. */
import { Checkbox, Group, Select, TextInput } from '@mantine/core';
import { IconSearch } from '@tabler/icons-react';
import type { ReactNode } from 'react';
import type { Server } from '../../data/types.ts';
import { firewallsOf, labelWords } from './server-filter.ts';
import type { ServerFilter, Sorting } from './server-filter.ts';

export interface ServerFiltersProps {
  readonly list: readonly Server[];
  readonly filter: ServerFilter;
  readonly sorting: Sorting;
  readonly onFilter: (values: Partial<ServerFilter>) => void;
  readonly onSort: (by: Sorting) => void;
}

const orders: readonly { readonly value: Sorting; readonly label: string }[] = [
  { value: 'name', label: 'Name' },
  { value: 'address', label: 'Address' },
  { value: 'region', label: 'Region' },
  { value: 'firewalls', label: 'Fewest firewalls' },
  { value: 'open', label: 'Open to the world' },
];

export function ServerFilters(props: ServerFiltersProps): ReactNode {
  const { list, filter, sorting, onFilter, onSort } = props;
  const regions = list.flatMap(({ region }) => region ?? []);
  return (
    <Group gap="sm" align="end">
      <TextInput
        label="Search servers"
        placeholder="Name, address, region, label"
        leftSection={<IconSearch size={16} aria-hidden />}
        value={filter.words}
        onChange={({ currentTarget }) => onFilter({ words: currentTarget.value })}
        w={{ base: '100%', xs: 300 }}
      />
      <Choice
        label="Region"
        values={regions}
        value={filter.region}
        onChange={(region) => onFilter({ region })}
      />
      <Choice
        label="Label"
        values={list.flatMap(labelWords)}
        value={filter.label}
        onChange={(label) => onFilter({ label })}
      />
      <Choice
        label="Firewall"
        values={list.flatMap(firewallsOf)}
        value={filter.firewall}
        onChange={(firewall) => onFilter({ firewall })}
      />
      <Select
        label="Sort by"
        data={orders}
        value={sorting}
        onChange={(value) => onSort(value ?? 'name')}
        allowDeselect={false}
        w={160}
      />
      <Checkbox
        label="Without firewall"
        checked={filter.isBare}
        onChange={({ currentTarget }) => onFilter({ isBare: currentTarget.checked })}
        mb={8}
      />
    </Group>
  );
}

interface ChoiceProps {
  readonly label: string;
  /** With repetitions. */
  readonly values: readonly string[];
  readonly value: string | null;
  readonly onChange: (value: string | null) => void;
}

/** Nothing is offered where there is nothing to choose. */
function Choice({ label, values, value, onChange }: ChoiceProps): ReactNode {
  const data = [...new Set(values)].sort();
  if (data.length === 0) return null;
  return (
    <Select
      label={label}
      placeholder="All"
      data={data}
      value={value}
      onChange={onChange}
      searchable
      clearable
      limit={50}
      clearButtonProps={{ 'aria-label': `All of ${label.toLowerCase()}` }}
      w={150}
    />
  );
}
