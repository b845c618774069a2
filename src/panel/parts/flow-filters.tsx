/** What chooses live flows: order, protocol and address; on the page of all servers also server, port, state and rule. */
import { Group, Select, TextInput } from '@mantine/core';
import { useDebouncedCallback } from '@mantine/hooks';
import { useState } from 'react';
import type { ReactNode } from 'react';
import type { FlowOrder } from '../data/flows.ts';

export interface FlowValues {
  readonly server?: string | undefined;
  readonly protocol?: string | undefined;
  readonly address?: string | undefined;
  readonly port?: string | undefined;
  readonly state?: string | undefined;
  readonly rule?: string | undefined;
  readonly sort?: FlowOrder | undefined;
}

/** A field beside the usual ones, with what there is to choose from. */
export interface ChoiceField {
  readonly key: 'server' | 'state' | 'rule';
  readonly label: string;
  readonly values: readonly string[];
}

export interface FlowFiltersProps {
  readonly values: FlowValues;
  readonly fields: readonly ChoiceField[];
  readonly hasPort?: boolean;
  readonly onChange: (values: FlowValues) => void;
}

const orders = [
  { value: 'bytes', label: 'Bytes' },
  { value: 'packets', label: 'Packets' },
  { value: 'age', label: 'Age' },
] as const;
const protocols = [
  { value: 'tcp', label: 'TCP' },
  { value: 'udp', label: 'UDP' },
  { value: 'icmp', label: 'ICMP' },
];

export function FlowFilters(props: FlowFiltersProps): ReactNode {
  const { values, fields, hasPort = false, onChange } = props;
  const set = (more: FlowValues): void => onChange({ ...values, ...more });
  return (
    <Group gap="sm" align="end">
      <Select
        label="Sort by"
        data={orders}
        value={values.sort ?? 'bytes'}
        onChange={(sort) => set({ sort: sort ?? 'bytes' })}
        allowDeselect={false}
        w={130}
      />
      {fields.map(({ key, label, values: data }) => (
        <Select
          key={key}
          label={label}
          placeholder="All"
          data={[...data]}
          value={values[key] ?? null}
          onChange={(value) => set({ [key]: value ?? undefined })}
          searchable
          clearable
          limit={50}
          w={170}
          clearButtonProps={{ 'aria-label': `All of ${label.toLowerCase()}` }}
        />
      ))}
      <Select
        label="Protocol"
        placeholder="All"
        data={protocols}
        value={values.protocol ?? null}
        onChange={(protocol) => set({ protocol: protocol ?? undefined })}
        clearable
        w={130}
        clearButtonProps={{ 'aria-label': 'All protocols' }}
      />
      <Typed
        label="Address"
        placeholder="of either end"
        value={values.address}
        onChange={(address) => set({ address })}
      />
      {hasPort && (
        <Typed
          label="Port"
          placeholder="of either end"
          value={values.port}
          onChange={(port) => set({ port })}
        />
      )}
    </Group>
  );
}

interface TypedProps {
  readonly label: string;
  readonly placeholder: string;
  readonly value: string | undefined;
  readonly onChange: (value: string | undefined) => void;
}

/** Nothing is asked while one types. */
function Typed({ label, placeholder, value, onChange }: TypedProps): ReactNode {
  const [typed, setTyped] = useState(value ?? '');
  const apply = useDebouncedCallback((text: string) => onChange(text.trim() || undefined), 400);
  return (
    <TextInput
      label={label}
      placeholder={placeholder}
      value={typed}
      onChange={({ currentTarget }) => {
        setTyped(currentTarget.value);
        apply(currentTarget.value);
      }}
      w={150}
    />
  );
}
