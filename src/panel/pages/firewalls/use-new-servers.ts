/** The rows of servers that are to come with a new firewall, and what is wrong with them. */
import { useState } from 'react';
import type { ApiProblem } from '../../data/api-problem.ts';
import type { Operation } from '../../data/changes.ts';
import { useServers } from '../../data/queries.ts';
import type { FieldError } from '../../data/types.ts';
import { creationOf, meant, nameErrors, serverErrors } from './new-servers.ts';
import type { NewServer, ServerErrors } from './new-servers.ts';

export interface NewServers {
  readonly rows: readonly NewServer[];
  readonly errors: ServerErrors;
  /** What the change was refused for, and is of none of them. */
  readonly others: readonly FieldError[];
  readonly change: (rows: readonly NewServer[]) => void;
  /** What makes them, behind the firewall. Rows in which nothing was typed go. */
  readonly operations: (template: string) => readonly Operation[];
}

/** @param onChange what the change was refused for is of the rows before */
export function useNewServers(refusal: ApiProblem | undefined, onChange: () => void): NewServers {
  const [rows, setRows] = useState<readonly NewServer[]>([]);
  const taken = new Set(useServers().data?.servers.map(({ name }) => name));
  const refused = serverErrors(refusal?.errors ?? [], rows);
  return {
    rows,
    errors: new Map([...refused.rows, ...nameErrors(meant(rows), taken)]),
    others: refused.others,
    change: (changed) => {
      setRows(changed);
      onChange();
    },
    operations: (template) => {
      const servers = meant(rows);
      setRows(servers);
      return servers.map((server) => creationOf(server, template));
    },
  };
}
