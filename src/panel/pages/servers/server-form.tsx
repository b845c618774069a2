/**
 * A server, new or as it is: name, addresses, firewalls. The API's errors are shown at their fields. It is
 * reviewed first: rules of others may be about it. Region and labels of one that exists are edited on its page (server-labels.tsx).
 */
import {
  Button,
  Group,
  Modal,
  MultiSelect,
  NativeSelect,
  Stack,
  TagsInput,
  TextInput,
} from '@mantine/core';
import type { TagsInputProps } from '@mantine/core';
import { useState } from 'react';
import type { ReactNode, SubmitEvent } from 'react';
import { useLocation } from 'wouter';
import type { ApiProblem } from '../../data/api-problem.ts';
import { locate } from '../../data/changes.ts';
import type { Operation } from '../../data/changes.ts';
import { useServers, useTemplates } from '../../data/queries.ts';
import type { FieldError, Server } from '../../data/types.ts';
import { ProblemSummary } from '../../parts/problem-summary.tsx';
import { ReviewDialog } from '../../parts/review-dialog.tsx';
import { labelsOf } from '../../parts/suggestions.ts';

export interface ServerFormProps {
  /** Absent: a new one. */
  readonly server?: Server;
  readonly opened: boolean;
  readonly onClose: () => void;
}

export function ServerForm({ server, opened, onClose }: ServerFormProps): ReactNode {
  return (
    <Modal
      opened={opened}
      onClose={onClose}
      title={server === undefined ? 'Add Server' : `Edit ${server.name}`}
      size="lg"
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      <Form {...(server !== undefined && { server })} onClose={onClose} />
    </Modal>
  );
}

export interface Values {
  readonly name: string;
  readonly addresses: readonly string[];
  readonly templates: readonly string[];
  readonly region: string;
  /** As typed: `key=value`. */
  readonly labels: readonly string[];
  /** A value of {@link rejections}; another one as JSON. */
  readonly reject: string;
  /** Empty: not said. Changed on its page (observe-dialog.tsx). */
  readonly mode: string;
  readonly until: string;
}

/** What may be chosen, by what is stored: as JSON, or empty for nothing. */
const rejections: readonly { readonly value: string; readonly label: string }[] = [
  { value: '', label: 'As the gateway' },
  { value: '{"inbound":false,"outbound":false}', label: 'Drop silently' },
  { value: '{"inbound":true,"outbound":false}', label: 'Reject inbound' },
  { value: '{"inbound":false,"outbound":true}', label: 'Reject outbound' },
  { value: '{"inbound":true,"outbound":true}', label: 'Reject inbound and outbound' },
];

export function valuesOf(server: Server | undefined): Values {
  return {
    name: server?.name ?? '',
    addresses: server?.addresses ?? [],
    templates: server?.templates ?? [],
    region: server?.region ?? '',
    labels: Object.entries(server?.labels ?? {}).map(([key, value]) => `${key}=${value}`),
    reject: server?.reject === undefined ? '' : JSON.stringify(server.reject),
    mode: server?.mode ?? '',
    until: server?.until ?? '',
  };
}

function bodyOf(values: Values): object {
  const { name, addresses, templates, region, labels, reject, mode, until } = values;
  const pairs = labels.map((label) => {
    const [key = '', ...value] = label.split('=');
    return [key.trim(), value.join('=').trim()] as const;
  });
  return {
    ...{ name: name.trim(), addresses, templates },
    ...(region.trim() !== '' && { region: region.trim() }),
    ...(pairs.length > 0 && { labels: Object.fromEntries(pairs) }),
    ...(reject !== '' && { reject: JSON.parse(reject) as object }),
    ...(mode !== '' && { mode }),
    ...(until !== '' && { until }),
  };
}

export type Field = keyof Values;
const fields: readonly Field[] = [
  ...(['name', 'addresses', 'templates', 'region', 'labels', 'reject'] as const),
];

/** In the server, whether it was sent alone or as an operation. */
const pathOf = (error: FieldError): string => locate(error)?.path ?? error.path;

