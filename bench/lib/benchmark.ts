/**
 * What a benchmark is: the interface between the runner (main.ts), the workloads, and whoever prints the results.
 *
 * A benchmark measures one or more subjects in interleaved rounds (interleave.ts) and records figures. It prints nothing
 * itself, and it compares nothing with a target: a figure's id is what targets.ts refers to.
 */

/** One measurement of one subject. */
export interface Sample {
  readonly value: number;
  /** CPU of the process under test per packet (or per operation), user and system time, in µs. */
  readonly cpuUs?: number;
  /** The part of it that was spent in user space, in µs. */
  readonly userUs?: number;
}

/** The measurements of one subject, one a round; `samples[i]` of two series were taken in the same round. */
export interface Series {
  readonly subject: string;
  readonly samples: readonly Sample[];
}

export interface Figure {
  /** Unique, stable, kebab-case with dots: `bulk-tcp-1.rate`. */
  readonly id: string;
  /** For the reader: `bulk TCP, 1 stream`. */
  readonly title: string;
  /** `Gb/s`, `packets/s`, `ns`, … */
  readonly unit: string;
  readonly better: 'higher' | 'lower';
  /** The first series is that of the subject under test, the others are those of its peers. */
  readonly series: readonly Series[];
  /** What the reader has to know to read it right, one sentence. */
  readonly note?: string;
}

/** A curve for the report: medians over the rounds, or one run. */
export interface Chart {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly logarithmicX?: boolean;
  readonly lines: readonly {
    readonly subject: string;
    readonly points: readonly (readonly [x: number, y: number])[];
  }[];
}

export interface Context {
  /** A short look: fewer rounds, shorter measurements. */
  readonly quick: boolean;
  /** How many rounds to measure. */
  readonly pairs: number;
  /** Progress, one line. */
  say(line: string): void;
  record(figure: Figure): void;
  chart(chart: Chart): void;
  /** Something could not be measured here; the reason is printed and is part of the report. */
  skip(what: string, reason: string): void;
}

export interface Benchmark {
  /** Kebab-case: what --only takes. */
  readonly name: string;
  /** One line for --list. */
  readonly describe: string;
  run(context: Context): Promise<void>;
}
