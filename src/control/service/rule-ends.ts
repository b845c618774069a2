/**
 * Reports rules that have expired, and rules that count again because the clock was set back: in the log, in the audit log
 * and in the history of their templates.
 *
 * The audit log is the memory: at the start it says which ends were reported already. So an end that came while no firewall
 * ran is reported by the next one, and once.
 */
import type { Logger } from 'pino';
import type { CompiledPolicy, RulePlace } from '../../policy/compile.ts';
import { hasExpired } from '../../policy/resolve.ts';
import { formatRule } from '../../policy/rule-notation.ts';
import type { Actor, AuditLog } from '../store/store.ts';

export interface ReportEnds {
  readonly log: Pick<Logger, 'info' | 'warn'>;
  readonly audit: Pick<AuditLog, 'append' | 'query'>;
  /** Puts it into the history of a template. Never throws. */
  readonly mark: (template: string, actor: Actor, action: 'expire' | 'revive') => Promise<void>;
}

const clock: Actor = { name: 'clock', via: 'system' };
const auditAction = 'rule.expire';
const words = { expire: 'rule has expired', revive: 'rule counts again: the clock was set back' };

/** More ends than these are not remembered. */
const remembered = 1000;

/** @param places as they were before: rules that have expired, or are live again because the clock was set back */
export async function reportEnds(places: readonly RulePlace[], report: ReportEnds): Promise<void> {
  const { log, audit, mark } = report;
  const marked = new Set<string>();
  for (const place of places) {
    const { template, direction, position, live } = place;
    const action = live ? 'expire' : 'revive';
    log.info({ template, direction, position, rule: textOf(place) }, words[action]);
    await audit.append({
      actor: clock,
      action: auditAction,
      result: 'ok',
      target: [template],
      summary: `${direction}[${position}] ${textOf(place)}: ${words[action]}`,
    });
    const key = `${action} ${template}`;
    if (!marked.has(key)) await mark(template, clock, action);
    marked.add(key);
  }
}

/** At the start: what has come since a firewall reported last. */
export async function reportMissedEnds(
  { expiring }: CompiledPolicy,
  nowMs: number,
  report: ReportEnds,
): Promise<void> {
  const ending = expiring.filter(({ rule }) => rule.enabled !== false);
  if (ending.length === 0) return;
  const { records } = await report.audit.query({ action: auditAction, limit: remembered });
  const missed = ending.flatMap((place): RulePlace[] => {
    const start = `${textOf(place)}: `;
    // Positions do not count: rules above it may have gone since.
    const last = records.find(
      ({ target, summary = '' }) =>
        target?.[0] === place.template &&
        summary.startsWith(`${place.direction}[`) &&
        summary.slice(summary.indexOf(' ') + 1).startsWith(start),
    );
    const reported = last?.summary?.endsWith(words.expire) === true;
    return reported === hasExpired(place.rule, nowMs) ? [] : [{ ...place, live: !reported }];
  });
  await reportEnds(missed, report);
}

function textOf({ direction, rule }: RulePlace): string {
  return formatRule(direction, rule);
}
