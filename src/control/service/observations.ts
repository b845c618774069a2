/**
 * Tells when servers begin to observe, and when they end: in the log, and in the audit log what nobody has done.
 *
 * The audit log is the memory: at the start it says which ends were reported already. So an end that came while no firewall
 * ran is reported by the next one, and once.
 */
import type { Logger } from 'pino';
import type { CompiledPolicy } from '../../policy/compile.ts';
import { momentText } from '../../text/moment.ts';
import type { Observation } from '../../policy/observe.ts';
import type { Actor, AuditLog } from '../store/store.ts';

export interface ReportObservations {
  readonly log: Pick<Logger, 'info' | 'warn'>;
  readonly audit: Pick<AuditLog, 'append' | 'query'>;
}

const clock: Actor = { name: 'clock', via: 'system' };
const auditAction = 'server.observe-end';

/** More ends than these are not remembered. */
const remembered = 1000;

/** What is observed now, and was not by the policy before; and the other way round. */
export async function reportObservations(
  before: CompiledPolicy | undefined,
  now: CompiledPolicy,
  report: ReportObservations,
): Promise<void> {
  const had = liveOf(before);
  const has = liveOf(now);
  for (const [key, { server, untilMs }] of has) {
    if (had.has(key)) continue;
    report.log.warn(
      { server, until: momentText(untilMs) },
      'server observes: what no rule allows passes, and is listed as would-drop',
    );
  }
  for (const [key, { server }] of had) {
    if (has.has(key)) continue;
    if ([...has.values()].some((each) => each.server === server)) continue;
    const observation = now.observations.find((each) => keyOf(each) === key);
    // Somebody has changed it: that is in the audit log.
    if (observation === undefined) report.log.info({ server }, 'server enforces its rules again');
    else await reportEnd(observation, report);
  }
}

/** At the start: ends that have come since a firewall reported last. */
export async function reportMissedObservations(
  { observations }: CompiledPolicy,
  report: ReportObservations,
): Promise<void> {
  const ended = observations.filter(({ live }) => !live);
  if (ended.length === 0) return;
  const { records } = await report.audit.query({ action: auditAction, limit: remembered });
  for (const observation of ended) {
    const summary = summaryOf(observation);
    const isKnown = records.some(
      (record) => record.target?.[0] === observation.server && record.summary === summary,
    );
    if (!isKnown) await reportEnd(observation, report);
  }
}

async function reportEnd(
  observation: Observation,
  { log, audit }: ReportObservations,
): Promise<void> {
  const { server, untilMs } = observation;
  const summary = summaryOf(observation);
  log.info(
    { server, until: momentText(untilMs) },
    'observing has ended: server enforces its rules',
  );
  await audit.append({
    actor: clock,
    action: auditAction,
    result: 'ok',
    target: [server],
    summary,
  });
}

function summaryOf({ untilMs }: Observation): string {
  return `observing has ended at ${momentText(untilMs)}: the server enforces its rules`;
}

function liveOf(policy: CompiledPolicy | undefined): Map<string, Observation> {
  const live = (policy?.observations ?? []).filter((each) => each.live);
  return new Map(live.map((each) => [keyOf(each), each]));
}

function keyOf({ server, untilMs }: Observation): string {
  return `${untilMs} ${server}`;
}
