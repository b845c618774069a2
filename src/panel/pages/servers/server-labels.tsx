/** Region and labels of a server, edited where they stand. A change is reviewed first: rules and firewalls may be about them. */
import { ActionIcon, Badge, Box, Button, Group, Stack, TextInput } from '@mantine/core';
import { IconPencil } from '@tabler/icons-react';
import { useState } from 'react';
import type { ReactNode, SubmitEvent } from 'react';
import { useMayChange } from '../../app/session.ts';
import type { ApiProblem } from '../../data/api-problem.ts';
import type { Operation } from '../../data/changes.ts';
import { useGateways } from '../../data/queries.ts';
import type { Server } from '../../data/types.ts';
import { ProblemSummary } from '../../parts/problem-summary.tsx';
import { ReviewDialog } from '../../parts/review-dialog.tsx';
import { gatewayRegions } from '../../../text/regions.ts';
import { LabelsInput, edit, fieldOf, textFor, valuesOf } from './server-form.tsx';

export function ServerLabels({ server }: { readonly server: Server }): ReactNode {
  const mayChange = useMayChange();
  const [isEdited, setEdited] = useState(false);
  if (isEdited) return <LabelsForm server={server} onClose={() => setEdited(false)} />;
  const { region, labels } = server;
  return (
    <Group gap="xs">
      <Regions region={region} />
      {Object.entries(labels ?? {}).map(([key, value]) => (
        <Badge key={key} variant="default" tt="none">
          {key}={value}
        </Badge>
      ))}
      {mayChange && (
        <ActionIcon
          variant="subtle"
          aria-label="Change region and labels"
          onClick={() => setEdited(true)}
        >
          <IconPencil size={16} aria-hidden />
        </ActionIcon>
      )}
    </Group>
  );
}

/** Where it is; with the gateways there, if there are several on this policy. */
function Regions({ region }: { readonly region: string | undefined }): ReactNode {
  const { data } = useGateways();
  const alone = region === undefined ? [] : [region];
  const regions = data?.newest === undefined ? alone : gatewayRegions(region, data.gateways);
  return regions.map((each) => (
    <Badge key={each} variant="default" tt="none">
      {each}
    </Badge>
  ));
}

interface LabelsFormProps {
  readonly server: Server;
  readonly onClose: () => void;
}

function LabelsForm({ server: before, onClose }: LabelsFormProps): ReactNode {
  // As it was when the form was opened, like the other one.
  const [server] = useState(before);
  const [values, setValues] = useState(() => valuesOf(server));
  const [problem, setProblem] = useState<ApiProblem>();
  const [operations, setOperations] = useState<readonly Operation[]>();
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    setProblem(undefined);
    setOperations(edit(values, server));
  };
  const others = problem?.errors.filter((error) => {
    const field = fieldOf(error);
    return field !== 'region' && field !== 'labels';
  });
  return (
    <Box
      component="form"
      w="100%"
      c="var(--mantine-color-text)"
      aria-label="Region and labels"
      noValidate
      onSubmit={submit}
    >
      <Stack gap="xs">
        {problem !== undefined && <ProblemSummary error={problem} errors={others ?? []} />}
        <Group align="flex-start" gap="sm">
          <TextInput
            label="Region"
            w={{ base: '100%', xs: 160 }}
            value={values.region}
            onChange={({ currentTarget }) => setValues({ ...values, region: currentTarget.value })}
            error={textFor(problem, 'region', values)}
          />
          <LabelsInput
            flex={1}
            miw={240}
            labels={values.labels}
            onChange={(labels) => setValues({ ...values, labels })}
            error={textFor(problem, 'labels', values)}
          />
        </Group>
        <Group gap="xs">
          <Button type="submit" size="xs">
            Save
          </Button>
          <Button variant="default" size="xs" onClick={onClose}>
            Cancel
          </Button>
        </Group>
      </Stack>
      <ReviewDialog
        title="Review before save"
        operations={operations}
        done={`${server.name} was saved`}
        onClose={() => setOperations(undefined)}
        onSaved={onClose}
        onProblem={(refusal) => {
          setProblem(refusal);
          return true;
        }}
      />
    </Box>
  );
}
