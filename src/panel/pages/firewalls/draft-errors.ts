/**
 * What the API says is wrong with a draft, at the fields that it is about: `inbound[2].ports[0]` is an error of the ports of
 * the rule that was third when the draft was sent, wherever that rule is by now.
 */
import type { ApiProblem } from '../../data/api-problem.ts';
import { locate } from '../../data/changes.ts';
import type { FieldError } from '../../data/types.ts';
import type { RuleDirection } from '../../../text/rule-text.ts';
import { unchosen } from './draft.ts';
import type { Draft } from './draft.ts';

export type RuleField = 'protocol' | 'ports' | 'peers' | 'comment' | 'except' | 'expires' | 'rule';

export interface DraftErrors {
  readonly name: readonly string[];
  readonly description: readonly string[];
  readonly appliesTo: readonly string[];
  /** By the key of the rule and the field. */
  readonly rules: ReadonlyMap<string, readonly string[]>;
  /** Of no field that there is. */
  readonly others: readonly FieldError[];
}

export const noErrors: DraftErrors = {
  ...{ name: [], description: [], appliesTo: [], rules: new Map(), others: [] },
};

const fields: Readonly<Record<string, RuleField>> = {
  protocol: 'protocol',
  ports: 'ports',
  sources: 'peers',
  destinations: 'peers',
  comment: 'comment',
  except: 'except',
  expires: 'expires',
};

export const fieldKey = (rule: number, field: RuleField): string => `${rule} ${field}`;

export function hasErrors(errors: DraftErrors): boolean {
  const { name, description, appliesTo, rules, others } = errors;
  return name.length + description.length + appliesTo.length + rules.size + others.length > 0;
}

const choices = {
  ports: 'choose ports: 443, 8000-8100, or ALL',
  peers: 'choose addresses or groups, or any',
} as const;

/** With what was not chosen yet, as errors. */
export function withUnchosen(errors: DraftErrors, draft: Draft): DraftErrors {
  const rules = new Map(errors.rules);
  for (const rule of [...draft.inbound, ...draft.outbound]) {
    for (const field of unchosen(rule)) rules.set(fieldKey(rule.key, field), [choices[field]]);
  }
  return rules.size === errors.rules.size ? errors : { ...errors, rules };
}

/** Keys of rules with errors. */
export function wrongRules({ rules }: DraftErrors): ReadonlySet<number> {
  return new Set([...rules.keys()].map((key) => Number.parseInt(key, 10)));
}

/** @param sent the draft that the problem is about @param errors those of its errors that are of no other field */
export function errorsOf(
  problem: ApiProblem,
  sent: Draft,
  errors: readonly FieldError[] = problem.errors,
): DraftErrors {
  const name: string[] = problem.kind === 'exists' ? [problem.message] : [];
  const description: string[] = [];
  const appliesTo: string[] = [];
  const rules = new Map<string, string[]>();
  const others: FieldError[] = [];
  for (const error of errors) {
    const { operation = 0, path = error.path } = locate(error) ?? {};
    const field = ruleFieldOf(path, sent);
    // The first operation is the firewall's.
    if (error.file !== undefined || operation > 0) others.push(error);
    else if (path === 'name') name.push(error.message);
    else if (path === 'description') description.push(error.message);
    else if (path.startsWith('appliesTo')) appliesTo.push(error.message);
    else if (field === undefined) others.push({ ...error, path });
    else rules.set(field, [...(rules.get(field) ?? []), error.message]);
  }
  return { name, description, appliesTo, rules, others };
}

function ruleFieldOf(path: string, sent: Draft): string | undefined {
  const found = /^(inbound|outbound)\[(\d+)\](?:\.(\w+))?/.exec(path);
  if (found === null) return undefined;
  const rule = sent[found[1] as RuleDirection][Number(found[2])];
  return rule === undefined ? undefined : fieldKey(rule.key, fields[found[3] ?? ''] ?? 'rule');
}
