/**
 * A storm: writers at several gateways change the same templates, while one leader of etcd after the other is killed. Afterwards the
 * history is checked as Jepsen does it: what was acknowledged against what is there, and in which order.
 *
 * Each change adds a rule of its own name to a template that others change, too, upon what the writer has read: two at once are a
 * conflict. Where nobody says whether a change was made, the writer looks, and makes it again only if it is not there.
 */
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { EtcdStore } from '../../src/control/store/etcd/etcd-store.ts';
import { StoreError } from '../../src/control/store/store.ts';
import type { Edit, Snapshot, Watching } from '../../src/control/store/store.ts';
import { compilePolicy } from '../../src/policy/compile.ts';
import type { EtcdCluster } from '../support/etcd.ts';
import { EtcdSubject } from '../support/etcd-subject.ts';
import { alice } from '../support/stores.ts';

export interface StormShape {
  readonly gateways: number;
  readonly writers: number;
  /** Of each writer. */
  readonly changes: number;
  /** Templates that all of them change. */
  readonly templates: number;
  readonly betweenKillsMs: number;
}

/** A change that was acknowledged. Times are of one clock. */
export interface Acknowledged {
  readonly id: string;
  readonly askedMs: number;
  readonly answeredMs: number;
}

/** What is there at the end. */
export interface StormHistory {
  readonly acknowledged: readonly Acknowledged[];
  /** Names of all rules. */
  readonly rules: readonly string[];
  /** Changes in the audit log. */
  readonly commits: readonly { readonly id: string; readonly number: number }[];
  /** A digest of what each gateway has compiled, and of the final state. */
  readonly compiled: readonly string[];
}

export interface StormCounts {
  readonly tries: number;
  readonly conflicts: number;
  readonly kills: number;
  readonly seconds: number;
}

/** @returns every way in which the history is wrong, in words */
export function violations({ acknowledged, rules, commits, compiled }: StormHistory): string[] {
  const found: string[] = [];
  const wanted = new Set(acknowledged.map(({ id }) => id));
  const compare = (what: string, names: readonly string[]): void => {
    const counts = new Map<string, number>();
    for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
    for (const id of wanted) if (!counts.has(id)) found.push(`${id} was acknowledged, no ${what}`);
    for (const [name, count] of counts) {
      if (!wanted.has(name)) found.push(`nobody was told of the ${what} ${name}`);
      if (count > 1) found.push(`${count} times the ${what} ${name}`);
    }
  };
  compare('rule', rules);
  compare(
    'commit',
    commits.map(({ id }) => id),
  );
  const inOrder = [...commits].sort((a, b) => a.number - b.number);
  for (const [index, { number }] of inOrder.entries()) {
    const before = inOrder[index - 1];
    if (before !== undefined && number !== before.number + 1) {
      found.push(`from commit ${before.number} to ${number}`);
    }
  }
  found.push(...outOfOrder(acknowledged, inOrder));
  const differing = new Set(compiled).size;
  if (differing > 1) found.push(`gateways have compiled ${differing} policies`);
  return found;
}

/** A change that was answered before another one was asked for has the smaller number. */
function outOfOrder(
  acknowledged: readonly Acknowledged[],
  commits: StormHistory['commits'],
): string[] {
  const times = new Map(acknowledged.map((each) => [each.id, each]));
  let latest: Acknowledged | undefined;
  return commits.flatMap(({ id }) => {
    const own = times.get(id);
    if (own === undefined) return [];
    const wrong = latest !== undefined && own.answeredMs < latest.askedMs;
    const sentence = `${id} was answered before ${latest?.id ?? ''} was asked for, and comes after it`;
    if (latest === undefined || own.askedMs > latest.askedMs) latest = own;
    return wrong ? [sentence] : [];
  });
}

const templateName = (index: number): string => `shared-${index}`;
const rulesIn = ({ templates }: Snapshot, index: number): string[] =>
  (templates.find(({ name }) => name === templateName(index))?.inbound ?? []).map(
    ({ comment }) => comment!,
  );
const digestOf = (snapshot: Snapshot): string =>
  createHash('sha256').update(compilePolicy(snapshot, 1).words).digest('hex');

class Storm {
  readonly #cluster: EtcdCluster;
  readonly #shape: StormShape;
  readonly acknowledged: Acknowledged[] = [];
  tries = 0;
  kills = 0;

  constructor(cluster: EtcdCluster, shape: StormShape) {
    this.#cluster = cluster;
    this.#shape = shape;
  }

  async write(store: EtcdStore, name: string): Promise<void> {
    for (let count = 0; count < this.#shape.changes; count++) {
      const askedMs = performance.now();
      const id = `${name}-${count}`;
      await this.#makeOnce(store, id, this.acknowledged.length % this.#shape.templates);
      this.acknowledged.push({ id, askedMs, answeredMs: performance.now() });
    }
  }

