/** Who names something, and where; and whether that goes with it. */
import { Anchor, Checkbox, List, Text } from '@mantine/core';
import type { ReactNode } from 'react';
import { Link } from 'wouter';
import type { Mention } from '../data/types.ts';
import { count } from './format.ts';
import { placeText } from './place-text.ts';

const pages: Readonly<Record<Mention['kind'], string>> = {
  ...{ template: 'firewalls', server: 'servers', set: 'sets' },
};

export function UsedBy({ mentions }: { readonly mentions: readonly Mention[] }): ReactNode {
  return (
    <List size="sm">
      {mentions.map(({ kind, name, path }) => (
        <List.Item key={`${kind} ${name} ${path}`}>
          <Anchor
            component={Link}
            href={`/${pages[kind]}/${encodeURIComponent(name)}`}
            inherit
            underline="always"
          >
            {name}
          </Anchor>
          : {placeText(path)}
        </List.Item>
      ))}
    </List>
  );
}

interface RemoveMentionsProps {
  readonly mentions: readonly Mention[];
  readonly force: boolean;
  readonly onForce: (force: boolean) => void;
}

/** Before something is destroyed that others name. */
export function RemoveMentions({ mentions, force, onForce }: RemoveMentionsProps): ReactNode {
  if (mentions.length === 0) return null;
  return (
    <>
      <Text size="sm">It is named in {count(mentions.length, 'place')}:</Text>
      <UsedBy mentions={mentions} />
      <Checkbox
        label={
          mentions.length === 1
            ? 'Remove it from this place, too'
            : 'Remove it from these places, too'
        }
        description="A rule that has no other address left goes with it: it would be for everybody."
        checked={force}
        onChange={({ currentTarget }) => onForce(currentTarget.checked)}
      />
    </>
  );
}
