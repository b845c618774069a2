/** Rules between the command line's notation (`TCP: 443`, `--from 10.0.0.0/8`) and the API's JSON. */
import { InvalidArgumentError } from 'commander';
import { parseRuleNotation } from '../policy/rule-notation.ts';
import type { RuleTraffic } from '../policy/rule-notation.ts';
import { ruleBody } from '../policy/template-body.ts';
import type { RuleView } from './api-types.ts';
import type { Output } from './output.ts';
import { durationWords, formatDuration, parseDuration } from '../text/duration.ts';
import { line } from '../text/line.ts';
import { lifeText, peersKey, peersText, trafficText } from '../text/rule-text.ts';
import type { RuleDirection } from '../text/rule-text.ts';
import { formatTable } from '../text/table.ts';

export interface RuleFlags {
  readonly from?: readonly string[];
  readonly to?: readonly string[];
  readonly except?: readonly string[];
  readonly until?: string;
  /** Seconds. */
  readonly for?: number;
  readonly off?: boolean;
  readonly log?: boolean;
  readonly comment?: string;
}

/** For commander: parses the notation. */
export function parseNotation(text: string): RuleTraffic {
  const parsed = parseRuleNotation(text);
  if ('message' in parsed) throw new InvalidArgumentError(`${parsed.message}.`);
  return parsed.value;
}

/** Addresses are checked by the API with the rest of the rule, so that all errors are reported at once. */
export function writtenRule(
  direction: RuleDirection,
  traffic: RuleTraffic,
  flags: RuleFlags,
): RuleView {
  const peers = direction === 'inbound' ? flags.from : flags.to;
  const expires = flags.for === undefined ? flags.until : momentIn(flags.for);
  return {
    ...ruleBody(traffic, direction),
    ...(peers && { [peersKey(direction)]: peers }),
    ...(flags.except && { except: flags.except }),
    ...(flags.off === true && { enabled: false }),
    ...(expires !== undefined && { expires }),
    ...(flags.log === true && { log: true }),
    ...(flags.comment !== undefined && { comment: flags.comment }),
  };
}

/** For commander: `2h`, as seconds. */
export function parseLength(text: string): number {
  const seconds = parseDuration(text);
  if (seconds === undefined) throw new InvalidArgumentError(`expected ${durationWords}.`);
  return seconds;
}

/** As files write it, in whole seconds. */
export function momentIn(seconds: number): string {
  const moment = new Date(Math.ceil(Date.now() / 1000 + seconds) * 1000);
  return moment.toISOString().replace('.000Z', 'Z');
}

function agoText(moment: string | undefined): string {
  if (moment === undefined) return '-';
  return `${formatDuration(Math.max(0, (Date.now() - Date.parse(moment)) / 1000))} ago`;
}

/** Rules under a heading, numbered as the verbs expect. */
export function printRules<R extends RuleView>(
  output: Output,
  direction: RuleDirection,
  rules: readonly R[],
  columns: readonly (readonly [heading: string, cell: (rule: R, index: number) => string])[] = [
    ['#', (_, index) => String(index)],
  ],
): void {
  output.print('');
  if (rules.length === 0) {
    output.print(line`${output.style('bold', direction)}: no rules, everything is dropped`);
    return;
  }
  output.print(output.style('bold', direction));
  const counted = rules.some(({ hits }) => hits !== undefined);
  const temporary = rules.some((rule) => lifeText(rule) !== '');
  const logged = rules.some(({ log }) => log === true);
  const commented = rules.some(({ comment }) => comment !== undefined);
  const all = [
    ...columns,
    ['rule', trafficText] as const,
    [direction === 'inbound' ? 'from' : 'to', peersText] as const,
    ...(temporary ? [['in force', lifeText] as const] : []),
    ...(counted
      ? [
          ['hits', ({ hits }: R) => String(hits ?? '-')] as const,
          ['last hit', ({ lastHit }: R) => agoText(lastHit)] as const,
        ]
      : []),
    ...(logged ? [['log', ({ log }: R) => (log === true ? 'yes' : '')] as const] : []),
    ...(commented ? [['comment', ({ comment = '' }: R) => comment] as const] : []),
  ];
  const rows = rules.map((rule, index) => all.map(([, cell]) => cell(rule, index)));
  output.print(
    formatTable(
      all.map(([heading]) => heading),
      rows,
    ).map((row) => line`  ${row}`),
  );
}
