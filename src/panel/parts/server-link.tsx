/** Names that link to their page. Underlined, so that they differ from the text around them without colours. */
import { Anchor } from '@mantine/core';
import type { ReactNode } from 'react';
import { Link } from 'wouter';

export function ServerLink({ name }: { readonly name: string }): ReactNode {
  return (
    <Anchor
      component={Link}
      href={`/servers/${encodeURIComponent(name)}`}
      inherit
      underline="always"
      className="name-link"
    >
      {name}
    </Anchor>
  );
}

export function FirewallLink({ name }: { readonly name: string }): ReactNode {
  return (
    <Anchor
      component={Link}
      href={`/firewalls/${encodeURIComponent(name)}`}
      inherit
      underline="always"
      className="name-link"
    >
      {name}
    </Anchor>
  );
}
