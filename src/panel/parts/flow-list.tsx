/** Live flows, a page at a time, and the end of one of them. */
import { Button, Group, Stack, Text } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import type { ReactNode } from 'react';
import { useMayChange } from '../app/session.ts';
import { asProblem } from '../data/api-problem.ts';
import { flowsKey, killFlow, useFlows } from '../data/flows.ts';
import type { FlowFilter } from '../data/flows.ts';
import type { Flow } from '../data/types.ts';
import { ConfirmDialog } from './confirm-dialog.tsx';
import { count } from './format.ts';
import { destinationText, sourceText } from '../../text/packet-text.ts';
import { Empty, Failed, Loading } from './states.tsx';
import { FlowFilters } from './flow-filters.tsx';
import type { FlowValues } from './flow-filters.tsx';
import { FlowTable } from './flow-table.tsx';

export interface FlowListProps {
  /** Only flows of this server. */
  readonly server: string;
}

/** The flows of a server, with what filters them. */
export function ServerFlows({ server }: FlowListProps): ReactNode {
  const [values, setValues] = useState<FlowValues>({});
  return (
    <Stack gap="sm">
      <FlowFilters values={values} fields={[]} onChange={setValues} />
      <FlowPages filter={{ ...values, server, sort: values.sort ?? 'bytes' }} />
    </Stack>
  );
}

/** A page of flows at a time; a new filter begins with the first one. */
export function FlowPages({ filter }: { readonly filter: FlowFilter }): ReactNode {
  return <Flows key={JSON.stringify(filter)} filter={filter} />;
}

function Flows({ filter }: { readonly filter: FlowFilter }): ReactNode {
  const [after, setAfter] = useState<string>();
  const [doomed, setDoomed] = useState<Flow>();
  const mayChange = useMayChange();
  const flows = useFlows({ ...filter, after });
  if (flows.isPending) return <Loading rows={4} />;
  // An old page is better than none while the gateway restarts; a filter that is refused has none.
  if (flows.data === undefined) {
    return <Failed error={flows.error} onRetry={() => void flows.refetch()} />;
  }
  const { flows: list, total, next } = flows.data;
  if (list.length === 0 && after === undefined) {
    return (
      <Empty title={isAll(filter) ? 'No live flows' : 'No live flows like that'}>
        A conversation appears here with its first packet that passes, and goes when it ends.
      </Empty>
    );
  }
  return (
    <>
      <Text size="sm" c="dimmed" role="status">
        {count(total, 'live flow')}
      </Text>
      <FlowTable flows={list} server={filter.server} onKill={mayChange ? setDoomed : undefined} />
      <Group justify="flex-end">
        {after !== undefined && (
          <Button variant="default" onClick={() => setAfter(undefined)}>
            First page
          </Button>
        )}
        {next !== undefined && (
          <Button variant="default" onClick={() => setAfter(next)}>
            Next page
          </Button>
        )}
      </Group>
      <KillDialog flow={doomed} onClose={() => setDoomed(undefined)} />
    </>
  );
}

/** Whether nothing but a server was asked for. */
function isAll({ protocol, address, port, state, rule }: FlowFilter): boolean {
  return [protocol, address, port, state, rule].every((value) => value === undefined);
}

interface KillDialogProps {
  readonly flow: Flow | undefined;
  readonly onClose: () => void;
}

function KillDialog({ flow, onClose }: KillDialogProps): ReactNode {
  const client = useQueryClient();
  const kill = async ({ id }: Flow): Promise<void> => {
    try {
      await killFlow(id);
      notifications.show({ color: 'teal', title: 'The flow was killed', message: ends(flow) });
    } catch (error) {
      if (asProblem(error).kind !== 'not-found') throw error;
      notifications.show({ color: 'gray', title: 'The flow had ended already', message: '' });
    }
    await client.invalidateQueries({ queryKey: flowsKey });
  };
  return (
    <ConfirmDialog
      title="Kill this flow?"
      action="Kill the flow"
      dangerous
      opened={flow !== undefined}
      onClose={onClose}
      onConfirm={async () => {
        if (flow !== undefined) await kill(flow);
      }}
    >
      <Text className="mono" fw={600}>
        {ends(flow)}
      </Text>
      <Text size="sm" mt="xs">
        Its next packet is judged as one that opens a flow, which no TCP segment in the middle of a
        connection can be (unless tcp.loose is set): its ends wait until they give up. What the
        rules allow can be opened anew; to forbid it for good, change the rules.
      </Text>
    </ConfirmDialog>
  );
}

function ends(flow: Flow | undefined): string {
  if (flow === undefined) return '';
  return `${flow.protocol.toUpperCase()} ${sourceText(flow)} → ${destinationText(flow)}`;
}
