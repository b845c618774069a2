/** Every version of a firewall with author, time and difference, and the way back to one. Also for a destroyed firewall. */
import { Anchor, Badge, Button, Group, Paper, Stack, Text } from '@mantine/core';
import {
  IconArrowBackUp,
  IconArrowLeft,
  IconChevronDown,
  IconChevronRight,
} from '@tabler/icons-react';
import { useState } from 'react';
import type { ReactNode } from 'react';
import { Link, useLocation } from 'wouter';
import { useMayChange } from '../../app/session.ts';
import { isKind } from '../../data/api-problem.ts';
import type { Operation } from '../../data/changes.ts';
import { useHistory, useTemplate, useVersionDiff } from '../../data/queries.ts';
import type { Version } from '../../data/types.ts';
import { Ago } from '../../parts/ago.tsx';
import { Diff } from '../../parts/diff.tsx';
import { Page } from '../../parts/page.tsx';
import { ReviewDialog } from '../../parts/review-dialog.tsx';
import { Loaded } from '../../parts/states.tsx';

export default function FirewallHistory({ name }: { readonly name: string }): ReactNode {
  const history = useHistory(name);
  const template = useTemplate(name, false);
  const mayChange = useMayChange();
  const [, navigate] = useLocation();
  const [operations, setOperations] = useState<readonly Operation[]>();
  const revision = template.data?.revision;
  const isGone = isKind(template.error, 'not-found');
  const restore = (version: number): void =>
    setOperations([
      {
        ...{ kind: 'restore-template', name, version },
        ...(revision !== undefined && !isGone && { ifRevision: revision }),
      },
    ]);
  return (
    <Page
      title={`History of ${name}`}
      back={<Back name={name} isGone={isGone} />}
      about={isGone ? 'It was destroyed. Any version can bring it back.' : undefined}
    >
      <Loaded query={history}>
        {({ versions }) => (
          <Stack gap="sm" component="ol" className="versions">
            {versions.map((version, index) => (
              <VersionItem
                key={version.version}
                {...{ name, version }}
                before={versions[index + 1]?.version ?? 0}
                isNewest={index === 0}
                {...(mayChange &&
                  version.sha256 !== undefined &&
                  (index > 0 || isGone) && { onRestore: () => restore(version.version) })}
              />
            ))}
          </Stack>
        )}
      </Loaded>
      <ReviewDialog
        title={`Back to a former version of ${name}`}
        operations={operations}
        action="Roll back"
        done={`${name} was rolled back`}
        onClose={() => setOperations(undefined)}
        onSaved={() => navigate(`/firewalls/${name}`)}
      />
    </Page>
  );
}

function Back({ name, isGone }: { readonly name: string; readonly isGone: boolean }): ReactNode {
  return (
    <Anchor
      component={Link}
      href={isGone ? '/firewalls' : `/firewalls/${name}`}
      size="sm"
      className="back-link"
    >
      <IconArrowLeft size={14} aria-hidden /> {isGone ? 'Firewalls' : name}
    </Anchor>
  );
}

const actionWords: Readonly<Record<Version['action'], string>> = {
  create: 'Created',
  edit: 'Edited',
  clone: 'Copied',
  rename: 'Renamed',
  restore: 'Rolled back',
  destroy: 'Destroyed',
  expire: 'A rule expired',
  revive: 'A rule counts again',
};

/** What was done, and in the case of a hand edit where. */
function title({ version, action, from, to }: Version): string {
  const words = actionWords[action];
  const names = from !== undefined && to !== undefined ? ` from ${from} to ${to}` : '';
  return `${version}. ${words}${names}`;
}

interface VersionItemProps {
  readonly name: string;
  readonly version: Version;
  /** 0: nothing. */
  readonly before: number;
  readonly isNewest: boolean;
  readonly onRestore?: () => void;
}

function VersionItem(props: VersionItemProps): ReactNode {
  const { name, version, before, isNewest, onRestore } = props;
  const [isOpen, setOpen] = useState(isNewest);
  const { at, actor, via, sha256 } = version;
  const Chevron = isOpen ? IconChevronDown : IconChevronRight;
  return (
    <Paper withBorder radius="md" p="sm" component="li">
      <Group justify="space-between" gap="xs">
        <div>
          <Group gap="xs">
            <Text fw={600}>{title(version)}</Text>
            {isNewest && <Badge variant="light">newest</Badge>}
          </Group>
          <Text size="sm" c="dimmed">
            {actor === via
              ? `by ${actor === 'file' ? 'hand, in the file' : actor}`
              : `${actor}, ${via}`}
            {' · '}
            <Ago at={at} />
          </Text>
        </div>
        <Group gap="xs">
          {sha256 !== undefined && (
            <Button
              variant="subtle"
              size="xs"
              aria-expanded={isOpen}
              leftSection={<Chevron size={14} aria-hidden />}
              onClick={() => setOpen(!isOpen)}
            >
              {isOpen ? 'Hide changes' : 'Show changes'}
            </Button>
          )}
          {onRestore !== undefined && (
            <Button
              variant="default"
              size="xs"
              leftSection={<IconArrowBackUp size={14} aria-hidden />}
              aria-label={`Roll back to version ${version.version}`}
              onClick={onRestore}
            >
              Roll back
            </Button>
          )}
        </Group>
      </Group>
      {isOpen && sha256 !== undefined && (
        <VersionDiff name={name} from={before} to={version.version} />
      )}
    </Paper>
  );
}

interface VersionDiffProps {
  readonly name: string;
  readonly from: number;
  readonly to: number;
}

function VersionDiff({ name, from, to }: VersionDiffProps): ReactNode {
  const diff = useVersionDiff(name, from, to);
  return (
    <div className="version-diff">
      <Loaded query={diff} rows={2}>
        {(text) => <Diff text={text} label={`Changes of version ${to}`} />}
      </Loaded>
    </div>
  );
}
