/**
 * The loop: make a case, run it, keep it if it has reached something new, and make the next ones from what was kept.
 *
 * New is an edge of the guarded code, or a count of it in another power of two; a drop reason, an eviction, a change of
 * state that no case had before. Everything follows from the seed, so a run can be repeated as far as it went.
 */
import { formatCase } from './case.ts';
import type { FuzzCase } from './case.ts';
import { CaseRunner, FuzzFailure, markCount } from './execute.ts';
import { mutateCase, newCase } from './generate.ts';
import type { GuardedBuild } from './guarded-build.ts';
import { shrink } from './shrink.ts';
import { choose } from './traffic.ts';
import type { Random } from './traffic.ts';

/** How often a case is made from nothing although there is something to change. */
const freshShare = 0.15;

export interface FuzzProgress {
  readonly cases: number;
  readonly packets: number;
  readonly edges: number;
  readonly edgeCount: number;
  readonly marks: number;
  readonly corpus: number;
}

/** The smallest case that still fails, and why. */
export interface FuzzFinding {
  readonly message: string;
  readonly stack: string;
  readonly fuzzCase: FuzzCase;
}

export class Fuzzer {
  readonly #build: GuardedBuild;
  readonly #runner: CaseRunner;
  readonly #random: Random;
  readonly #corpus: FuzzCase[] = [];
  /** Powers of two of the counts seen, as bits, for each edge and then each mark. */
  readonly #seen: Uint32Array;
  #cases = 0;

  constructor(build: GuardedBuild, random: Random) {
    this.#build = build;
    this.#runner = new CaseRunner(build);
    this.#random = random;
    this.#seen = new Uint32Array(build.edgeCount + markCount);
  }

  get progress(): FuzzProgress {
    const { edgeCount } = this.#build;
    const reached = (counts: Uint32Array): number => counts.filter((bits) => bits !== 0).length;
    return {
      cases: this.#cases,
      packets: this.#runner.packets,
      edges: reached(this.#seen.subarray(0, edgeCount)),
      edgeCount,
      marks: reached(this.#seen.subarray(edgeCount)),
      corpus: this.#corpus.length,
    };
  }

  /** Runs one more case. */
  next(): FuzzFinding | undefined {
    const random = this.#random;
    const fresh = this.#corpus.length === 0 || random() < freshShare;
    const fuzzCase = fresh
      ? newCase(random)
      : mutateCase(random, choose(random, this.#corpus), choose(random, this.#corpus));
    const failure = this.#failure(fuzzCase);
    this.#cases++;
    if (failure !== undefined) return this.#shrunk(fuzzCase, failure);
    if (this.#isNew()) this.#corpus.push(fuzzCase);
    return undefined;
  }

  /** Runs a case that came from elsewhere, as it is. */
  replay(fuzzCase: FuzzCase): FuzzFinding | undefined {
    const failure = this.#failure(fuzzCase);
    this.#isNew();
    return failure && { ...reported(failure), fuzzCase };
  }

  #failure(fuzzCase: FuzzCase): FuzzFailure | undefined {
    try {
      this.#runner.run(fuzzCase);
      return undefined;
    } catch (error) {
      if (error instanceof FuzzFailure) return error;
      throw error;
    }
  }

  #shrunk(fuzzCase: FuzzCase, failure: FuzzFailure): FuzzFinding {
    const wanted = kindOf(failure);
    const smallest = shrink(fuzzCase, (candidate) => {
      const other = this.#failure(candidate);
      return other !== undefined && kindOf(other) === wanted;
    });
    return { ...reported(this.#failure(smallest)!), fuzzCase: smallest };
  }

  /** Takes note of what the last case has reached. */
  #isNew(): boolean {
    const { edges } = this.#build.runtime;
    const { marks } = this.#runner;
    const { edgeCount } = this.#build;
    let isNew = false;
    for (let index = 0; index < this.#seen.length; index++) {
      const count = index < edgeCount ? edges[index]! : marks[index - edgeCount]!;
      if (count === 0) continue;
      const bit = 1 << (31 - Math.clz32(count));
      if ((this.#seen[index]! & bit) !== 0) continue;
      this.#seen[index]! |= bit;
      isNew = true;
    }
    return isNew;
  }
}

/** Failures are the same if they differ in numbers only. */
function kindOf(failure: FuzzFailure): string {
  return failure.message.replace(/^step \d+: /, '').replace(/ -?\d+/g, ' N');
}

function reported(failure: FuzzFailure): { message: string; stack: string } {
  return { message: failure.message, stack: (failure.cause as Error).stack ?? '' };
}

/** What to show of a finding; `replay` says how to see it again. */
export function formatFinding({ message, stack, fuzzCase }: FuzzFinding): string {
  return `${message}\n${stack}\n\nThe smallest case that shows it:\n${formatCase(fuzzCase)}`;
}
