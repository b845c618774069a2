/**
 * The API's opinion of a draft, a moment after the last key: of the same kind as the review that comes before saving, so that
 * a field says at once what saving would say. An answer that is not of the newest draft is not waited for.
 */
import { useDebouncedValue } from '@mantine/hooks';
import { useQuery } from '@tanstack/react-query';
import { useMemo, useState } from 'react';
import { flushSync } from 'react-dom';
import { asProblem } from '../../data/api-problem.ts';
import { check } from '../../data/changes.ts';
import type { Operation } from '../../data/changes.ts';
import type { Draft } from './draft.ts';
import { bodyOf, finished } from './draft.ts';
import { errorsOf, hasErrors, noErrors, withUnchosen } from './draft-errors.ts';
import type { DraftErrors } from './draft-errors.ts';
import { focusFirstError } from './save-bar.tsx';

const quietMs = 300;

/** The operation to check: only the rules while there is no name yet, because a missing name is obvious. */
function question(draft: Draft, isNew: boolean): readonly Operation[] {
  const body = bodyOf(draft);
  const name = draft.name.trim();
  return isNew && name !== ''
    ? [{ kind: 'create-template', name, body }]
    : [{ kind: 'replace-template', name: name === '' ? 'unnamed' : name, body, upsert: true }];
}

export interface Checked {
  readonly errors: DraftErrors;
  /** Whether it may be saved; if not, what is wrong has the focus. What was not chosen is shown from then on. */
  readonly isReady: () => boolean;
}

export function useCheck(draft: Draft, isNew: boolean, enabled: boolean): Checked {
  const answered = useAnswer(draft, isNew, enabled);
  const [isAsked, setAsked] = useState(false);
  const errors = useMemo(
    () => (isAsked ? withUnchosen(answered, draft) : answered),
    [isAsked, answered, draft],
  );
  const isReady = (): boolean => {
    const isChosen = finished(draft) === draft;
    if (!isChosen) flushSync(() => setAsked(true));
    return !((!isChosen || hasErrors(errors)) && focusFirstError());
  };
  return { errors, isReady };
}

function useAnswer(draft: Draft, isNew: boolean, enabled: boolean): DraftErrors {
  const [latest] = useDebouncedValue(draft, quietMs);
  const quiet = useMemo(() => finished(latest), [latest]);
  const { data } = useQuery({
    queryKey: ['check', isNew, quiet],
    queryFn: async ({ signal }): Promise<DraftErrors> => {
      try {
        await check(question(quiet, isNew), signal);
        return noErrors;
      } catch (error) {
        if (signal.aborted) throw error;
        const problem = asProblem(error);
        // What is wrong with the firewall, and not with the way to it.
        if (problem.kind === 'invalid' || problem.kind === 'exists') {
          return errorsOf(problem, quiet);
        }
        throw error;
      }
    },
    enabled,
    // Until the new answer is there, what was wrong before stays at its fields.
    placeholderData: (before) => before,
    gcTime: 0,
    staleTime: Infinity,
    refetchOnWindowFocus: false,
    retry: false,
  });
  return enabled ? (data ?? noErrors) : noErrors;
}
