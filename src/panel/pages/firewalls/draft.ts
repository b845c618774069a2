/**
 * A firewall while it is edited: rules as they are typed, each with a key of its own, so that a rule keeps its fields, its focus
 * and its errors while others move. Nothing is judged here: what is typed goes to the API as it is, and its answer
 * says what is wrong.
 */
import type { Operation, RuleBody, TemplateBody } from '../../data/changes.ts';
import type { Rule, Template } from '../../data/types.ts';
import { lifeText, peersKey } from '../../../text/rule-text.ts';
import type { RuleDirection } from '../../../text/rule-text.ts';

export interface RuleDraft extends RuleFields {
  readonly key: number;
  /** What it began with. */
  readonly origin?: Rule;
}

interface RuleFields {
  readonly protocol: Rule['protocol'];
  /** As typed: `80, 443, 8000-8100` or `ALL`; empty: not chosen yet. */
  readonly ports: string;
  /** As typed: addresses, groups or `any`; empty: not chosen yet. */
  readonly peers: string;
  readonly comment: string;
  /** As typed; empty: nothing is taken away. */
  readonly except: string;
  readonly enabled: boolean;
  /** RFC 3339; empty: never. */
  readonly expires: string;
  readonly log: boolean;
}

export interface Draft {
  readonly name: string;
  readonly description: string;
  /** Selectors. */
  readonly appliesTo: readonly string[];
  readonly inbound: readonly RuleDraft[];
  readonly outbound: readonly RuleDraft[];
  /** Those that are to have it. */
  readonly servers: readonly string[];
}

/** The widest choices. They have to be made: nothing is open because a field was left empty. */
export const allPorts = 'ALL';
export const anyPeer = 'any';

/** What has to be chosen before a rule says anything. */
export function unchosen({ protocol, ports, peers }: RuleDraft): readonly ('ports' | 'peers')[] {
  return [
    ...(hasPorts(protocol) && listed(ports).length === 0 ? (['ports'] as const) : []),
    ...(listedPeers(peers).length === 0 ? (['peers'] as const) : []),
  ];
}

/** Without the rules that say nothing yet. */
export function finished(draft: Draft): Draft {
  const isFinished = (rule: RuleDraft): boolean => unchosen(rule).length === 0;
  if (draft.inbound.every(isFinished) && draft.outbound.every(isFinished)) return draft;
  return {
    ...draft,
    inbound: draft.inbound.filter(isFinished),
    outbound: draft.outbound.filter(isFinished),
  };
}

const counter = { last: 0 };
const nextKey = (): number => ++counter.last;

function ruleDraft(rule: Rule): RuleDraft {
  return { key: nextKey(), origin: rule, ...fieldsOf(rule) };
}

function fieldsOf(rule: Rule): RuleFields {
  return {
    protocol: rule.protocol,
    ports: hasPorts(rule.protocol) ? (rule.ports ?? [allPorts]).join(', ') : '',
    peers: (rule.sources ?? rule.destinations ?? [anyPeer]).join(', '),
    comment: rule.comment ?? '',
    except: (rule.except ?? []).join(', '),
    enabled: rule.enabled ?? true,
    expires: rule.expires ?? '',
    log: rule.log ?? false,
  };
}

/** What its row does not show: `except 10.0.0.7; until 2030-01-31T18:00:00Z`; empty: nothing. @param nowMs since 1970 */
export function optionsText({ except, enabled, expires, log }: RuleDraft, nowMs: number): string {
  const taken = listedPeers(except);
  const expired = Date.parse(expires) <= nowMs;
  const life = lifeText({ enabled, ...(expires !== '' && { expires, expired }) });
  return [taken.length === 0 ? '' : `except ${taken.join(', ')}`, life, log ? 'logged' : '']
    .filter((part) => part !== '')
    .join('; ');
}

/** Whether its row shows all of it. */
export function isPlain({ except, enabled, expires, log }: RuleDraft): boolean {
  return enabled && !log && expires === '' && listedPeers(except).length === 0;
}

export const emptyDraft: Draft = {
  ...{ name: '', description: '', appliesTo: [], inbound: [], outbound: [], servers: [] },
};

export function draftOf(
  template: Pick<Template, 'name' | 'description' | 'appliesTo' | RuleDirection> &
    Partial<Pick<Template, 'servers'>>,
): Draft {
  return {
    name: template.name,
    description: template.description ?? '',
    appliesTo: template.appliesTo ?? [],
    inbound: template.inbound.map(ruleDraft),
    outbound: template.outbound.map(ruleDraft),
    servers: template.servers ?? [],
  };
}

/** `10.0.0.1 - 10.0.0.9, any` in parts; blanks part as well as commas do. */
function listed(text: string): string[] {
  return text
    .replaceAll(/\s*-\s*/g, '-')
    .split(/[,;\s]+/)
    .filter((part) => part !== '');
}

/** The same for peers. A selector may have commas and blanks: it ends at a comma before a blank or another peer. */
export function listedPeers(text: string): string[] {
  const chunks = text.split(/;|,(?=\s|\d|any\b|(?:server|template|set|label):)(?![^()]*\))/i);
  return chunks.flatMap((chunk) => (/^\s*label:/i.test(chunk) ? [chunk.trim()] : listed(chunk)));
}

export function isWord(text: string, word: string): boolean {
  return text.trim().toLowerCase() === word.toLowerCase();
}

export const hasPorts = (protocol: Rule['protocol']): boolean =>
  protocol === 'tcp' || protocol === 'udp';

const bodies = new WeakMap<RuleDraft, RuleBody>();

/** Whatever of it was not touched is said as it was: `enabled: true`, or `any`. */
export function ruleOf(direction: RuleDirection, draft: RuleDraft): RuleBody {
  let body = bodies.get(draft);
  if (body === undefined) {
    body = untouched(direction, draft, written(direction, draft));
    bodies.set(draft, body);
  }
  return body;
}

