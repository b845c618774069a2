/** The two ways to say which packet: by what opens a flow, or by its bytes. Errors of the API are at their fields. */
import { Button, Group, Select, Stack, Textarea, TextInput } from '@mantine/core';
import { useState } from 'react';
import type { ReactNode, SubmitEvent } from 'react';
import type { ApiProblem } from '../../data/api-problem.ts';
import { ProblemSummary } from '../../parts/problem-summary.tsx';
import type { Asked } from './question.ts';

export interface PacketFormProps {
  readonly asked: Asked;
  readonly problem: ApiProblem | undefined;
  readonly isBusy: boolean;
  readonly onAsk: (asked: Asked) => void;
}

type Field = keyof Asked;

function errorOf(problem: ApiProblem | undefined, field: Field): string | undefined {
  return problem?.errors.find(({ path }) => path === field)?.message;
}

/** What no field of this form shows. */
function Others({ problem, fields }: Pick<PacketFormProps, 'problem'> & { fields: Field[] }) {
  if (problem?.kind !== 'invalid') return null;
  const errors = problem.errors.filter(({ path }) => !fields.includes(path as Field));
  return errors.length === 0 ? null : <ProblemSummary error={problem} errors={errors} />;
}

/** Without what is empty, and without what the protocol does not have. */
function given(values: Asked): Asked {
  const isIcmp = values.protocol === 'icmp';
  const unused: readonly string[] = isIcmp ? ['srcPort', 'dstPort'] : ['icmpType'];
  return Object.fromEntries(
    Object.entries(values)
      .map(([key, text]) => [key, text.trim()] as const)
      .filter(([key, text]) => text !== '' && !unused.includes(key)),
  );
}

export function FlowForm({ asked, problem, isBusy, onAsk }: PacketFormProps): ReactNode {
  const [values, setValues] = useState<Asked>({ protocol: 'tcp', ...asked, hex: '' });
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    onAsk(given(values));
  };
  const field = (name: Field) => ({
    value: values[name] ?? '',
    onChange: ({ currentTarget }: { currentTarget: HTMLInputElement }) =>
      setValues({ ...values, [name]: currentTarget.value }),
    error: errorOf(problem, name),
  });
  return (
    <form onSubmit={submit} noValidate>
      <Stack gap="sm">
        <Others
          problem={problem}
          fields={['src', 'dst', 'protocol', 'srcPort', 'dstPort', 'icmpType']}
        />
        <TextInput label="Source address" placeholder="198.51.100.7" {...field('src')} />
        <TextInput label="Destination address" placeholder="10.0.0.2" {...field('dst')} />
        <Select
          label="Protocol"
          data={[
            { value: 'tcp', label: 'TCP' },
            { value: 'udp', label: 'UDP' },
            { value: 'icmp', label: 'ICMP' },
          ]}
          value={values.protocol ?? 'tcp'}
          onChange={(protocol) => setValues({ ...values, protocol: protocol ?? 'tcp' })}
          allowDeselect={false}
          error={errorOf(problem, 'protocol')}
        />
        {values.protocol === 'icmp' ? (
          <TextInput
            label="ICMP type"
            description="Absent: 8, an echo request (ping)."
            inputMode="numeric"
            {...field('icmpType')}
          />
        ) : (
          <Group grow align="start" gap="sm">
            <TextInput
              label="Destination port"
              placeholder="443"
              inputMode="numeric"
              {...field('dstPort')}
            />
            <TextInput
              label="Source port"
              placeholder="any"
              inputMode="numeric"
              {...field('srcPort')}
            />
          </Group>
        )}
        <Button type="submit" loading={isBusy}>
          Explain
        </Button>
      </Stack>
    </form>
  );
}

export function HexForm({ asked, problem, isBusy, onAsk }: PacketFormProps): ReactNode {
  const [hex, setHex] = useState(asked.hex ?? '');
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    if (hex.trim() !== '') onAsk({ hex: hex.trim() });
  };
  return (
    <form onSubmit={submit} noValidate>
      <Stack gap="sm">
        <Others problem={problem} fields={['hex']} />
        <Textarea
          label="Packet, in hexadecimal digits"
          description="From its IPv4 header on. Blanks, colons and line ends do not matter."
          placeholder="45 00 00 3c 1c 46 40 00 40 06 …"
          rows={8}
          classNames={{ input: 'mono' }}
          spellCheck={false}
          value={hex}
          onChange={({ currentTarget }) => setHex(currentTarget.value)}
          error={errorOf(problem, 'hex')}
        />
        <Button type="submit" loading={isBusy}>
          Explain
        </Button>
      </Stack>
    </form>
  );
}
