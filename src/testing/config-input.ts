/**
 * A configuration as objects: what the files of a configuration directory say, with the same keys and values. It is written down as
 * those files and read like them, so there is one validator with one set of messages.
 */
import { stringify } from 'yaml';
import type { ConfigFiles, RawFile } from '../control/store/config-texts.ts';
import { formatProblem } from '../policy/problem.ts';
import type { Problem, RuleProtocol } from '../policy/types.ts';
import { namePattern, nameWords } from '../policy/validate.ts';

/** One value may stand for a list of one. */
type OneOrMore<T> = T | readonly T[];

interface AnyRuleInput {
  readonly protocol: RuleProtocol;
  /** Ports, and ranges like `8000-8100`. Default: all. */
  readonly ports?: OneOrMore<number | string>;
  /** Taken away from the addresses. */
  readonly except?: OneOrMore<string>;
  readonly enabled?: boolean;
  /** RFC 3339, by the clock of the test. */
  readonly expires?: string;
  /** Nothing is logged in a test. */
  readonly log?: boolean;
  readonly comment?: string;
}

/** A rule of docs/configure.md. A peer is an address, a block, a range, `any`, or a group like `set:office`. */
export interface InboundRuleInput extends AnyRuleInput {
  readonly sources?: OneOrMore<string>;
}

export interface OutboundRuleInput extends AnyRuleInput {
  readonly destinations?: OneOrMore<string>;
}

/** `templates/NAME.yaml` */
export interface TemplateInput {
  readonly description?: string;
  readonly appliesTo?: OneOrMore<string>;
  readonly inbound?: readonly InboundRuleInput[];
  readonly outbound?: readonly OutboundRuleInput[];
}

/** A server of `servers.yaml`. */
export interface ServerInput {
  readonly name: string;
  readonly addresses: OneOrMore<string>;
  readonly templates?: OneOrMore<string>;
  readonly region?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly reject?: { readonly inbound?: boolean; readonly outbound?: boolean };
  /** `observe`: what no rule allows passes until the moment `until`, at most 14 days ahead. Default: `enforce`. */
  readonly mode?: 'enforce' | 'observe';
  readonly until?: string;
}

/** `sets/NAME.yaml` */
export interface SetInput {
  readonly description?: string;
  readonly addresses?: OneOrMore<string>;
  readonly except?: OneOrMore<string>;
  readonly include?: OneOrMore<string>;
}

/** Those keys of `gateway.yaml` that a verdict depends on; others may be there, too. */
export interface GatewayInput {
  readonly flows?: {
    readonly capacity?: number;
    readonly perServerShare?: number;
    readonly [key: string]: unknown;
  };
  readonly fragments?: { readonly memory?: number | string };
  /** In seconds. */
  readonly timeouts?: Readonly<Record<string, number>>;
  readonly tcp?: { readonly loose?: boolean; readonly liberal?: boolean };
  readonly reject?: {
    readonly inbound?: boolean;
    readonly outbound?: boolean;
    readonly perSecond?: number;
    readonly perSourcePerSecond?: number;
  };
  /** What a policy change does to flows that it forbids; `drain` in seconds. */
  readonly reload?: 'cut' | 'keep' | { readonly drain: number };
  readonly [key: string]: unknown;
}

export interface FirewallConfig {
  /** By name. */
  readonly templates?: Readonly<Record<string, TemplateInput>>;
  readonly servers?: readonly ServerInput[];
  /** By name. */
  readonly sets?: Readonly<Record<string, SetInput>>;
  readonly gateway?: GatewayInput;
}

/** The configuration has errors; the message has all of them, a line each. */
export class FirewallConfigError extends Error {
  override name = 'FirewallConfigError';
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    super(problems.map(formatProblem).join('\n'));
    this.problems = problems;
  }
}

/** The files, with those that `config` says something about in place of what was there. */
export function filesWith(config: FirewallConfig, before?: ConfigFiles): ConfigFiles {
  const { templates, servers, sets, gateway } = config;
  return {
    gateway: gateway === undefined ? before?.gateway : fileOf('gateway.yaml', gateway),
    servers:
      servers === undefined && before !== undefined
        ? before.servers
        : fileOf('servers.yaml', { servers: servers ?? [] }),
    templates: templates === undefined ? before?.templates : folderOf('templates', templates),
    sets: sets === undefined ? before?.sets : folderOf('sets', sets),
  };
}

function folderOf(folder: string, content: Readonly<Record<string, object>>): RawFile[] {
  const wrong = Object.keys(content).filter((name) => !namePattern.test(name));
  if (wrong.length > 0) {
    throw new FirewallConfigError(
      wrong.map((name) => ({
        severity: 'error',
        file: folder,
        line: 0,
        column: 0,
        path: name,
        message: `expected ${nameWords}`,
      })),
    );
  }
  return Object.entries(content).map(([name, value]) => fileOf(`${folder}/${name}.yaml`, value));
}

function fileOf(name: string, value: object): RawFile {
  const text = stringify(value, { aliasDuplicateObjects: false, lineWidth: 0 });
  return { name, text, problem: undefined };
}
