/** Reports rules that have expired, in the log and in the audit log. */
import type { Logger } from 'pino';
import type { RulePlace } from '../../policy/compile.ts';
import { formatRule } from '../../policy/rule-notation.ts';
import type { AuditLog } from '../store/store.ts';

/** @param places as they were before: rules that have expired, or are live again because the clock was set back */
export async function reportTime(
  places: readonly RulePlace[],
  log: Pick<Logger, 'info'>,
  audit: Pick<AuditLog, 'append'>,
): Promise<void> {
  for (const { template, direction, position, rule, live } of places) {
    const what = live ? 'rule has expired' : 'rule counts again: the clock was set back';
    const text = formatRule(direction, rule);
    log.info({ template, direction, position, rule: text }, what);
    await audit.append({
      actor: { name: 'clock', via: 'system' },
      action: 'rule.expire',
      result: 'ok',
      target: [template],
      summary: `${direction}[${position}] ${text}: ${what}`,
    });
  }
}
