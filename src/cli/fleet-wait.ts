/** Waits until every gateway that runs has a change in force. */
import { setTimeout as sleep } from 'node:timers/promises';
import { line } from '../text/line.ts';
import { counted } from '../text/numbers.ts';
import type { ApiClient } from './api-client.ts';
import type { FleetView } from './api-types.ts';
import { ExitCode } from './errors.ts';
import type { Output } from './output.ts';

const pollMs = 200;

/**
 * What is said goes to stderr: stdout has the answer to the change.
 *
 * @returns the exit code
 */
export async function waitForFleet(
  client: ApiClient,
  seconds: number,
  output: Output,
): Promise<number> {
  const { lastChange: change } = client;
  if (change === undefined) return ExitCode.ok;
  const untilMs = performance.now() + seconds * 1000;
  for (;;) {
    const { gateways, problem } = await client.get<FleetView>('/gateways');
    const running = gateways.filter(({ state }) => state !== 'stopped');
    const lacking = running.filter(({ revision = 0 }) => revision < change);
    if (problem === undefined && lacking.length === 0) {
      output.error(`change ${change} is in force at ${counted(running.length, 'gateway')}`);
      return ExitCode.ok;
    }
    const refused = lacking.filter(({ state, seen = 0 }) => state === 'refuses' && seen >= change);
    if (performance.now() > untilMs || refused.length > 0) {
      for (const { name, problem: why = '' } of refused) {
        output.error(line`${output.style('red', name)} refuses it: ${why}`);
      }
      const names = lacking.map(({ name }) => name).join(', ');
      const where = problem ?? `${counted(lacking.length, 'gateway')}, ${names}`;
      output.error(
        line`change ${change} is stored, and ${output.style('red', 'not in force everywhere')}: ${where}`,
      );
      return ExitCode.pending;
    }
    await sleep(pollMs);
  }
}
