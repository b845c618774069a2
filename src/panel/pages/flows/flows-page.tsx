/** The live flows of all servers. The filter is in the page's address, so that it can be passed on. */
import { Stack } from '@mantine/core';
import { useMemo } from 'react';
import type { ReactNode } from 'react';
import { useSearchParams } from 'wouter';
import { useServers, useTemplates } from '../../data/queries.ts';
import { flowStates } from '../../data/flows.ts';
import type { FlowOrder } from '../../data/flows.ts';
import { FlowFilters } from '../../parts/flow-filters.tsx';
import type { FlowValues } from '../../parts/flow-filters.tsx';
import { FlowPages } from '../../parts/flow-list.tsx';
import '../../parts/live.css';
import { Page } from '../../parts/page.tsx';

const keys = ['server', 'protocol', 'address', 'port', 'state', 'rule', 'sort'] as const;
const orders: readonly FlowOrder[] = ['bytes', 'packets', 'age'];

export default function FlowsPage(): ReactNode {
  const [search, setSearch] = useSearchParams();
  const values: FlowValues = Object.fromEntries(
    keys.flatMap((key) => {
      const value = search.get(key) ?? '';
      return value === '' ? [] : [[key, value]];
    }),
  );
  const servers = useServers().data?.servers;
  const templates = useTemplates().data?.templates;
  const fields = useMemo(
    () => [
      { key: 'server' as const, label: 'Server', values: (servers ?? []).map(({ name }) => name) },
      {
        ...{ key: 'rule' as const, label: 'Firewall' },
        values: withChosen(
          (templates ?? []).map(({ name }) => name),
          search.get('rule'),
        ),
      },
      { key: 'state' as const, label: 'State', values: flowStates },
    ],
    [servers, templates, search],
  );
  const sort = orders.find((order) => order === values.sort) ?? 'bytes';
  return (
    <Page
      title="Flows"
      about="Conversations that pass now, of all servers. Firewall: allowed by a rule of it."
    >
      <Stack gap="sm">
        <FlowFilters
          values={values}
          fields={fields}
          hasPort
          onChange={(next) => {
            const given = Object.entries(next).filter(([, value]) => value !== undefined);
            setSearch(Object.fromEntries(given), { replace: true });
          }}
        />
        <FlowPages filter={{ ...values, sort }} />
      </Stack>
    </Page>
  );
}

/** A link may choose a single rule, `web/inbound/0`. */
function withChosen(names: readonly string[], chosen: string | null): readonly string[] {
  return chosen === null || names.includes(chosen) ? names : [chosen, ...names];
}
