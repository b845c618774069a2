/**
 * Which templates each server has, and which servers each template: those that the server names, and those that apply to its
 * labels, with the selector as the reason. Found once for the same servers and `appliesTo`.
 */
import { Resolver } from '../../policy/resolve.ts';
import type { Server, Template } from '../../policy/types.ts';
import type { Snapshot } from '../store/store.ts';

/** A template of a server that does not name it. */
export interface AppliedTemplate {
  readonly template: string;
  /** Of the template's `appliesTo`: the first that matches. */
  readonly selector: string;
}

/** The same, seen from the template. */
export interface AppliedServer {
  readonly server: string;
  readonly selector: string;
}

interface Assigned {
  /** Servers that name a template, by its name. */
  readonly servers: ReadonlyMap<string, readonly string[]>;
  readonly appliedServers: ReadonlyMap<string, readonly AppliedServer[]>;
  readonly appliedTemplates: ReadonlyMap<string, readonly AppliedTemplate[]>;
}

interface Known {
  /** All that the assignment depends on beside the servers. */
  readonly applying: readonly Template[];
  readonly assigned: Assigned;
}

/** A change of a rule changes none of it, and there may be very many servers. */
const known = new WeakMap<readonly Server[], Known>();

export function assignedIn(snapshot: Snapshot): Assigned {
  const { servers, templates } = snapshot;
  const applying = templates.filter(({ appliesTo }) => appliesTo !== undefined);
  const last = known.get(servers);
  const isSame =
    last?.applying.length === applying.length &&
    applying.every((each, index) => each === last.applying[index]);
  if (isSame) return last.assigned;
  const assigned = assign(snapshot);
  known.set(servers, { applying, assigned });
  return assigned;
}

function assign(snapshot: Snapshot): Assigned {
  const servers = new Map<string, string[]>();
  const appliedServers = new Map<string, AppliedServer[]>();
  const appliedTemplates = new Map<string, AppliedTemplate[]>();
  // No rule is asked for, so the moment does not matter.
  const resolver = new Resolver(snapshot, 0);
  snapshot.servers.forEach(({ name: server }, index) => {
    for (const { template, selector } of resolver.assignmentsOf(index)) {
      if (selector === undefined) {
        append(servers, template, server);
      } else {
        append(appliedServers, template, { server, selector: selector.text });
        append(appliedTemplates, server, { template, selector: selector.text });
      }
    }
  });
  return { servers, appliedServers, appliedTemplates };
}

function append<T>(lists: Map<string, T[]>, key: string, value: T): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [value]);
  else list.push(value);
}