function written(direction: RuleDirection, draft: RuleDraft): RuleBody {
  const ports = listed(draft.ports);
  const peers = listedPeers(draft.peers);
  const except = listedPeers(draft.except);
  const comment = draft.comment.trim();
  return {
    protocol: draft.protocol,
    ...(hasPorts(draft.protocol) &&
      !isWord(draft.ports, allPorts) && {
        ports: ports.map((port) => (/^[1-9]\d{0,9}$/.test(port) ? Number(port) : port)),
      }),
    ...(!isWord(draft.peers, anyPeer) && { [peersKey(direction)]: peers }),
    ...(except.length > 0 && { except }),
    ...(!draft.enabled && { enabled: false }),
    ...(draft.expires !== '' && { expires: draft.expires }),
    ...(draft.log && { log: true }),
    ...(comment !== '' && { comment }),
  };
}

const fields = ['ports', 'peers', 'except', 'enabled', 'expires', 'log', 'comment'] as const;

function untouched(direction: RuleDirection, draft: RuleDraft, body: RuleBody): RuleBody {
  const { origin } = draft;
  if (origin === undefined) return body;
  const before = fieldsOf(origin);
  const kept = fields.flatMap((field): [string, unknown][] => {
    // Of another protocol they may be none.
    const isOther = field === 'ports' && draft.protocol !== before.protocol;
    if (isOther || draft[field] !== before[field]) return [];
    const key = field === 'peers' ? peersKey(direction) : field;
    return [[key, origin[key]]];
  });
  const all = Object.entries<unknown>({ ...body, ...Object.fromEntries(kept) });
  return Object.fromEntries(all.filter(([, value]) => value !== undefined)) as RuleBody;
}

export function bodyOf(draft: Draft): TemplateBody {
  const description = draft.description.trim();
  return {
    ...(description !== '' && { description }),
    ...(draft.appliesTo.length > 0 && { appliesTo: [...draft.appliesTo] }),
    inbound: draft.inbound.map((rule) => ruleOf('inbound', rule)),
    outbound: draft.outbound.map((rule) => ruleOf('outbound', rule)),
  };
}

const savedTexts = new WeakMap<Draft, string>();

/** What would be saved of a draft. Each is asked several times for every key that is pressed. */
function savedText(draft: Draft): string {
  let text = savedTexts.get(draft);
  if (text === undefined) {
    text = JSON.stringify([draft.name, bodyOf(draft), [...draft.servers].sort()]);
    savedTexts.set(draft, text);
  }
  return text;
}

/** Whether two drafts would be saved as the same. */
export function isSame(one: Draft, other: Draft): boolean {
  return savedText(one) === savedText(other);
}

/** What makes a new firewall. */
export function creation(draft: Draft): readonly Operation[] {
  const { name, servers } = draft;
  return [
    { kind: 'create-template', name, body: bodyOf(draft) },
    ...assignment('assign', name, servers),
  ];
}

/** What makes a firewall into the draft, if it is still what the draft began with. */
export function edit(draft: Draft, base: Template): readonly Operation[] {
  const { name, revision, description } = base;
  const isDescribed = description !== undefined && draft.description === description;
  const body = { ...bodyOf(draft), ...(isDescribed && { description }) };
  const joining = draft.servers.filter((each) => !base.servers.includes(each));
  const leaving = base.servers.filter((each) => !draft.servers.includes(each));
  return [
    { kind: 'replace-template', name, body, ifRevision: revision },
    ...assignment('assign', name, joining),
    ...assignment('unassign', name, leaving),
  ];
}

function assignment(
  kind: 'assign' | 'unassign',
  template: string,
  servers: readonly string[],
): readonly Operation[] {
  return servers.length === 0 ? [] : [{ kind, servers, templates: [template] }];
}

export type Action =
  | { readonly kind: 'set'; readonly values: Partial<Omit<Draft, RuleDirection>> }
  | { readonly kind: 'add'; readonly direction: RuleDirection }
  | { readonly kind: 'remove'; readonly direction: RuleDirection; readonly key: number }
  | {
      readonly kind: 'move';
      readonly direction: RuleDirection;
      readonly key: number;
      readonly by: -1 | 1;
    }
  | {
      readonly kind: 'change';
      readonly direction: RuleDirection;
      readonly key: number;
      readonly values: Partial<RuleDraft>;
    }
  | { readonly kind: 'replace'; readonly draft: Draft };

export function reduce(draft: Draft, action: Action): Draft {
  if (action.kind === 'replace') return action.draft;
  if (action.kind === 'set') return { ...draft, ...action.values };
  const { direction } = action;
  return { ...draft, [direction]: changedRules(draft[direction], action) };
}

function changedRules(
  rules: readonly RuleDraft[],
  action: Extract<Action, { readonly direction: RuleDirection }>,
): readonly RuleDraft[] {
  switch (action.kind) {
    case 'add':
      return [
        ...rules,
        {
          ...{ key: nextKey(), protocol: 'tcp', ports: '', peers: '', comment: '' },
          ...{ except: '', enabled: true, expires: '', log: false },
        },
      ];
    case 'remove':
      return rules.filter(({ key }) => key !== action.key);
    case 'change':
      return rules.map((rule) => (rule.key === action.key ? { ...rule, ...action.values } : rule));
    case 'move': {
      const from = rules.findIndex(({ key }) => key === action.key);
      const to = from + action.by;
      if (from < 0 || to < 0 || to >= rules.length) return rules;
      const moved = [...rules];
      moved.splice(to, 0, ...moved.splice(from, 1));
      return moved;
    }
  }
}
