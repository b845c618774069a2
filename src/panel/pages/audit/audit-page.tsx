/** Who did what, newest first: changes, logins and refusals. The filter is in the page's address, so that it can be passed on. */
import { Badge, Button, Group, Select, Stack, Table, Text, TextInput } from '@mantine/core';
import { useDebouncedCallback } from '@mantine/hooks';
import { notifications } from '@mantine/notifications';
import { IconDownload } from '@tabler/icons-react';
import { Fragment, useState } from 'react';
import type { ReactNode } from 'react';
import { useSearchParams } from 'wouter';
import { asProblem } from '../../data/api-problem.ts';
import { allAudit, useAudit } from '../../data/queries.ts';
import type { AuditPage as Records } from '../../data/types.ts';
import { Ago } from '../../parts/ago.tsx';
import { formatNumber, formatTime } from '../../parts/format.ts';
import '../../parts/live.css';
import { Page } from '../../parts/page.tsx';
import { Empty, Loaded } from '../../parts/states.tsx';
import { auditCsv } from './audit-csv.ts';
import { TargetLinks } from './target-links.tsx';

const results = [
  { value: 'ok', label: 'Done' },
  { value: 'denied', label: 'Denied' },
  { value: 'refused', label: 'Refused' },
  { value: 'failed', label: 'Failed' },
];
const good = { variant: 'default' } as const;
const bad = { variant: 'light', color: 'red' } as const;
const isBad = (result: string): boolean => result !== 'ok';
/** What actions begin with. */
const actions = [
  'template',
  'server',
  'set',
  'policy',
  'user',
  'login',
  'logout',
  'access',
  'flow',
  'capture',
];
const pageSize = 50;

const keys = ['actor', 'action', 'target', 'result', 'since', 'until'] as const;
type Filter = Partial<Record<(typeof keys)[number], string>>;

export default function AuditPage(): ReactNode {
  const [search, setSearch] = useSearchParams();
  const filter: Filter = Object.fromEntries(
    keys.flatMap((key) => {
      const value = search.get(key) ?? '';
      return value === '' ? [] : [[key, value]];
    }),
  );
  const set = (more: Readonly<Record<string, string>>): void => {
    const next = Object.entries({ ...filter, ...more }).filter(([, value]) => value !== '');
    setSearch(Object.fromEntries(next), { replace: true });
  };
  return (
    <Page
      title="Audit"
      about="Changes, logins and refusals, newest first. Nothing is ever removed by hand."
      actions={<CsvButton filter={filter} />}
    >
      <Stack gap="sm">
        <FilterForm filter={filter} onChange={set} />
        <AuditRecords key={JSON.stringify(filter)} filter={filter} />
      </Stack>
    </Page>
  );
}

interface FilterFormProps {
  readonly filter: Filter;
  readonly onChange: (more: Readonly<Record<string, string>>) => void;
}

function FilterForm({ filter, onChange }: FilterFormProps): ReactNode {
  return (
    <Group gap="sm" align="end">
      <NameField
        label="Who"
        placeholder="Anybody"
        name={filter.actor}
        onChange={(actor) => onChange({ actor })}
      />
      <Select
        label="What"
        placeholder="Everything"
        data={actions}
        value={filter.action ?? null}
        onChange={(action) => onChange({ action: action ?? '' })}
        clearable
        clearButtonProps={{ 'aria-label': 'Everything' }}
        w={160}
      />
      <NameField
        label="On"
        placeholder="Anything"
        name={filter.target}
        onChange={(target) => onChange({ target })}
      />
      <Select
        label="Result"
        placeholder="Any"
        data={results}
        value={filter.result ?? null}
        onChange={(result) => onChange({ result: result ?? '' })}
        clearable
        clearButtonProps={{ 'aria-label': 'Any result' }}
        w={140}
      />
      <TimeField
        label="From"
        time={filter.since}
        onChange={(time) => onChange({ since: time?.toISOString() ?? '' })}
      />
      <TimeField
        label="Until"
        time={filter.until}
        onChange={(time) => onChange({ until: time === undefined ? '' : endOfMinute(time) })}
      />
    </Group>
  );
}

interface NameFieldProps {
  readonly label: string;
  readonly placeholder: string;
  readonly name: string | undefined;
  readonly onChange: (name: string) => void;
}

/** Applied once typing stops. */
function NameField({ label, placeholder, name = '', onChange }: NameFieldProps): ReactNode {
  const [typed, setTyped] = useState(name);
  const apply = useDebouncedCallback((text: string) => onChange(text.trim()), 400);
  return (
    <TextInput
      {...{ label, placeholder }}
      value={typed}
      onChange={({ currentTarget }) => {
        setTyped(currentTarget.value);
        apply(currentTarget.value);
      }}
      w={210}
    />
  );
}

interface TimeFieldProps {
  readonly label: string;
  /** ISO 8601 */
  readonly time: string | undefined;
  readonly onChange: (time: Date | undefined) => void;
}

