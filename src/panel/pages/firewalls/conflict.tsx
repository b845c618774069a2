/**
 * The firewall was changed elsewhere while it was edited here: shows the author and time, and both versions rule by
 * rule. The user decides; until then no edit is lost.
 */
import { Alert, Button, Group, SimpleGrid, Stack, Text } from '@mantine/core';
import { IconUsers } from '@tabler/icons-react';
import type { ReactNode } from 'react';
import type { Template } from '../../data/types.ts';
import { Ago } from '../../parts/ago.tsx';
import { directions, ruleText } from '../../../text/rule-text.ts';
import { ruleOf } from './draft.ts';
import type { Draft } from './draft.ts';

export interface ConflictProps {
  readonly mine: Draft;
  /** As it is now. */
  readonly theirs: Template;
  readonly onKeepMine: () => void;
  readonly onLoadTheirs: () => void;
}

export function Conflict({ mine, theirs, onKeepMine, onLoadTheirs }: ConflictProps): ReactNode {
  const own = linesOf(mine);
  const other = linesOf(theirs);
  const { changed } = theirs;
  return (
    <Alert
      color="orange"
      icon={<IconUsers aria-hidden />}
      title={`${theirs.name} was changed meanwhile`}
      role="alert"
    >
      <Stack gap="sm">
        <Text size="sm">
          {changed === undefined ? (
            'Somebody has changed it'
          ) : (
            <>
              <b>{changed.actor}</b> has changed it <Ago at={changed.at} />
            </>
          )}{' '}
          while you were editing. What you have typed is still here, and nothing was saved.
        </Text>
        <SimpleGrid cols={{ base: 1, sm: 2 }}>
          <Side title="Only in yours" lines={own.filter((line) => !other.includes(line))} />
          <Side title="Only in theirs" lines={other.filter((line) => !own.includes(line))} />
        </SimpleGrid>
        <Group>
          <Button size="sm" onClick={onKeepMine}>
            Keep mine and review again
          </Button>
          <Button size="sm" variant="default" onClick={onLoadTheirs}>
            Load theirs
          </Button>
        </Group>
      </Stack>
    </Alert>
  );
}

function Side({
  title,
  lines,
}: {
  readonly title: string;
  readonly lines: readonly string[];
}): ReactNode {
  return (
    <div>
      <Text size="sm" fw={600}>
        {title}
      </Text>
      {lines.length === 0 ? (
        <Text size="sm" c="dimmed">
          nothing
        </Text>
      ) : (
        <ul className="plain-list">
          {lines.map((line, index) => (
            <li key={index}>{line}</li>
          ))}
        </ul>
      )}
    </div>
  );
}

/** What a firewall says, a line each; a draft as it would be saved. */
function linesOf(firewall: Draft | Template): readonly string[] {
  const { description = '', servers } = firewall;
  const rules = directions.flatMap((direction) =>
    firewall[direction].map((each) => {
      const rule = 'key' in each ? ruleOf(direction, each) : each;
      const comment = rule.comment === undefined ? '' : ` (${rule.comment})`;
      return `${direction} ${ruleText(direction, rule)}${comment}`;
    }),
  );
  return [
    ...(description === '' ? [] : [`description: ${description}`]),
    ...rules,
    ...servers.map((name) => `server ${name}`),
  ];
}
