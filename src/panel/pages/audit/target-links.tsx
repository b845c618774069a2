/** What a record of the audit log is about, with links to what is still there. */
import { Anchor } from '@mantine/core';
import type { ReactNode } from 'react';
import { Link } from 'wouter';
import type { AuditPage } from '../../data/types.ts';

/** Pages of what can be changed. */
const sections: Readonly<Record<string, string>> = {
  template: '/firewalls',
  set: '/sets',
  server: '/servers',
};

/** These name servers and firewalls, or a file: only what has changed is known to be a server. */
const mixed: readonly string[] = ['server.assign', 'server.remove', 'server.edit'];

type AuditRecord = AuditPage['records'][number];

function sectionOf({ action, changed = [] }: AuditRecord, name: string): string | undefined {
  const known = changed.find((each) => each.name === name)?.kind;
  if (known !== undefined) return sections[known];
  return mixed.includes(action) ? undefined : sections[action.split('.')[0]!];
}

/** More than that are counted. */
const shown = 5;

export function TargetLinks({ record }: { readonly record: AuditRecord }): ReactNode {
  const { target = [] } = record;
  return (
    <div className="address">
      {target.slice(0, shown).map((name, index) => (
        <span key={name}>
          {index > 0 && ', '}
          <Target name={name} section={sectionOf(record, name)} />
        </span>
      ))}
      {target.length > shown && ` and ${target.length - shown} more`}
    </div>
  );
}

interface TargetProps {
  readonly name: string;
  readonly section: string | undefined;
}

function Target({ name, section }: TargetProps): ReactNode {
  if (section === undefined) return name;
  const href = `${section}/${encodeURIComponent(name)}`;
  return (
    <Anchor component={Link} href={href} inherit underline="always">
      {name}
    </Anchor>
  );
}
