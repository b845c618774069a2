/** Enumerations of the queries for live data. Apart from the schemas, so that the command line need not load those. */
import { flowStateNames } from '../../dataplane/flow/flow-record.ts';
import { DropReason, dropReasonNames } from '../../dataplane/wire/drop-reason.ts';

export const flowStates: readonly string[] = [...new Set(flowStateNames)].filter(
  (name) => name !== 'none',
);
export const dropReasons: readonly string[] = dropReasonNames.filter(
  (_, reason) => reason !== DropReason.none,
);
/** By what drops are grouped; a port is the destination's, with its protocol. */
export const dropFields = ['source', 'destination', 'port', 'reason'] as const;
export type DropField = (typeof dropFields)[number];
