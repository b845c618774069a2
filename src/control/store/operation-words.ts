/** Operations as text for the audit log, with the requested values, valid or not. */
import { directions } from '../../text/rule-text.ts';
import { counted } from '../../text/numbers.ts';
import { shortened } from '../../policy/problem.ts';
import type { Operation } from './store.ts';

export function operationWords(operation: Operation): string {
  switch (operation.kind) {
    case 'create-template':
      return `create template ${operation.name}${withRules(operation.body)}`;
    case 'replace-template':
      return `replace template ${operation.name}${withRules(operation.body)}`;
    case 'clone-template':
      return `copy template ${operation.name} to ${operation.to}`;
    case 'rename-template':
      return `rename template ${operation.name} to ${operation.to}`;
    case 'destroy-template':
      return `destroy template ${operation.name}${operation.force === true ? ', assigned or not' : ''}`;
    case 'restore-template':
      return `roll template ${operation.name} back to version ${operation.version}`;
    case 'add-rule':
      return `add to template ${operation.template} an ${operation.direction} rule: ${fields(operation.rule)}`;
    case 'replace-rule':
      return `replace ${placeOf(operation)}: ${fields(operation.rule)}`;
    case 'remove-rule':
      return `remove ${placeOf(operation)}`;
    case 'move-rule':
      return `move ${placeOf(operation)} to place ${operation.to + 1}`;
    case 'create-server':
      return `create server ${operation.name}: ${fields(operation.body)}`;
    case 'replace-server':
      return `change server ${operation.name}: ${fields(operation.body)}`;
    case 'rename-server':
      return `rename server ${operation.name} to ${operation.to}`;
    case 'destroy-server':
      return `destroy server ${operation.name}${operation.force === true ? ', named or not' : ''}`;
    case 'create-set':
      return `create set ${operation.name}${withList(operation)}`;
    case 'replace-set':
      return `replace set ${operation.name}${withList(operation)}`;
    case 'clone-set':
      return `copy set ${operation.name} to ${operation.to}`;
    case 'rename-set':
      return `rename set ${operation.name} to ${operation.to}`;
    case 'destroy-set':
      return `destroy set ${operation.name}${operation.force === true ? ', named or not' : ''}`;
    case 'restore-set':
      return `roll set ${operation.name} back to version ${operation.version}`;
    case 'change-addresses':
      return `change set ${operation.set}: ${addressWords(operation)}`;
    case 'restore-policy':
      return `roll the policy back to revision ${operation.number}`;
    case 'replace-policy':
      return `put ${counted(Object.keys(operation.files).length, 'file')} in the place of the policy`;
    case 'assign':
      return `assign ${list(operation.templates)} to ${list(operation.servers)}`;
    case 'unassign':
      return `remove ${list(operation.templates)} from ${list(operation.servers)}`;
  }
}

type RulePlace = Extract<Operation, { template: string; index: number }>;

function placeOf({ template, direction, index }: Omit<RulePlace, 'kind'>): string {
  return `${direction} rule ${index + 1} of template ${template}`;
}

/** A set's body; of its list, which may have a million lines, only the length. */
function withList({ body, list: text }: { body: unknown; list?: string }): string {
  const lines = text === undefined ? '' : `, with a list of ${text.split('\n').length} lines`;
  return `: ${shortened(fields(body), 1000)}${lines}`;
}

function addressWords({
  add = [],
  remove = [],
}: {
  add?: readonly string[];
  remove?: readonly string[];
}): string {
  const words = (verb: string, addresses: readonly string[]): string[] =>
    addresses.length === 0 ? [] : [`${verb} ${shortened(list(addresses), 1000)}`];
  return [...words('add', add), ...words('remove', remove)].join('; ');
}

const list = (names: readonly string[]): string => names.join(', ');

/** A template's rules. A body is unvalidated input: it may be anything. */
function withRules(body: unknown): string {
  if (typeof body !== 'object' || body === null) return `: ${valueWords(body)}`;
  const rules = directions.flatMap((direction) => {
    const written = (body as Record<string, unknown>)[direction];
    return Array.isArray(written) ? written.map((rule) => `${direction} ${fields(rule)}`) : [];
  });
  return rules.length === 0 ? ' without rules' : `: ${rules.join('; ')}`;
}

/** `protocol tcp, ports 80 443` */
function fields(body: unknown): string {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return valueWords(body);
  return Object.entries(body)
    .map(([name, value]) => `${name} ${valueWords(value)}`)
    .join(', ');
}

function valueWords(value: unknown): string {
  if (typeof value === 'string') return value;
  if (Array.isArray(value)) return value.map(valueWords).join(' ');
  return value === undefined ? 'nothing' : JSON.stringify(value);
}
