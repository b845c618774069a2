/** Names that lead to their page. */
import { Anchor } from '@mantine/core';
import type { ReactNode } from 'react';
import { Link } from 'wouter';

export function ServerLink({ name }: { readonly name: string }): ReactNode {
  return (
    <Anchor component={Link} href={`/servers/${encodeURIComponent(name)}`} inherit>
      {name}
    </Anchor>
  );
}

export function FirewallLink({ name }: { readonly name: string }): ReactNode {
  return (
    <Anchor component={Link} href={`/firewalls/${encodeURIComponent(name)}`} inherit>
      {name}
    </Anchor>
  );
}
