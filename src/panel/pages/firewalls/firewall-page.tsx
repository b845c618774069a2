/** A firewall: an owner edits it in place, others look at it. */
import { Button } from '@mantine/core';
import { IconCopy, IconHistory, IconPencil, IconTrash } from '@tabler/icons-react';
import { useState } from 'react';
import type { ReactNode } from 'react';
import { Link, useLocation } from 'wouter';
import { useMayChange } from '../../app/session.ts';
import { useTemplate } from '../../data/queries.ts';
import type { Template } from '../../data/types.ts';
import { Ago } from '../../parts/ago.tsx';
import { BackLink } from '../../parts/back-link.tsx';
import { ExposureBadge } from '../../parts/exposure-badge.tsx';
import { count } from '../../parts/format.ts';
import { Page } from '../../parts/page.tsx';
import { RenameDialog } from '../../parts/rename-dialog.tsx';
import { Loaded } from '../../parts/states.tsx';
import { DestroyFirewallDialog } from './destroy-firewall-dialog.tsx';
import { FirewallEditor } from './firewall-editor.tsx';
import { FirewallView } from './firewall-view.tsx';
import { PruneButton } from './prune-button.tsx';

export default function FirewallPage({ name }: { readonly name: string }): ReactNode {
  const template = useTemplate(name);
  const mayChange = useMayChange();
  const [dialog, setDialog] = useState<'rename' | 'destroy'>();
  const [, navigate] = useLocation();
  const { data } = template;
  const close = (): void => setDialog(undefined);
  return (
    <Page
      title={name}
      back={<BackLink path="/firewalls" title="Firewalls" />}
      about={data !== undefined && <About template={data} />}
      actions={<Actions name={name} mayChange={mayChange} onOpen={setDialog} />}
    >
      <Loaded query={template}>
        {(found) =>
          mayChange ? <FirewallEditor template={found} /> : <FirewallView template={found} />
        }
      </Loaded>
      {data !== undefined && mayChange && (
        <>
          <RenameDialog
            kind="template"
            name={data.name}
            revision={data.revision}
            opened={dialog === 'rename'}
            onClose={close}
            onRenamed={(to) => navigate(`/firewalls/${to}`)}
          />
          <DestroyFirewallDialog
            it={data}
            opened={dialog === 'destroy'}
            onClose={close}
            onDestroyed={() => navigate('/firewalls')}
          />
        </>
      )}
    </Page>
  );
}

function About({ template }: { readonly template: Template }): ReactNode {
  const { inbound, outbound, servers, appliedServers, exposure, changed } = template;
  return (
    <>
      {count(inbound.length + outbound.length, 'rule')},{' '}
      {count(servers.length + appliedServers.length, 'server')}
      {changed !== undefined && (
        <>
          , changed <Ago at={changed.at} />{' '}
          {changed.actor === 'file' ? 'in the file' : `by ${changed.actor}`}
        </>
      )}{' '}
      <ExposureBadge exposure={exposure} />
    </>
  );
}

interface ActionsProps {
  readonly name: string;
  readonly mayChange: boolean;
  readonly onOpen: (dialog: 'rename' | 'destroy') => void;
}

function Actions({ name, mayChange, onOpen }: ActionsProps): ReactNode {
  return (
    <>
      <Button
        component={Link}
        href={`/firewalls/${name}/history`}
        variant="default"
        leftSection={<IconHistory size={16} aria-hidden />}
      >
        History
      </Button>
      {mayChange && (
        <>
          <PruneButton template={name} />
          <Button
            component={Link}
            href={`/firewalls/~new?clone=${encodeURIComponent(name)}`}
            variant="default"
            leftSection={<IconCopy size={16} aria-hidden />}
          >
            Clone
          </Button>
          <Button
            variant="default"
            leftSection={<IconPencil size={16} aria-hidden />}
            onClick={() => onOpen('rename')}
          >
            Rename
          </Button>
          <Button
            variant="default"
            c="var(--mantine-color-error)"
            leftSection={<IconTrash size={16} aria-hidden />}
            onClick={() => onOpen('destroy')}
          >
            Destroy
          </Button>
        </>
      )}
    </>
  );
}
