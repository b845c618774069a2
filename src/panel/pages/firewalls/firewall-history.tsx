/** The versions of a firewall. */
import { List } from '@mantine/core';
import type { ReactNode } from 'react';
import { useHistory } from '../../data/queries.ts';
import { Ago } from '../../parts/ago.tsx';
import { Page } from '../../parts/page.tsx';
import { Loaded } from '../../parts/states.tsx';

export default function FirewallHistory({ name }: { readonly name: string }): ReactNode {
  const history = useHistory(name);
  return (
    <Page title={`History of ${name}`}>
      <Loaded query={history}>
        {({ versions }) => (
          <List>
            {versions.map(({ version, at, actor, action }) => (
              <List.Item key={version}>
                {version}: {action} by {actor}, <Ago at={at} />
              </List.Item>
            ))}
          </List>
        )}
      </Loaded>
    </Page>
  );
}
