/** A rule: as it reads, or its fields while it is edited. The same columns hold both. */
import { memo } from 'react';
import type { ReactNode } from 'react';
import { formatNumber } from '../../parts/format.ts';
import { hitTimes } from '../../parts/hit-times.ts';
import { directionWords } from '../../parts/rule-words.ts';
import { Text } from '@mantine/core';
import { RuleFields } from './rule-fields.tsx';
import { RuleNote } from './rule-options.tsx';
import { RuleReading } from './rule-reading.tsx';
import type { RuleRowProps } from './rule-row-props.ts';

function Row(props: RuleRowProps): ReactNode {
  const { direction, rule, index, hits, isEdited } = props;
  return (
    <div
      className={isEdited ? 'rule-row rule-edited' : 'rule-row'}
      role="group"
      aria-label={`${directionWords[direction].title} rule ${index + 1}`}
      data-direction={direction}
      data-rule={rule.key}
    >
      {isEdited ? (
        <RuleFields {...props} hits={<HitCount hits={hits} />} />
      ) : (
        <Reading {...props} />
      )}
      <RuleNote rule={rule} />
    </div>
  );
}

function Reading({ direction, rule, index, hits, dispatch, onEdit }: RuleRowProps): ReactNode {
  return (
    <RuleReading
      {...{ direction, rule, index }}
      hits={<HitCount hits={hits} />}
      onEdit={() => onEdit(rule.key)}
      onRemove={() => dispatch({ kind: 'remove', direction, key: rule.key })}
    />
  );
}

/** Hundreds of rules stay as they are while one of them is typed into. */
export const RuleRow = memo(
  Row,
  (one, other) =>
    one.rule === other.rule &&
    one.index === other.index &&
    one.count === other.count &&
    one.hits === other.hits &&
    one.isEdited === other.isEdited &&
    one.onMove === other.onMove &&
    (one.errors === other.errors || !other.isEdited),
);

function HitCount({ hits: rule }: Pick<RuleRowProps, 'hits'>): ReactNode {
  const hits = rule?.hits;
  return (
    <Text className="rule-hits" size="sm" component="span" title={rule && hitTimes(rule)}>
      {hits !== undefined && (
        <>
          {formatNumber(hits)}
          <span className="rule-hits-word"> {hits === 1 ? 'hit' : 'hits'}</span>
        </>
      )}
    </Text>
  );
}
