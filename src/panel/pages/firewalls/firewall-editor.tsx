/** A firewall that an owner edits: description, rules and servers in one draft, saved as one change after a review. */
import { Paper, Stack } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { useCallback, useMemo, useState } from 'react';
import type { ReactNode } from 'react';
import type { ApiProblem } from '../../data/api-problem.ts';
import type { Operation } from '../../data/changes.ts';
import { keys } from '../../data/queries.ts';
import type { Rule, Template } from '../../data/types.ts';
import { directions } from '../../../text/rule-text.ts';
import type { RuleDirection } from '../../../text/rule-text.ts';
import type { RuleHits } from '../../parts/hit-times.ts';
import { ProblemSummary } from '../../parts/problem-summary.tsx';
import { ReviewDialog } from '../../parts/review-dialog.tsx';
import { Conflict } from './conflict.tsx';
import { AppliedServers } from './applied-servers.tsx';
import { AppliesToField } from './applies-to-field.tsx';
import { DescriptionField } from './description-field.tsx';
import { edit, ruleOf } from './draft.ts';
import type { RuleDraft } from './draft.ts';
import { errorsOf } from './draft-errors.ts';
import type { DraftErrors } from './draft-errors.ts';
import { RuleSection } from './rule-section.tsx';
import { SaveBar } from './save-bar.tsx';
import { ServerPicker } from './server-picker.tsx';
import { useCheck } from './use-check.ts';
import { useDraft } from './use-draft.ts';
import type { DraftHandle } from './use-draft.ts';

/** Hits by what a rule says: a rule that is being changed has none yet. */
function hitCounter(template: Template, direction: RuleDirection) {
  const known = new Map(template[direction].map((rule) => [identityOf(rule), rule] as const));
  return (rule: RuleDraft): RuleHits | undefined => known.get(identityOf(ruleOf(direction, rule)));
}

function identityOf({ protocol, ports, sources, destinations }: Rule): string {
  return JSON.stringify([protocol, ports?.map(String), sources ?? destinations]);
}

export function FirewallEditor({ template }: { readonly template: Template }): ReactNode {
  const { base, draft, isDirty, isConflict, dispatch, keepMine, reset } = useDraft(template);
  const [operations, setOperations] = useState<readonly Operation[]>();
  const [refusal, setRefusal] = useState<ApiProblem>();
  const client = useQueryClient();
  const { errors, isReady } = useCheck(draft, false, isDirty);
  const { name } = template;

  const save = (): void => {
    setRefusal(undefined);
    if (isReady()) setOperations(edit(draft, base));
  };
  const onProblem = (problem: ApiProblem): boolean => {
    if (problem.kind === 'precondition-failed') {
      void client.invalidateQueries({ queryKey: keys.template(name) });
      return true;
    }
    if (problem.kind !== 'invalid') return false;
    setRefusal(problem);
    return true;
  };
  return (
    <Stack gap="md">
      {isConflict && (
        <Conflict
          mine={draft}
          theirs={template}
          onKeepMine={() => {
            keepMine();
            setOperations(edit(draft, template));
          }}
          onLoadTheirs={reset}
        />
      )}
      {refusal !== undefined && isDirty && (
        <ProblemSummary error={refusal} errors={errorsOf(refusal, draft).others} />
      )}
      <Fields {...{ template, base, draft, errors, dispatch }} />
      {isDirty && !isConflict && (
        <SaveBar
          note="Unsaved changes"
          errors={errors}
          discard="Discard"
          onDiscard={reset}
          onSave={save}
        />
      )}
      <ReviewDialog
        title="Review before save"
        operations={operations}
        done={`${name} was saved`}
        onClose={() => setOperations(undefined)}
        onSaved={() => setOperations(undefined)}
        onProblem={onProblem}
      />
    </Stack>
  );
}

interface FieldsProps extends Pick<DraftHandle, 'base' | 'draft' | 'dispatch'> {
  /** As it is now, with the hits of its rules. */
  readonly template: Template;
  readonly errors: DraftErrors;
}

function Fields({ template, base, draft, errors, dispatch }: FieldsProps): ReactNode {
  const hits = useMemo(
    () => ({
      inbound: hitCounter(template, 'inbound'),
      outbound: hitCounter(template, 'outbound'),
    }),
    [template],
  );
  const assign = useCallback(
    (servers: readonly string[]) => dispatch({ kind: 'set', values: { servers } }),
    [dispatch],
  );
  return (
    <>
      <Paper withBorder radius="md" p={{ base: 'sm', sm: 'md' }}>
        <Stack gap="sm">
          <DescriptionField {...{ draft, errors, dispatch }} />
          <AppliesToField {...{ draft, errors, dispatch }} />
          <AppliedServers template={template} />
        </Stack>
      </Paper>
      {directions.map((direction) => (
        <RuleSection
          // What was saved is read again, not edited.
          key={`${direction} ${base.revision}`}
          {...{ direction, errors, dispatch }}
          rules={draft[direction]}
          hitsOf={hits[direction]}
        />
      ))}
      <ServerPicker selected={draft.servers} saved={base.servers} onChange={assign} />
    </>
  );
}
