/**
 * Statistics for the event streams: computed once a second for all clients, and only the parts that one of them wants.
 * With rules it is a walk over all of them.
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
export async function statsOf(
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
        const count = hits.of(template, direction, rule) ?? 0;
        const text = count === 0 ? '' : formatRule(direction, rule);
        return count === 0 ? [] : { template, direction, index, text, hits: count };
      }),
    ),
  );
}

interface Reader {
  readonly wanted: StatsWanted;
  readonly send: (json: string) => void;
}

export class StatsFeed {
  readonly #context: ApiContext;
  readonly #readers: Set<Reader> = new Set();
  #timer: NodeJS.Timeout | undefined;
  #making = false;

  constructor(context: ApiContext) {
    this.#context = context;
  }

  /** Sends once a second from now on. @returns a function that ends it */
  subscribe(observer: Observer, wanted: StatsWanted, send: Reader['send']): () => void {
    const reader = { wanted, send };
    this.#readers.add(reader);
    this.#timer ??= setInterval(() => void this.#tick(observer), periodMs);
    return () => {
      this.#readers.delete(reader);
      if (this.#readers.size > 0) return;
      clearInterval(this.#timer);
      this.#timer = undefined;
    };
  }

  async #tick(observer: Observer): Promise<void> {
    if (this.#making) return;
    this.#making = true;
    try {
      const wanted = [...this.#readers].map((reader) => reader.wanted);
      const all = await statsOf(this.#context, observer, {
        rules: wanted.some(({ rules }) => rules),
        servers: wanted.some(({ servers }) => servers),
      });
      const texts = new Map<string, string>();
      for (const reader of this.#readers) {
        const { rules, servers } = reader.wanted;
        const kind = `${rules} ${servers}`;
        const text = texts.get(kind) ?? JSON.stringify(partOf(all, reader.wanted));
        texts.set(kind, text);
        reader.send(text);
      }
    } catch (error) {
      this.#context.onWarning(`statistics: ${String(error)}`);
    } finally {
      this.#making = false;
    }
  }
}

function partOf(
  { rules, servers, ...rest }: Awaited<ReturnType<typeof statsOf>>,
  wanted: StatsWanted,
): object {
  return { ...rest, ...(wanted.servers && { servers }), ...(wanted.rules && { rules }) };
}
