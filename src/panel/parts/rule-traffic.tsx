/** What a rule allows, and under it whether the rule is off or ends at a moment. */
import { Text } from '@mantine/core';
import type { ReactNode } from 'react';
import { lifeText, trafficText } from '../../text/rule-text.ts';
import type { Rule } from '../data/types.ts';

export function RuleTraffic({ rule }: { readonly rule: Rule }): ReactNode {
  const life = lifeText(rule);
  return (
    <div>
      {trafficText(rule)}
      {life !== '' && (
        <Text size="xs" c="dimmed">
          {life}
        </Text>
      )}
    </div>
  );
}
