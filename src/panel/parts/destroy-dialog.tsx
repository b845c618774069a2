/** Before something with a history is destroyed: what that would do, by its review. */
import { useMemo } from 'react';
import type { ReactNode } from 'react';
import type { ApiProblem } from '../data/api-problem.ts';
import type { Operation } from '../data/changes.ts';
import { ReviewDialog } from './review-dialog.tsx';

export interface DestroyDialogProps {
  readonly kind: 'template' | 'set' | 'server';
  /** As it was seen: a newer one is not destroyed. */
  readonly it: { readonly name: string; readonly revision: string };
  /** Also if others name it: it is removed from there. */
  readonly force: boolean;
  readonly opened: boolean;
  /** Above the review. */
  readonly children: ReactNode;
  /** Whether `children` list the places that name it. */
  readonly listsPlaces?: boolean;
  readonly onClose: () => void;
  readonly onDestroyed: () => void;
  /** Why it cannot be destroyed; that is shown below the review's place, too. */
  readonly onProblem?: (problem: ApiProblem) => void;
}

export function DestroyDialog(props: DestroyDialogProps): ReactNode {
  const { kind, it, force, opened, onClose, onDestroyed, onProblem } = props;
  const { children, listsPlaces = false } = props;
  const { name, revision } = it;
  const operations = useMemo(
    (): readonly Operation[] => [{ kind: `destroy-${kind}`, name, force, ifRevision: revision }],
    [kind, name, force, revision],
  );
  return (
    <ReviewDialog
      title={`Destroy ${name}`}
      operations={opened ? operations : undefined}
      action="Destroy"
      dangerous
      done={`${name} was destroyed`}
      listsPlaces={listsPlaces}
      onClose={onClose}
      onSaved={() => {
        onClose();
        onDestroyed();
      }}
      onProblem={(problem) => {
        onProblem?.(problem);
        return false;
      }}
    >
      {children}
    </ReviewDialog>
  );
}
