/** What is measured: tunwall and its peers, each running in a rig of its own. */
import type { Context } from '../lib/benchmark.ts';
import type { Network } from '../../src/lab/network.ts';
import type { CpuReading } from './cpu.ts';
import type { Rules } from './policy.ts';

export interface SubjectOptions {
  readonly rules: Rules;
  /** Flows that have to fit in the table. */
  readonly flows?: number;
  /** The limit of what is to be measured is to drop everything, not to forward it. */
  readonly discards?: boolean;
  /** Let it run on the core of the traffic tools as well. */
  readonly bothCores?: boolean;
  /** Whether a user for the panel exists (live-page.ts). */
  readonly logins?: boolean;
  /** Queues of the device; one if absent. */
  readonly queues?: number;
  /** More lines of gateway.yaml, and more templates of the server, by name. */
  readonly settings?: string;
  readonly templates?: Readonly<Record<string, string>>;
  /** What has to be there before it is started on its configuration directory. */
  readonly beforeRun?: (lab: Network, config: string) => Promise<void>;
  /** Let the kernel carry established flows. */
  readonly fastPath?: boolean;
  /** What is run instead of dist/main.js. */
  readonly program?: string;
  /** Have the collector tell what it does. */
  readonly traceGc?: boolean;
}

export interface Subject {
  readonly name: string;
  readonly lab: Network;
  /** CPU time spent so far on forwarding (cpu.ts). */
  cpu(): CpuReading;
  /** Packets that it has looked at and dropped so far. */
  discarded(): Promise<number>;
  /** Bytes of memory of the process. */
  readonly resident?: () => number;
  /** Flows that it tracks. */
  readonly flowCount?: () => Promise<number>;
  /** Puts other rules in force. Resolves when they are, with what it says itself about how long that took, in ms. */
  readonly replaceRules?: (rules: Rules) => Promise<number | undefined>;
  /** Full collections of the packet threads so far; only with traceGc. */
  readonly majorCollections?: () => number;
}

export interface SubjectKind {
  readonly name: string;
  /** Why it cannot run here, if it cannot. */
  obstacle(): Promise<string | undefined>;
  start(options: SubjectOptions): Promise<Subject>;
}

/** Starts those that can run here. */
export async function startSubjects(
  context: Context,
  kinds: readonly SubjectKind[],
  options: SubjectOptions,
): Promise<Subject[]> {
  const subjects: Subject[] = [];
  for (const kind of kinds) {
    const obstacle = await kind.obstacle();
    if (obstacle === undefined) subjects.push(await kind.start(options));
    else context.skip(kind.name, obstacle);
  }
  return subjects;
}
