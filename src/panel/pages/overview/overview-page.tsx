/** The first page: whether all is well, what is open, what is dropped now, and what was changed last. */
import { Anchor, Group, Paper, SimpleGrid, Stack, Text, Title } from '@mantine/core';
import type { ReactNode } from 'react';
import { Link } from 'wouter';
import { useChanges, useDropGroups, useServers, useStatus } from '../../data/queries.ts';
import type { DropGroup, PolicyChange, Server, Status } from '../../data/types.ts';
import { useStats } from '../../data/use-stats.ts';
import { Ago } from '../../parts/ago.tsx';
import { ExposureBadge } from '../../parts/exposure-badge.tsx';
import { count, formatNumber } from '../../parts/format.ts';
import '../../parts/live.css';
import { Page } from '../../parts/page.tsx';
import { ServerLink } from '../../parts/server-link.tsx';
import { Loaded } from '../../parts/states.tsx';
import { OverviewTiles } from './overview-tiles.tsx';

/** More than that belong to their own page. */
const shown = 6;

export default function OverviewPage(): ReactNode {
  const status = useStatus();
  const servers = useServers();
  const stats = useStats({ servers: false });
  return (
    <Page title="Overview" about="Whether all is well, what is open, and what was changed last.">
      <Stack gap="md">
        <Loaded query={status} rows={2}>
          {(data) => <OverviewTiles status={data} stats={stats} />}
        </Loaded>
        <SimpleGrid cols={{ base: 1, md: 2 }} spacing="md">
          <Section title="Open to the world" href="/servers" more="All servers">
            <Loaded query={servers} rows={3}>
              {({ servers: list }) => <Exposed servers={list} />}
            </Loaded>
          </Section>
          <Section title="Servers without firewall" href="/servers?bare=1" more="All of them">
            <Loaded query={servers} rows={3}>
              {({ servers: list }) => <Bare servers={list} />}
            </Loaded>
          </Section>
          <Section title="Last changes" href="/changes" more="All changes">
            <LastChanges />
          </Section>
          <Section title="Dropped last" href="/live" more="Live">
            <LastDrops status={status.data} />
          </Section>
        </SimpleGrid>
      </Stack>
    </Page>
  );
}

interface SectionProps {
  readonly title: string;
  readonly href: string;
  /** What the link to the page with all of it says. */
  readonly more: string;
  readonly children: ReactNode;
}

function Section({ title, href, more, children }: SectionProps): ReactNode {
  return (
    <Paper withBorder p="md" radius="md" component="section" aria-label={title}>
      <Group justify="space-between" gap="xs" mb="xs">
        <Title order={2} size="h5">
          {title}
        </Title>
        <Anchor component={Link} href={href} size="sm">
          {more}
        </Anchor>
      </Group>
      {children}
    </Paper>
  );
}

interface RowsProps<T> {
  readonly all: readonly T[];
  /** Said if there is none. */
  readonly none: string;
  readonly children: (each: T) => ReactNode;
  readonly keyOf: (each: T) => string | number;
}

function Rows<T>({ all, none, children, keyOf }: RowsProps<T>): ReactNode {
  if (all.length === 0) {
    return (
      <Text size="sm" c="dimmed">
        {none}
      </Text>
    );
  }
  return (
    <Stack gap="xs" component="ul" className="bare-list">
      {all.slice(0, shown).map((each) => (
        <li key={keyOf(each)}>{children(each)}</li>
      ))}
      {all.length > shown && (
        <li>
          <Text size="sm" c="dimmed">
            and {formatNumber(all.length - shown)} more
          </Text>
        </li>
      )}
    </Stack>
  );
}

interface ServersProps {
  readonly servers: readonly Server[];
}

function Exposed({ servers }: ServersProps): ReactNode {
  return (
    <Rows
      all={servers.filter(({ exposure }) => exposure.length > 0)}
      none="Nothing is open to the whole Internet, or to most of it."
      keyOf={({ name }) => name}
    >
      {({ name, exposure }) => (
        <Group gap="xs">
          <Text span size="sm">
            <ServerLink name={name} />
          </Text>
          <ExposureBadge exposure={exposure} />
        </Group>
      )}
    </Rows>
  );
}

function Bare({ servers }: ServersProps): ReactNode {
  return (
    <Rows
      all={servers.filter(
        ({ templates, appliedTemplates }) => templates.length + appliedTemplates.length === 0,
      )}
      none={servers.length === 0 ? 'There are no servers yet.' : 'Every server has a firewall.'}
      keyOf={({ name }) => name}
    >
      {({ name, addresses }) => (
        <Text size="sm">
          <ServerLink name={name} />{' '}
          <Text span size="xs" c="dimmed">
            {addresses.join(', ')}: all is dropped
          </Text>
        </Text>
      )}
    </Rows>
  );
}

function LastChanges(): ReactNode {
  const changes = useChanges(shown);
  return (
    <Loaded query={changes} rows={3}>
      {({ changes: all }) => (
        <Rows all={all} none="Nothing was changed yet." keyOf={({ number }) => number}>
          {(change) => <Change change={change} />}
        </Rows>
      )}
    </Loaded>
  );
}

function Change({ change: { number, summary, actor, at } }: { readonly change: PolicyChange }) {
  return (
    <Text size="sm" className="address">
      {number}. {summary}{' '}
      <Text span size="xs" c="dimmed">
        {actor} · <Ago at={at} />
      </Text>
    </Text>
  );
}

function LastDrops({ status }: { readonly status: Status | undefined }): ReactNode {
  const groups = useDropGroups({ sort: 'last', limit: shown }, status?.running ?? false);
  if (status?.running === false) return <Text size="sm">No firewall is running.</Text>;
  return (
    <Loaded query={groups} rows={3}>
      {({ groups: all }) => (
        <Rows
          all={all}
          none="Nothing has been dropped since the firewall was started."
          keyOf={(group) =>
            JSON.stringify([group.source, group.destination, portOf(group), group.reason])
          }
        >
          {(group) => <Dropped group={group} />}
        </Rows>
      )}
    </Loaded>
  );
}

function portOf({ protocol = '', destinationPort }: DropGroup): string {
  const name = protocol.toUpperCase();
  return destinationPort === undefined ? name : `${name} ${destinationPort}`;
}

function Dropped({ group }: { readonly group: DropGroup }): ReactNode {
  const { source = '', destination = '', destinationServer, reason = '' } = group;
  return (
    <Text size="sm" className="address">
      <span className="mono">{source}</span> →{' '}
      {destinationServer === undefined ? (
        <span className="mono">{destination}</span>
      ) : (
        <ServerLink name={destinationServer} />
      )}{' '}
      {portOf(group)}{' '}
      <Text span size="xs" c="dimmed">
        {reason} · {count(group.count, 'packet')} · <Ago at={group.last} />
      </Text>
    </Text>
  );
}
