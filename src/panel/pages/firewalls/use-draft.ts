/**
 * The draft of a firewall that exists, and what it began with (`base`).
 *
 * While nothing is typed the draft follows the firewall. Once something is, it stays: when the firewall changes meanwhile
 * that is a conflict, which is the editor's to decide. Drafts outlive their page, so that a look at another one loses nothing;
 * closing the tab asks first.
 */
import { useCallback, useEffect, useState } from 'react';
import type { Template } from '../../data/types.ts';
import { draftOf, isSame, reduce } from './draft.ts';
import type { Action, Draft } from './draft.ts';

interface State {
  readonly base: Template;
  readonly draft: Draft;
}

const kept = new Map<string, State>();

export interface DraftHandle {
  readonly base: Template;
  readonly draft: Draft;
  readonly isDirty: boolean;
  readonly isConflict: boolean;
  readonly dispatch: (action: Action) => void;
  /** The draft stays, as a change of what there is now. */
  readonly keepMine: () => void;
  readonly reset: () => void;
}

const savedDrafts = new WeakMap<Template, Draft>();

/** To compare with: the same template gives the same draft. */
function saved(template: Template): Draft {
  let draft = savedDrafts.get(template);
  if (draft === undefined) {
    draft = draftOf(template);
    savedDrafts.set(template, draft);
  }
  return draft;
}

/** @param template as it is now */
export function useDraft(template: Template): DraftHandle {
  const { name } = template;
  const [state, setState] = useState<State>(
    () => kept.get(name) ?? { base: template, draft: draftOf(template) },
  );
  const { base, draft } = state;
  const isDirty = !isSame(draft, saved(base));
  const isOther = template.revision !== base.revision || !isSame(saved(template), saved(base));
  // What was saved just now is what was typed: its fields stay as they are.
  const isSaved = isOther && isSame(draft, saved(template));
  if (isSaved) setState({ base: template, draft });
  else if (isOther && !isDirty) setState({ base: template, draft: draftOf(template) });

  useEffect(() => {
    if (!isDirty) kept.delete(name);
    else kept.set(name, state);
  }, [name, isDirty, state]);
  useWarningOnClose(isDirty);
  const dispatch = useCallback(
    (action: Action) => setState((before) => ({ ...before, draft: reduce(before.draft, action) })),
    [],
  );

  return {
    base,
    draft,
    isDirty,
    isConflict: isDirty && !isSaved && template.revision !== base.revision,
    dispatch,
    keepMine: () => setState({ base: template, draft }),
    reset: () => setState({ base: template, draft: draftOf(template) }),
  };
}

/** Before the tab is closed or reloaded. */
export function useWarningOnClose(enabled: boolean): void {
  useEffect(() => {
    if (!enabled) return;
    const warn = (event: BeforeUnloadEvent): void => event.preventDefault();
    window.addEventListener('beforeunload', warn);
    return () => window.removeEventListener('beforeunload', warn);
  }, [enabled]);
}