  /** Again until it is said to be made; one that was made without saying so is not made again. */
  async #makeOnce(store: EtcdStore, id: string, index: number): Promise<void> {
    const edit: Edit = (now) => {
      if (rulesIn(now, index).includes(id)) return [];
      const rule = { protocol: 'icmp', comment: id };
      return [{ kind: 'add-rule', template: templateName(index), direction: 'inbound', rule }];
    };
    for (;;) {
      this.tries++;
      try {
        await store.change({ ...alice, name: id }, edit);
        return;
      } catch (error) {
        const kinds = error instanceof StoreError ? error.failures.map(({ kind }) => kind) : [''];
        if (!kinds.every((kind) => kind === 'store-unavailable' || kind === 'busy')) throw error;
        await sleep(100);
      }
    }
  }

  /** @returns what ends it */
  killLeaders(): () => Promise<void> {
    const work = { isDone: false };
    const killing = (async () => {
      while (!work.isDone) {
        const leader = await this.#cluster.leader().catch(() => undefined);
        if (leader !== undefined) {
          await this.#cluster.kill(leader);
          this.kills++;
          this.#cluster.restart(leader);
        }
        await sleep(this.#shape.betweenKillsMs);
      }
    })();
    return async () => {
      work.isDone = true;
      await killing;
      await this.#cluster.ready();
    };
  }
}

/** @param onProgress how many changes are made, every few seconds */
export async function storm(
  cluster: EtcdCluster,
  shape: StormShape,
  onProgress: (made: number) => void = () => undefined,
): Promise<{ readonly history: StormHistory; readonly counts: StormCounts }> {
  const subject = await EtcdSubject.create(cluster, {
    'servers.yaml': `servers:\n${Array.from({ length: shape.templates }, (_, index) => `  - { name: s-${index}, addresses: [10.0.0.${1 + index}], templates: [${templateName(index)}] }\n`).join('')}`,
    ...Object.fromEntries(
      Array.from({ length: shape.templates }, (_, index) => [
        `templates/${templateName(index)}.yaml`,
        'inbound: []\n',
      ]),
    ),
  });
  const stores = await Promise.all(Array.from({ length: shape.gateways }, () => subject.store()));
  const seen: Snapshot[] = [];
  const watches: Watching[] = [];
  for (const [index, store] of stores.entries()) {
    seen.push(await store.read());
    const onChange = (snapshot: Snapshot): void => void (seen[index] = snapshot);
    watches.push(await store.watch({ onChange, onWarning: () => undefined }));
  }
  const all = new Storm(cluster, shape);
  const startedMs = performance.now();
  const progress = setInterval(() => onProgress(all.acknowledged.length), 5000);
  const end = all.killLeaders();
  try {
    await Promise.all(
      stores.flatMap((store, gateway) =>
        Array.from({ length: shape.writers }, (_, writer) =>
          all.write(store, `g${gateway}-w${writer}`),
        ),
      ),
    );
  } finally {
    clearInterval(progress);
    await end();
  }
  const seconds = (performance.now() - startedMs) / 1000;
  const final = await (await subject.store()).read();
  await untilAllHave(final, seen);
  const history = {
    acknowledged: all.acknowledged,
    rules: Array.from({ length: shape.templates }, (_, index) => rulesIn(final, index)).flat(),
    commits: await commitsIn(stores[0]!),
    compiled: [final, ...seen].map(digestOf),
  };
  const conflicts = stores.reduce((sum, { link }) => sum + link.conflicts, 0);
  for (const each of watches) await each.close();
  await subject.remove();
  return { history, counts: { tries: all.tries, conflicts, kills: all.kills, seconds } };
}

/** A gateway that never has it is found by what it has compiled. */
async function untilAllHave({ revision }: Snapshot, seen: readonly Snapshot[]): Promise<void> {
  const untilMs = performance.now() + 60_000;
  while (performance.now() < untilMs && seen.some((each) => each.revision !== revision)) {
    await sleep(50);
  }
}

async function commitsIn(store: EtcdStore): Promise<StormHistory['commits']> {
  const commits: { id: string; number: number }[] = [];
  for (let before: string | undefined; ;) {
    const page = await store.audit.query({
      ...{ action: 'template.add-rule', result: 'ok', limit: 1000 },
      ...(before !== undefined && { before }),
    });
    commits.push(...page.records.map(({ actor, commit }) => ({ id: actor.name, number: commit! })));
    if (page.next === undefined) return commits;
    before = page.next;
  }
}

/** One line for people. */
export function stormText({ acknowledged, rules }: StormHistory, counts: StormCounts): string {
  const { tries, conflicts, kills, seconds } = counts;
  return `acknowledged ${acknowledged.length}, there ${rules.length}, tries ${tries}, conflicts ${conflicts}, leaders killed ${kills}, in ${seconds.toFixed(0)} s`;
}
