/** A server: what passes and is dropped, its effective rules, who can open what, its live flows, and the packets that were dropped last. */
import { Badge, Button, Group, SimpleGrid, Tabs } from '@mantine/core';
import {
  IconCursorText,
  IconEye,
  IconPencil,
  IconPlaylistAdd,
  IconTrash,
} from '@tabler/icons-react';
import { useState } from 'react';
import type { ReactNode } from 'react';
import { useLocation, useSearchParams } from 'wouter';
import { useMayChange } from '../../app/session.ts';
import { useServer } from '../../data/queries.ts';
import type { Server } from '../../data/types.ts';
import { useServerHistories, useStats } from '../../data/use-stats.ts';
import type { LiveStats } from '../../data/use-stats.ts';
import { BackLink } from '../../parts/back-link.tsx';
import { DropStream } from '../../parts/drop-stream.tsx';
import { ExposureBadge } from '../../parts/exposure-badge.tsx';
import { ServerFlows } from '../../parts/flow-list.tsx';
import { ObservingBadge } from '../../parts/observing-badge.tsx';
import { Page } from '../../parts/page.tsx';
import { RenameDialog } from '../../parts/rename-dialog.tsx';
import { Loaded } from '../../parts/states.tsx';
import { directions } from '../../../text/rule-text.ts';
import { DestroyServerDialog } from './destroy-server-dialog.tsx';
import { EffectiveRules } from './effective-rules.tsx';
import { Firewalls } from './server-firewalls.tsx';
import { ObserveDialog } from './observe-dialog.tsx';
import { ServerForm } from './server-form.tsx';
import { ServerLabels } from './server-labels.tsx';
import { ServerReach } from './server-reach.tsx';
import { SuggestDialog } from './suggest-dialog.tsx';
import { ServerTiles } from './server-tiles.tsx';

const tabs = ['rules', 'reach', 'flows', 'drops'] as const;
type Tab = (typeof tabs)[number];

const titles: Readonly<Record<Tab, string>> = {
  rules: 'Rules',
  reach: 'Reach',
  flows: 'Live flows',
  drops: 'Recent drops',
};

export default function ServerPage({ name }: { readonly name: string }): ReactNode {
  const server = useServer(name);
  const mayChange = useMayChange();
  return (
    <Page
      title={name}
      about={server.data !== undefined && <About server={server.data} />}
      back={<BackLink path="/servers" title="Servers" />}
      {...(mayChange && server.data !== undefined && { actions: <Actions server={server.data} /> })}
    >
      <Loaded query={server}>{(data) => <Content server={data} />}</Loaded>
    </Page>
  );
}

function About({ server }: { readonly server: Server }): ReactNode {
  const { addresses, effectiveReject: reject } = server;
  const answered = directions.filter((direction) => reject[direction]);
  return (
    <Group gap="xs">
      <span className="mono">{addresses.join(', ')}</span>
      <ServerLabels server={server} />
      {answered.length > 0 && (
        <Badge variant="light" tt="none">
          rejects {answered.join(' and ')}
        </Badge>
      )}
      <Firewalls server={server} />
      <ExposureBadge exposure={server.exposure} />
      <ObservingBadge server={server} />
    </Group>
  );
}

function Content({ server }: { readonly server: Server }): ReactNode {
  const [search, setSearch] = useSearchParams();
  const stats = useStats({ servers: true });
  const history = useServerHistories([server.name])[server.name];
  const tab = tabs.find((each) => each === search.get('tab')) ?? 'rules';
  return (
    <>
      <SimpleGrid cols={{ base: 2, md: 4 }} spacing="sm">
        <ServerTiles {...{ server, stats, history }} />
      </SimpleGrid>
      <Tabs
        value={tab}
        onChange={(value) => setSearch({ tab: value ?? 'rules' }, { replace: true })}
        keepMounted={false}
      >
        <Tabs.List mb="md">
          {tabs.map((each) => (
            <Tabs.Tab key={each} value={each} px={{ base: 'xs', sm: 'md' }}>
              {titles[each]}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        {tabs.map((each) => (
          <Tabs.Panel key={each} value={each}>
            <Panel tab={each} server={server} stats={stats} />
          </Tabs.Panel>
        ))}
      </Tabs>
    </>
  );
}

interface PanelProps {
  readonly tab: Tab;
  readonly server: Server;
  readonly stats: LiveStats;
}

function Panel({ tab, server, stats }: PanelProps): ReactNode {
  const { name, templates, appliedTemplates } = server;
  switch (tab) {
    case 'rules':
      return (
        <EffectiveRules
          server={name}
          hasFirewall={templates.length + appliedTemplates.length > 0}
        />
      );
    case 'reach':
      return <ServerReach server={name} />;
    case 'flows':
      return <ServerFlows server={name} />;
    case 'drops':
      return <DropStream server={name} reasons={Object.keys(stats.latest?.drops ?? {})} />;
  }
}

function Actions({ server }: { readonly server: Server }): ReactNode {
  const [open, setOpen] = useState<'edit' | 'observe' | 'suggest' | 'rename' | 'destroy'>();
  const [, navigate] = useLocation();
  const { name, revision } = server;
  const close = (): void => setOpen(undefined);
  return (
    <>
      <Button
        variant="default"
        leftSection={<IconPencil size={16} aria-hidden />}
        onClick={() => setOpen('edit')}
      >
        Edit
      </Button>
      <Button
        variant="default"
        leftSection={<IconEye size={16} aria-hidden />}
        onClick={() => setOpen('observe')}
      >
        Observe
      </Button>
      {server.mode === 'observe' && (
        <Button
          variant="default"
          leftSection={<IconPlaylistAdd size={16} aria-hidden />}
          onClick={() => setOpen('suggest')}
        >
          Suggest rules
        </Button>
      )}
      <Button
        variant="default"
        leftSection={<IconCursorText size={16} aria-hidden />}
        onClick={() => setOpen('rename')}
      >
        Rename
      </Button>
      <Button
        variant="default"
        c="var(--mantine-color-error)"
        leftSection={<IconTrash size={16} aria-hidden />}
        onClick={() => setOpen('destroy')}
      >
        Destroy
      </Button>
      <ServerForm server={server} opened={open === 'edit'} onClose={close} />
      <ObserveDialog server={server} opened={open === 'observe'} onClose={close} />
      <SuggestDialog server={server} opened={open === 'suggest'} onClose={close} />
      <RenameDialog
        {...{ kind: 'server', name, revision }}
        opened={open === 'rename'}
        onClose={close}
        onRenamed={(to) => navigate(`/servers/${to}`)}
      />
      <DestroyServerDialog
        it={server}
        opened={open === 'destroy'}
        onClose={close}
        onDestroyed={() => navigate('/servers')}
      />
    </>
  );
}