/** The field that an error is about: `addresses` of `addresses[1]`. */
export function fieldOf(error: FieldError): Field | undefined {
  const [first] = pathOf(error).split(/[.[]/);
  return fields.find((field) => field === first);
}

/** What is wrong with a field: of a list, with the entry that is meant. */
export function textFor(problem: ApiProblem | undefined, field: Field, values: Values): string {
  if (problem?.kind === 'exists' && field === 'name') return problem.message;
  const errors = (problem?.errors ?? []).filter((error) => fieldOf(error) === field);
  return errors
    .map((error) => {
      const { message } = error;
      const index = /\[(\d+)\]/.exec(pathOf(error))?.[1];
      const list = values[field];
      const entry = index === undefined || typeof list === 'string' ? '' : list[Number(index)];
      return entry === undefined || entry === '' ? message : `${entry}: ${message}`;
    })
    .join('; ');
}

function Form({ server: before, onClose }: Omit<ServerFormProps, 'opened'>): ReactNode {
  // As it was when the form was opened: the page reads it again meanwhile, and what is typed belongs to this one.
  const [server] = useState(before);
  const [values, setValues] = useState(() => valuesOf(server));
  const [, navigate] = useLocation();
  const [problem, setProblem] = useState<ApiProblem>();
  const [operations, setOperations] = useState<readonly Operation[]>();
  const set = (more: Partial<Values>): void => setValues({ ...values, ...more });
  const name = values.name.trim();
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    setProblem(undefined);
    setOperations(server === undefined ? creation(values) : edit(values, server));
  };
  return (
    <>
      <form onSubmit={submit} noValidate>
        <Stack>
          {problem !== undefined && problem.kind !== 'exists' && (
            <ProblemSummary
              error={problem}
              errors={problem.errors.filter((error) => fieldOf(error) === undefined)}
            />
          )}
          <Fields values={values} set={set} isNew={server === undefined} problem={problem} />
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>
              Cancel
            </Button>
            <Button type="submit">{server === undefined ? 'Add Server' : 'Save'}</Button>
          </Group>
        </Stack>
      </form>
      <ReviewDialog
        title="Review before save"
        operations={operations}
        done={`${name} was ${server === undefined ? 'added' : 'saved'}`}
        onClose={() => setOperations(undefined)}
        onSaved={() => {
          onClose();
          if (server === undefined) navigate(`/servers/${encodeURIComponent(name)}`);
        }}
        onProblem={(refusal) => {
          setProblem(refusal);
          return true;
        }}
      />
    </>
  );
}

function creation(values: Values): readonly Operation[] {
  return [{ kind: 'create-server', name: values.name.trim(), body: bodyOf(values) }];
}

export function edit(values: Values, { name, revision }: Server): readonly Operation[] {
  return [{ kind: 'replace-server', name, body: bodyOf(values), ifRevision: revision }];
}

interface FieldsProps {
  readonly values: Values;
  readonly set: (more: Partial<Values>) => void;
  readonly isNew: boolean;
  readonly problem: ApiProblem | undefined;
}

function Fields({ values, set, isNew, problem }: FieldsProps): ReactNode {
  const templates = useTemplates();
  const errorOf = (field: Field): string => textFor(problem, field, values);
  return (
    <>
      {isNew && (
        <TextInput
          label="Name"
          data-autofocus
          value={values.name}
          onChange={({ currentTarget }) => set({ name: currentTarget.value })}
          error={errorOf('name')}
        />
      )}
      <TagsInput
        label="Addresses"
        description="IPv4 addresses or blocks, each ended with Enter, a blank or a comma."
        placeholder={values.addresses.length === 0 ? '10.0.0.2' : ''}
        value={[...values.addresses]}
        onChange={(addresses) => set({ addresses })}
        splitChars={[',', ' ', ';']}
        acceptValueOnBlur
        error={errorOf('addresses')}
      />
      <MultiSelect
        label="Firewalls"
        description="The server gets the rules of all of them. Without one, everything is dropped."
        data={(templates.data?.templates ?? []).map(({ name }) => name)}
        value={[...values.templates]}
        onChange={(names) => set({ templates: names })}
        searchable
        nothingFoundMessage="No firewall is called so"
        error={errorOf('templates')}
      />
      {isNew && (
        <>
          <TextInput
            label="Region"
            value={values.region}
            onChange={({ currentTarget }) => set({ region: currentTarget.value })}
            error={errorOf('region')}
          />
          <LabelsInput
            labels={values.labels}
            onChange={(labels) => set({ labels })}
            error={errorOf('labels')}
          />
        </>
      )}
      <NativeSelect
        label="What lacks a rule"
        description="Dropped in silence, or answered, so that a client fails at once."
        data={rejectionChoices(values.reject)}
        value={values.reject}
        onChange={({ currentTarget }) => set({ reject: currentTarget.value })}
        error={errorOf('reject')}
      />
    </>
  );
}

interface LabelsInputProps extends Pick<TagsInputProps, 'error' | 'flex' | 'miw'> {
  /** As typed: `key=value`. */
  readonly labels: readonly string[];
  readonly onChange: (labels: readonly string[]) => void;
}

/** Suggests what other servers have. */
export function LabelsInput({ labels, ...rest }: LabelsInputProps): ReactNode {
  const servers = useServers();
  const known = labelsOf(servers.data?.servers ?? []);
  return (
    <TagsInput
      label="Labels"
      placeholder={labels.length === 0 ? 'environment=production' : ''}
      value={[...labels]}
      data={known.filter((each) => !each.startsWith('region='))}
      limit={20}
      splitChars={[',', ' ', ';']}
      acceptValueOnBlur
      {...rest}
    />
  );
}

/** With what a file says otherwise: one direction only, for example. */
function rejectionChoices(now: string): { value: string; label: string }[] {
  const isListed = rejections.some(({ value }) => value === now);
  return [...rejections, ...(isListed ? [] : [{ value: now, label: `As it is: ${now}` }])];
}
