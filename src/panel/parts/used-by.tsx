/** Who names something, and where. */
import { Anchor, List } from '@mantine/core';
import type { ReactNode } from 'react';
import { Link } from 'wouter';
import type { Mention } from '../data/types.ts';
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
