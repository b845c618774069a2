/** What the row of a rule knows, read or edited. */
import type { RuleDirection } from '../../../text/rule-text.ts';
import type { RuleHits } from '../../parts/hit-times.ts';
import type { Action, RuleDraft } from './draft.ts';
import type { DraftErrors } from './draft-errors.ts';

export interface RuleRowProps {
  readonly direction: RuleDirection;
  readonly rule: RuleDraft;
  /** From 0. */
  readonly index: number;
  readonly count: number;
  /** Of the rule as it was saved; none for one that was not saved yet. */
  readonly hits: RuleHits | undefined;
  readonly isEdited: boolean;
  readonly errors: DraftErrors;
  readonly dispatch: (action: Action) => void;
  /** @param place where it is then: `2 of 3` */
  readonly onMove: (key: number, by: -1 | 1, place: string) => void;
  readonly onEdit: (key: number) => void;
  readonly onDone: (key: number) => void;
}
