/**
 * Sources or destinations as chips. A group (`set:office`, `label:role=web`) tells which servers and addresses it means at this
 * moment when one points at it or moves the focus to it. Any IPv4 looks like what it is: the whole Internet.
 */
import { Text, Tooltip } from '@mantine/core';
import { useState } from 'react';
import type { ReactNode } from 'react';
import { asProblem } from '../data/api-problem.ts';
import { useMeaning } from '../data/queries.ts';
import type { Meaning } from '../data/types.ts';
import { count } from './format.ts';
import './peers.css';

/** So many lines fit beside a chip. */
const mostLines = 12;

export const isGroup = (peer: string): boolean => /^(server|template|set|label):/i.test(peer);

export interface PeersProps {
  /** Absent: any. */
  readonly peers: readonly string[] | undefined;
  readonly except?: readonly string[] | undefined;
}

export function Peers({ peers, except = [] }: PeersProps): ReactNode {
  return (
    <span className="peers">
      {peers === undefined ? (
        <AnyChip />
      ) : (
        peers.map((peer) =>
          /^(any|0\.0\.0\.0\/0)$/i.test(peer) ? (
            <AnyChip key={peer} />
          ) : (
            <PeerChip key={peer} peer={peer} />
          ),
        )
      )}
      {except.length > 0 && (
        <Text span size="xs" c="dimmed">
          except
        </Text>
      )}
      {except.map((peer) => (
        <PeerChip key={peer} peer={peer} />
      ))}
    </span>
  );
}

function AnyChip(): ReactNode {
  return (
    <span className="chip chip-open" title="The whole Internet">
      any IPv4
    </span>
  );
}

export function PeerChip({ peer }: { readonly peer: string }): ReactNode {
  return isGroup(peer) ? <GroupChip peer={peer} /> : <span className="chip mono">{peer}</span>;
}

function GroupChip({ peer }: { readonly peer: string }): ReactNode {
  const [isOpen, setOpen] = useState(false);
  const open = (): void => setOpen(true);
  const close = (): void => setOpen(false);
  return (
    <Tooltip
      label={<GroupMeaning peer={peer} />}
      opened={isOpen}
      multiline
      maw={320}
      withArrow
      position="bottom-start"
    >
      <button
        type="button"
        className="chip chip-group mono"
        onMouseEnter={open}
        onMouseLeave={close}
        onFocus={open}
        onBlur={close}
        onClick={open}
        onKeyDown={({ key }) => {
          if (key === 'Escape') close();
        }}
      >
        {peer}
      </button>
    </Tooltip>
  );
}

function GroupMeaning({ peer }: { readonly peer: string }): ReactNode {
  const { data, error } = useMeaning([peer]);
  if (error !== null) return asProblem(error).errors[0]?.message ?? asProblem(error).message;
  if (data === undefined) return 'Loading';
  const lines = linesOf(data);
  return (
    <>
      <b>{headOf(peer, data)}</b>
      {lines.slice(0, mostLines).map((line) => (
        <div key={line} className="mono">
          {line}
        </div>
      ))}
      {lines.length > mostLines && <div>and more</div>}
    </>
  );
}

function headOf(peer: string, { serverCount, addressCount }: Meaning): string {
  const addresses = count(addressCount, 'address', 'addresses');
  return peer.startsWith('set:') ? addresses : `${count(serverCount, 'server')}, ${addresses}`;
}

/** `web-1: 10.0.0.2`, a server a line; of a set a range a line. */
function linesOf({ resolved }: Meaning): readonly string[] {
  return resolved.flatMap(({ server, ranges, more }) => {
    const rest = more === undefined ? [] : [`and ${count(more, 'range')} more`];
    if (server === undefined) return [...ranges, ...rest];
    return `${server}: ${[...ranges, ...rest].join(', ')}`;
  });
}
