/** Versions of a set, also of a destroyed one. */
import type { ReactNode } from 'react';
import { isKind } from '../../data/api-problem.ts';
import { useSet } from '../../data/queries.ts';
import { VersionHistory } from '../../parts/version-history.tsx';

export default function SetHistory({ name }: { readonly name: string }): ReactNode {
  const { data, error } = useSet(name);
  return (
    <VersionHistory
      kind="set"
      name={name}
      revision={data?.revision}
      isGone={isKind(error, 'not-found')}
      home={{ path: '/sets', title: 'Sets' }}
    />
  );
}
