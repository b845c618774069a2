/**
 * Statistics: computed once a second at most, for all requests and event streams, and only the parts that one of them
 * wants. With rules it is a walk over all of them.
 */
import { formatRule } from '../../policy/rule-notation.ts';
import { directions } from '../../text/rule-text.ts';
import type { RuleDirection } from '../../text/rule-text.ts';
import type { ApiContext, Observer, RuleHits } from './context.ts';

const periodMs = 1000;

export interface StatsWanted {
  readonly rules: boolean;
  readonly servers: boolean;
}

interface RuleCount {
  readonly template: string;
  readonly direction: RuleDirection;
  readonly index: number;
  readonly text: string;
  readonly hits: number;
}

// The type is the schema's: the routes check it.
async function statsOf(
  { controlPlane }: ApiContext,
  observer: Observer,
  { rules, servers }: StatsWanted,
) {
  const { passed, dropped, drops, flows } = observer.totals();
  return {
    at: new Date().toISOString(),
    epoch: controlPlane.health().epoch,
    ...{ passed, dropped, drops, flows },
    ...(servers && { servers: Object.fromEntries(await observer.serverTotals()) }),
    ...(rules && { rules: await ruleCounts(controlPlane, observer.ruleHits()) }),
  };
}

async function ruleCounts(
  controlPlane: ApiContext['controlPlane'],
  hits: RuleHits,
): Promise<RuleCount[]> {
  const { templates } = await controlPlane.snapshot();
  return templates.flatMap(({ name: template, ...rules }) =>
    directions.flatMap((direction) =>
      rules[direction].flatMap((rule, index) => {
        const count = hits.of(template, direction, rule)?.hits ?? 0;
        const text = count === 0 ? '' : formatRule(direction, rule);
        return count === 0 ? [] : { template, direction, index, text, hits: count };
      }),
    ),
  );
}

type Stats = Awaited<ReturnType<typeof statsOf>>;

interface Reader {
  readonly wanted: StatsWanted;
  readonly send: (json: string) => void;
}

export class StatsFeed {
  readonly #context: ApiContext;
  readonly #readers: Set<Reader> = new Set();
  /** Who waits for the next statistics. */
  #waiting: StatsWanted[] = [];
  #next: Promise<Stats> | undefined;
  /** Until a second after the last ones were begun. */
  #pause: Promise<void> = Promise.resolve();
  #sending = false;

  constructor(context: ApiContext) {
    this.#context = context;
  }

  /** Statistics that are no older than this call. It may wait for up to a second. */
  async get(observer: Observer, wanted: StatsWanted): Promise<Stats> {
    return partOf(await this.#make(observer, [wanted]), wanted);
  }

  /** Sends once a second from now on. @returns a function that ends it */
  subscribe(observer: Observer, wanted: StatsWanted, send: Reader['send']): () => void {
    const reader = { wanted, send };
    this.#readers.add(reader);
    void this.#sendAll(observer);
    return () => this.#readers.delete(reader);
  }

  #make(observer: Observer, wanted: readonly StatsWanted[]): Promise<Stats> {
    this.#waiting.push(...wanted);
    this.#next ??= this.#makeNext(observer);
    return this.#next;
  }

  async #makeNext(observer: Observer): Promise<Stats> {
    await this.#pause;
    this.#pause = new Promise((resolve) => setTimeout(resolve, periodMs).unref());
    const wanted = this.#waiting;
    this.#waiting = [];
    this.#next = undefined;
    return await statsOf(this.#context, observer, {
      rules: wanted.some(({ rules }) => rules),
      servers: wanted.some(({ servers }) => servers),
    });
  }

  async #sendAll(observer: Observer): Promise<void> {
    if (this.#sending) return;
    this.#sending = true;
    while (this.#readers.size > 0) {
      try {
        const readers = [...this.#readers];
        const wanted = readers.map((reader) => reader.wanted);
        const all = await this.#make(observer, wanted);
        this.#send(
          all,
          readers.filter((reader) => this.#readers.has(reader)),
        );
      } catch (error) {
        this.#context.onWarning(`statistics: ${String(error)}`);
      }
    }
    this.#sending = false;
  }

  #send(all: Stats, readers: readonly Reader[]): void {
    const texts = new Map<string, string>();
    for (const { wanted, send } of readers) {
      const kind = `${wanted.rules} ${wanted.servers}`;
      const text = texts.get(kind) ?? JSON.stringify(partOf(all, wanted));
      texts.set(kind, text);
      send(text);
    }
  }
}

function partOf({ rules, servers, ...rest }: Stats, wanted: StatsWanted): Stats {
  return { ...rest, ...(wanted.servers && { servers }), ...(wanted.rules && { rules }) };
}
