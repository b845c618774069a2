/** Create Firewall: a name, what it begins with, rules, servers, Save. */
import { Group, Paper, Stack, TextInput } from '@mantine/core';
import { useCallback, useReducer, useState } from 'react';
import type { ReactNode } from 'react';
import { useLocation } from 'wouter';
import type { ApiProblem } from '../../data/api-problem.ts';
import type { Operation } from '../../data/changes.ts';
import { BackLink } from '../../parts/back-link.tsx';
import { Page } from '../../parts/page.tsx';
import { ProblemSummary } from '../../parts/problem-summary.tsx';
import { ReviewDialog } from '../../parts/review-dialog.tsx';
import { AppliesToField } from './applies-to-field.tsx';
import { DescriptionField } from './description-field.tsx';
import { directions } from '../../../text/rule-text.ts';
import { creation, emptyDraft, reduce } from './draft.ts';
import type { Action, Draft } from './draft.ts';
import { errorsOf } from './draft-errors.ts';
import type { DraftErrors } from './draft-errors.ts';
import { NewServersSection } from './new-servers-section.tsx';
import { RuleSection } from './rule-section.tsx';
import { SaveBar, focusFirstError } from './save-bar.tsx';
import { ServerPicker } from './server-picker.tsx';
import { StartFrom } from './start-from.tsx';
import { useNewServers } from './use-new-servers.ts';
import { useCheck } from './use-check.ts';
import { useWarningOnClose } from './use-draft.ts';

/** Has it yet. */
const nobody: readonly string[] = [];

export default function NewFirewall(): ReactNode {
  const [, navigate] = useLocation();
  const [draft, dispatch] = useReducer(reduce, emptyDraft);
  const [operations, setOperations] = useState<readonly Operation[]>();
  const [refusal, setRefusal] = useState<ApiProblem>();
  const [isNameMissing, setNameMissing] = useState(false);
  const servers = useNewServers(refusal, () => setRefusal(undefined));
  const { errors: checked, isReady } = useCheck(draft, true, true);
  const isTouched =
    draft.inbound.length + draft.outbound.length + draft.name.length + servers.rows.length > 0;
  useWarningOnClose(isTouched && operations === undefined);

  const assign = useCallback(
    (servers: readonly string[]) => dispatch({ kind: 'set', values: { servers } }),
    [],
  );
  const name = draft.name.trim();
  const errors: DraftErrors =
    isNameMissing && name === '' ? { ...checked, name: ['give it a name'] } : checked;
  const save = (): void => {
    setRefusal(undefined);
    if (name === '') {
      setNameMissing(true);
      document.querySelector<HTMLElement>('#firewall-name')?.focus();
      return;
    }
    if (!isReady() || (servers.errors.size > 0 && focusFirstError())) return;
    const [firewall, ...assigned] = creation({ ...draft, name });
    setOperations([firewall!, ...servers.operations(name), ...assigned]);
  };
  return (
    <Page title="Create Firewall" back={<BackLink path="/firewalls" title="Firewalls" />}>
      <Stack gap="md">
        {refusal !== undefined && (
          <ProblemSummary
            error={refusal}
            errors={errorsOf(refusal, draft, servers.others).others}
          />
        )}
        <Head draft={draft} errors={errors} dispatch={dispatch} />
        {directions.map((direction) => (
          <RuleSection
            key={direction}
            {...{ direction, errors, dispatch, rules: draft[direction] }}
          />
        ))}
        <ServerPicker selected={draft.servers} saved={nobody} onChange={assign} />
        <NewServersSection servers={servers} />
        <SaveBar
          note="Nothing is saved before you have seen what it does"
          errors={errors}
          discard="Cancel"
          onDiscard={() => navigate('/firewalls')}
          onSave={save}
        />
      </Stack>
      <ReviewDialog
        title="Review before save"
        operations={operations}
        done={`${name} was created`}
        onClose={() => setOperations(undefined)}
        onSaved={() => navigate(`/firewalls/${name}`)}
        onProblem={(problem) => {
          if (problem.kind !== 'invalid' && problem.kind !== 'exists') return false;
          setRefusal(problem);
          return true;
        }}
      />
    </Page>
  );
}

interface HeadProps {
  readonly draft: Draft;
  readonly errors: DraftErrors;
  readonly dispatch: (action: Action) => void;
}

function Head({ draft, errors, dispatch }: HeadProps): ReactNode {
  return (
    <Paper withBorder radius="md" p={{ base: 'sm', sm: 'md' }}>
      <Stack gap="sm">
        <Group gap="md" align="flex-start" grow preventGrowOverflow={false}>
          <TextInput
            id="firewall-name"
            label="Name"
            placeholder="web"
            value={draft.name}
            onChange={({ currentTarget }) =>
              dispatch({ kind: 'set', values: { name: currentTarget.value } })
            }
            error={errors.name.join('; ')}
            autoComplete="off"
            autoCapitalize="none"
            spellCheck={false}
            miw={220}
          />
          <DescriptionField {...{ draft, errors, dispatch }} />
          <AppliesToField {...{ draft, errors, dispatch }} />
        </Group>
        <StartFrom draft={draft} dispatch={dispatch} />
      </Stack>
    </Paper>
  );
}
