/** Records of changes for the audit log. */
import { operationWords } from './operation-words.ts';
import type { Actor, AuditEvent, Changed, Operation } from './store.ts';
import type { Written } from './versions.ts';

/** @param summary default: the operations in words */
export function changeEvent(
  actor: Actor,
  operations: readonly Operation[],
  result: AuditEvent['result'],
  changed: readonly Changed[],
  summary?: string,
  why?: string,
): AuditEvent {
  const kinds = new Set(operations.map(auditAction));
  return {
    actor,
    action: kinds.size === 1 ? [...kinds][0]! : 'policy.change',
    result,
    target: [...new Set(operations.flatMap(targetsOf))],
    changed,
    summary: summary ?? operations.map(operationWords).join('; '),
    ...(why !== undefined && { why }),
  };
}

/** Of a change that is made. */
export function madeEvent({
  actor,
  operations,
  changed,
  event,
  why,
}: Omit<Written, 'versions'>): AuditEvent {
  return event ?? changeEvent(actor, operations, 'ok', changed, undefined, why);
}

/** Cuts texts and lists to about `size`, and marks what was cut. */
export function cutEvent(event: AuditEvent, size: number): AuditEvent {
  const cut = (text: string, length: number): string =>
    text.length > length ? `${text.slice(0, length)}…` : text;
  const { actor, target, changed, summary, why } = event;
  const names = Math.ceil(size / 64);
  const short = Math.ceil(size / 8);
  return {
    ...event,
    actor: {
      ...actor,
      name: cut(actor.name, short),
      ...(actor.address !== undefined && { address: cut(actor.address, short) }),
      ...(actor.token !== undefined && { token: cut(actor.token, short) }),
    },
    action: cut(event.action, short),
    ...(target !== undefined && { target: firstOf(target, names).map((each) => cut(each, short)) }),
    ...(changed !== undefined && { changed: changed.slice(0, names).map(bounded) }),
    ...(summary !== undefined && { summary: cut(summary, size / 2) }),
    ...(why !== undefined && { why: cut(why, size / 4) }),
  };

  function bounded(each: Changed): Changed {
    return { ...each, name: cut(each.name, short) };
  }
}

function firstOf(names: readonly string[], most: number): readonly string[] {
  const more = names.length - most;
  return more <= 0 ? names : [...names.slice(0, most), `and ${more} more`];
}

/** `template.create`, `template.add-rule`, `server.assign`, `set.change-addresses`. */
function auditAction({ kind }: Operation): string {
  const match = /^(.*)-(template|server|set|policy)$/.exec(kind);
  if (match !== null) return `${match[2]!}.${match[1]!}`;
  if (kind === 'change-addresses') return `set.${kind}`;
  return kind.endsWith('-rule') ? `template.${kind}` : `server.${kind}`;
}

function targetsOf(operation: Operation): readonly string[] {
  if ('servers' in operation) return [...operation.servers, ...operation.templates];
  if ('template' in operation) return [operation.template];
  if (operation.kind === 'restore-policy') return [`revision ${operation.number}`];
  if (operation.kind === 'replace-policy') return [];
  return ['set' in operation ? operation.set : operation.name];
}