/** The browser's own field for a day and a minute, on its own clock. */
function TimeField({ label, time, onChange }: TimeFieldProps): ReactNode {
  return (
    <TextInput
      label={label}
      type="datetime-local"
      defaultValue={time === undefined ? '' : localMinute(new Date(time))}
      onChange={({ currentTarget: { value } }) =>
        onChange(value === '' ? undefined : new Date(value))
      }
      w={210}
    />
  );
}

/** `2030-01-31T12:00`, as the field wants it. */
function localMinute(time: Date): string {
  if (Number.isNaN(time.getTime())) return '';
  return new Date(time.getTime() - time.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

/** Until a minute means: with all of that minute. */
function endOfMinute(time: Date): string {
  return new Date(time.getTime() + 59_999).toISOString();
}

function AuditRecords({ filter }: { readonly filter: Filter }): ReactNode {
  /** Where each page begins; the last one is shown. */
  const [pages, setPages] = useState<readonly string[]>([]);
  const before = pages.at(-1);
  const audit = useAudit({
    ...filter,
    limit: String(pageSize),
    ...(before !== undefined && { before }),
  });
  return (
    <Loaded query={audit}>
      {({ records, next }) =>
        records.length === 0 ? (
          <Empty title="Nothing like that was done">Change the filter to see more.</Empty>
        ) : (
          <>
            <AuditTable records={records} />
            <Group justify="flex-end">
              {pages.length > 0 && (
                <Button variant="default" onClick={() => setPages(pages.slice(0, -1))}>
                  Newer
                </Button>
              )}
              {next !== undefined && (
                <Button variant="default" onClick={() => setPages([...pages, next])}>
                  Older
                </Button>
              )}
            </Group>
          </>
        )
      }
    </Loaded>
  );
}

function AuditTable({ records }: Pick<Records, 'records'>): ReactNode {
  return (
    <Table className="data-table" aria-label="Audit log">
      <Table.Thead>
        <Table.Tr>
          <Table.Th>When</Table.Th>
          <Table.Th>Who</Table.Th>
          <Table.Th>What</Table.Th>
          <Table.Th>On</Table.Th>
          <Table.Th>Result</Table.Th>
          <Table.Th>In words</Table.Th>
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {records.map((record) => (
          <Row key={record.id} record={record} />
        ))}
      </Table.Tbody>
    </Table>
  );
}

function Row({ record }: { readonly record: Records['records'][number] }): ReactNode {
  const { at, actor, action, result, summary, why, count } = record;
  const words = [
    summary ?? '',
    why === undefined ? '' : `(${why})`,
    count === undefined ? '' : `(${count} times)`,
  ]
    .filter((part) => part !== '')
    .join(' ');
  return (
    <Table.Tr>
      <Table.Td data-label="When" miw={110}>
        <div>
          <time dateTime={at} className="wide-nowrap">
            {formatTime(at)}
          </time>
          <Text span size="xs" c="dimmed" display="block">
            <Ago at={at} />
          </Text>
        </div>
      </Table.Td>
      <Table.Td data-label="Who">
        <div>
          {actor.name}
          <Text span size="xs" c="dimmed" display="block">
            {[actor.via, actor.token, actor.address].filter(Boolean).join(', ')}
          </Text>
        </div>
      </Table.Td>
      <Table.Td data-label="What" className="mono">
        <div>
          {action.split('.').map((part, index) => (
            <Fragment key={index}>
              {index > 0 && (
                <>
                  .<wbr />
                </>
              )}
              {part}
            </Fragment>
          ))}
        </div>
      </Table.Td>
      <Table.Td data-label="On" miw={100}>
        <TargetLinks record={record} />
      </Table.Td>
      <Table.Td data-label="Result">
        <Badge {...(isBad(result) ? bad : good)} tt="none">
          {results.find(({ value }) => value === result)?.label ?? result}
        </Badge>
      </Table.Td>
      <Table.Td data-label="In words">
        {words !== '' && <div className="address">{words}</div>}
      </Table.Td>
    </Table.Tr>
  );
}

/** The browser saves what the filter finds, the newest first. */
function CsvButton({ filter }: { readonly filter: Filter }): ReactNode {
  const [isBusy, setBusy] = useState(false);
  const download = async (): Promise<void> => {
    setBusy(true);
    try {
      const { records, isCut } = await allAudit(filter);
      const url = URL.createObjectURL(new Blob([auditCsv(records)], { type: 'text/csv' }));
      const link = document.createElement('a');
      link.href = url;
      link.download = 'tunwall-audit.csv';
      link.click();
      URL.revokeObjectURL(url);
      if (isCut) {
        const message = `The file has the newest ${formatNumber(records.length)} records. Choose an earlier time for those before.`;
        notifications.show({ color: 'orange', title: 'There are more', message });
      }
    } catch (error) {
      const { title, message } = asProblem(error);
      notifications.show({ color: 'red', title, message });
    } finally {
      setBusy(false);
    }
  };
  return (
    <Button
      variant="default"
      leftSection={<IconDownload size={16} aria-hidden />}
      loading={isBusy}
      onClick={() => void download()}
    >
      Download CSV
    </Button>
  );
}
