/** Rules that have expired allow nothing: they are listed, and go when somebody says so. Nothing is shown without any. */
import { Button, List, Text } from '@mantine/core';
import { IconClockX } from '@tabler/icons-react';
import { useState } from 'react';
import type { ReactNode } from 'react';
import type { Operation } from '../../data/changes.ts';
import { useExpired } from '../../data/queries.ts';
import type { Pruned } from '../../data/types.ts';
import { count } from '../../parts/format.ts';
import { ReviewDialog } from '../../parts/review-dialog.tsx';
import { ruleText } from '../../../text/rule-text.ts';

type Expired = Pruned['rules'];

/** @param template absent: of all firewalls */
export function PruneButton({ template }: { readonly template?: string }): ReactNode {
  const { data } = useExpired(template);
  const [asked, setAsked] = useState<Expired>();
  const rules = data?.rules ?? [];
  const close = (): void => setAsked(undefined);
  const isOne = asked?.length === 1;
  return (
    <>
      {rules.length > 0 && (
        <Button
          variant="default"
          leftSection={<IconClockX size={16} aria-hidden />}
          onClick={() => setAsked(rules)}
        >
          Prune {count(rules.length, 'expired rule')}
        </Button>
      )}
      <ReviewDialog
        title={isOne ? 'Remove the expired rule?' : 'Remove the expired rules?'}
        operations={asked && removal(asked)}
        action={isOne ? 'Remove it' : 'Remove them'}
        done={`${count(asked?.length ?? 0, 'expired rule was', 'expired rules were')} removed`}
        onClose={close}
        onSaved={close}
      >
        <Text size="sm">
          {isOne
            ? 'It allows nothing any more. The history keeps it.'
            : 'They allow nothing any more. The history keeps them.'}
        </Text>
        <List size="sm">
          {asked?.map(({ template: name, direction, index, rule }) => (
            <List.Item key={`${name} ${direction} ${index}`}>
              <b>{name}</b>, {direction} rule {index + 1}: {ruleText(direction, rule)}
            </List.Item>
          ))}
        </List>
      </ReviewDialog>
    </>
  );
}

/** From the last one on, so that the others keep their places; and only while the firewalls are what they were. */
function removal(rules: Expired): readonly Operation[] {
  const seen = new Set<string>();
  return rules.toReversed().map(({ template, direction, index, revision }) => {
    const isFirst = !seen.has(template);
    seen.add(template);
    return {
      ...{ kind: 'remove-rule', template, direction, index },
      ...(isFirst && { ifRevision: revision }),
    };
  });
}
