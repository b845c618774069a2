/** Operations as text for the audit log, with the requested values, valid or not. */
import { directions } from '../../text/rule-text.ts';
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
    case 'destroy-server':
      return `destroy server ${operation.name}`;
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
