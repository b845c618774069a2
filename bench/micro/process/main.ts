/**
 * One measurement in a process of its own: `node main.js '{"case":"parse","naive":false,…}'`, which prints its figures as JSON.
 *
 * A process each, because what V8 has compiled for one case would be part of the next one's measurement: types seen, functions
 * inlined, memory laid out. The compiler's flags are those of a packet thread.
 */
import { setCompilerFlags } from '../../../src/dataplane/worker/compiler-flags.ts';
import { measureAdopt } from './adopt.ts';
import { measureCompile } from './compile.ts';
import { measureDrop } from './drop.ts';
import { measureFlowLife } from './flow-life.ts';
import type { FlowLifeOptions } from './flow-life.ts';
import { measureHit } from './hit.ts';
import { measureMatch } from './match.ts';
import type { MatchOptions } from './match.ts';
import type { HitOptions } from './hit.ts';
import { measureMemory } from './memory.ts';
import type { Duration } from './meter.ts';
import { measureParse } from './parse.ts';

/** What is measured, of tunwall or of its naive twin. */
export type Measurement = { readonly naive: boolean; readonly duration: Duration } & (
  | { readonly case: 'parse' | 'drop' }
  | ({ readonly case: 'hit' } & HitOptions)
  | ({ readonly case: 'match' } & MatchOptions)
  | ({ readonly case: 'flow-life' } & FlowLifeOptions)
  | { readonly case: 'compile'; readonly rules: number }
  | { readonly case: 'memory' | 'adopt'; readonly flows: number }
);

function measure(measurement: Measurement): object | Promise<object> {
  const { naive, duration } = measurement;
  switch (measurement.case) {
    case 'parse':
      return measureParse(naive, duration);
    case 'drop':
      return measureDrop(naive, duration);
    case 'hit':
      return measureHit(naive, measurement, duration);
    case 'flow-life':
      return measureFlowLife(naive, measurement, duration);
    case 'match':
      return measureMatch(measurement, duration);
    case 'compile':
      return measureCompile(measurement.rules);
    case 'memory':
      return measureMemory(naive, measurement.flows);
    case 'adopt':
      return measureAdopt(measurement.flows);
  }
}

const asked = JSON.parse(process.argv[2]!) as Measurement;
// Packet threads set them when they begin, which is after flows were taken over.
if (asked.case !== 'adopt') setCompilerFlags();
console.log(JSON.stringify(await measure(asked)));
