/**
 * Which templates each server has, and which servers each template: those that the server names, and those that apply to its
 * labels, with the selector as the reason. Found once for each snapshot.
 */
import { Resolver } from '../../policy/resolve.ts';
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

const known = new WeakMap<Snapshot, Assigned>();

export function assignedIn(snapshot: Snapshot): Assigned {
  let assigned = known.get(snapshot);
  if (assigned === undefined) {
    assigned = assign(snapshot);
    known.set(snapshot, assigned);
  }
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
