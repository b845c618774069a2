/** Versions of a firewall, also of a destroyed one. */
import type { ReactNode } from 'react';
import { isKind } from '../../data/api-problem.ts';
import { useTemplate } from '../../data/queries.ts';
import { VersionHistory } from '../../parts/version-history.tsx';

export default function FirewallHistory({ name }: { readonly name: string }): ReactNode {
  const { data, error } = useTemplate(name, false);
  return (
    <VersionHistory
      kind="template"
      name={name}
      revision={data?.revision}
      isGone={isKind(error, 'not-found')}
      home={{ path: '/firewalls', title: 'Firewalls' }}
    />
  );
}
