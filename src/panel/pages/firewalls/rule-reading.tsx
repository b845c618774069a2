/** A rule as it reads. What is open to everybody looks like it. */
import type { ReactNode } from 'react';
import { IconPencil, IconTrash } from '@tabler/icons-react';
import type { RuleDirection } from '../../../text/rule-text.ts';
import { Peers } from '../../parts/peers.tsx';
import { allPorts, hasPorts, isWord, ruleOf } from './draft.ts';
import type { RuleDraft } from './draft.ts';

export interface RuleReadingProps {
  readonly direction: RuleDirection;
  readonly rule: RuleDraft;
  /** From 0. */
  readonly index: number;
  readonly hits: ReactNode;
  readonly onEdit: () => void;
  readonly onRemove: () => void;
}

export function RuleReading(props: RuleReadingProps): ReactNode {
  const { direction, rule, index, hits, onEdit, onRemove } = props;
  const what = `${direction} rule ${index + 1}`;
  const { sources, destinations } = ruleOf(direction, rule);
  return (
    <>
      <b>{rule.protocol.toUpperCase()}</b>
      <Ports rule={rule} />
      <Peers peers={sources ?? destinations} />
      <span className="rule-comment">{rule.comment}</span>
      {hits}
      <div className="rule-buttons">
        <button
          type="button"
          className="rule-button"
          data-edit={rule.key}
          aria-label={`Edit ${what}`}
          title="Edit"
          onClick={onEdit}
        >
          <IconPencil size={16} aria-hidden />
        </button>
        <button
          type="button"
          className="rule-button rule-remove"
          aria-label={`Remove ${what}`}
          title="Remove"
          onClick={onRemove}
        >
          <IconTrash size={16} aria-hidden />
        </button>
      </div>
    </>
  );
}

function Ports({ rule: { protocol, ports } }: Pick<RuleReadingProps, 'rule'>): ReactNode {
  if (protocol === 'all') return <span className="chip chip-open">every protocol</span>;
  if (!hasPorts(protocol)) return <span />;
  if (isWord(ports, allPorts)) return <span className="chip chip-open">every port</span>;
  return <span className="mono">{ports}</span>;
}
