/**
 * What gateways say of themselves, in etcd:
 *
 *     gateway/<name>/now     the record, under a lease of half a minute: who has one, runs
 *     gateway/<name>/last    the same, under a lease of a week: it stays, so that one that has stopped is seen
 *
 * A record is written when something in it has changed, and every half minute for its counts. Nothing that a gateway does depends on
 * it: without etcd, or with a role that may not write it, the gateway goes on and is not seen.
 */
import type { FleetGateway } from '../store.ts';
import { newId } from './committer.ts';
import type { EtcdClient } from './etcd-client.ts';
import { EtcdError } from './etcd-errors.ts';
import { decoded, encoded } from './layout.ts';
import type { Keys } from './layout.ts';
import type { RangeAnswer, TxnAnswer } from './texts.ts';

const leaseSeconds = 30;
const keepAliveMs = 10_000;
const countsMs = 30_000;
const lastLeaseSeconds = 7 * 86_400;
const lastRenewedMs = 86_400_000;
/** Many gateways take a change in the same moment: their records do not come in the same one. */
const jitterMs = 100;
const page = 1000;
const maxText = 500;
const states = ['ok', 'refuses', 'degraded', 'failed'] as const;

/** What is written. */
export interface StoredGateway extends Omit<FleetGateway, 'runs' | 'isThis'> {
  /** Of the process. */
  readonly id: string;
}

export type Told = Omit<StoredGateway, 'id' | 'reportedAt'>;

interface Lease {
  readonly id: string;
  readonly grantedMs: number;
}

export class GatewayRecords {
  readonly #client: EtcdClient;
  readonly #keys: Keys;
  readonly #onWarning: (message: string) => void;
  readonly #id: string = newId();
  #describe: (() => Told) | undefined;
  #now: Lease | undefined;
  #last: Lease | undefined;
  /** What was written last, without counts and times, and when. */
  #written: { readonly text: string; readonly atMs: number } | undefined;
  #timer: NodeJS.Timeout | undefined;
  #turn: Promise<void> | undefined;
  #again = false;
  #isTold = false;

  constructor(client: EtcdClient, keys: Keys, onWarning: (message: string) => void) {
    this.#client = client;
    this.#keys = keys;
    this.#onWarning = onWarning;
  }

  /** Keeps the record of this gateway from now on. */
  begin(describe: () => Told): void {
    this.#describe = describe;
    this.#later(0);
  }

  /** Something may have changed. */
  look(): void {
    if (this.#describe === undefined) return;
    if (this.#turn === undefined) this.#later(Math.random() * jitterMs);
    else this.#again = true;
  }

  /** The gateway stops: the others see it at once. @param isAway etcd does not answer: the lease ends by itself */
  async close(isAway: boolean): Promise<void> {
    this.#describe = undefined;
    clearTimeout(this.#timer);
    await this.#turn;
    const lease = this.#now;
    if (lease === undefined || isAway) return;
    await this.#client.read('/v3/lease/revoke', { ID: lease.id }).catch(() => undefined);
  }

  #later(delayMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#turn = this.#report().finally(() => {
        this.#turn = undefined;
        if (this.#describe === undefined) return;
        this.#later(this.#again ? jitterMs : keepAliveMs);
        this.#again = false;
      });
    }, delayMs);
  }

  /** Never throws. */
  async #report(): Promise<void> {
    try {
      if (!(await this.#isAlive())) {
        this.#now = await this.#grant(leaseSeconds);
        this.#written = undefined;
      }
      await this.#write();
    } catch (error) {
      const trouble = error instanceof EtcdError ? error.trouble : 'unexpected';
      // Of a lease that is not there: etcd was restored, or somebody has ended it.
      if (trouble === 'unexpected') [this.#now, this.#last] = [undefined, undefined];
      if (trouble !== 'denied') return;
      this.#onWarning(
        'this gateway is not in the list of gateways: its role in etcd may not write its record, see tunwall store grant',
      );
      this.#describe = undefined;
    }
  }

  async #isAlive(): Promise<boolean> {
    if (this.#now === undefined) return false;
    const { result } = await this.#client.read<{ readonly result?: { readonly TTL?: string } }>(
      '/v3/lease/keepalive',
      { ID: this.#now.id },
    );
    return Number(result?.TTL ?? 0) > 0;
  }

  async #grant(seconds: number): Promise<Lease> {
    // One that nobody knows of ends by itself.
    const { ID: id } = await this.#client.read<{ readonly ID: string }>('/v3/lease/grant', {
      TTL: String(seconds),
    });
    return { id, grantedMs: performance.now() };
  }

  async #write(): Promise<void> {
    const own = this.#describe?.();
    if (own === undefined) return;
    const nowMs = performance.now();
    const { flows, packetsPerSecond, ...rest } = own;
    const text = JSON.stringify(rest);
    const written = this.#written;
    if (written?.text === text && nowMs - written.atMs < countsMs) return;
    if (this.#last === undefined || nowMs - this.#last.grantedMs > lastRenewedMs) {
      this.#last = await this.#grant(lastLeaseSeconds);
    }
    const reportedAt = new Date().toISOString();
    const record: StoredGateway = { ...rest, flows, packetsPerSecond, id: this.#id, reportedAt };
    const value = encoded(JSON.stringify(record));
    const key = this.#keys.gateway(own.name, 'now');
    const { responses = [] } = await this.#client.read<TxnAnswer>('/v3/kv/txn', {
      success: [
        { request_range: { key } },
        { request_put: { key, value, lease: this.#now!.id } },
        { request_put: { key: this.#keys.gateway(own.name, 'last'), value, lease: this.#last.id } },
      ],
    });
    const before = responses[0]?.response_range?.kvs?.[0]?.value;
    if (written !== undefined && before !== undefined) this.#checkName(before);
    this.#written = { text, atMs: nowMs };
  }

  /** Whoever has written between two of our writings goes by the same name. */
  #checkName(before: string): void {
    const { id, name } = parse(before) ?? {};
    if (id === undefined || id === this.#id || this.#isTold) return;
    this.#isTold = true;
    this.#onWarning(
      `another gateway is called ${name ?? ''}, too: give each a name of its own in gateway.yaml`,
    );
  }

  /** All of them, by name. @throws EtcdError */
  async list(): Promise<readonly FleetGateway[]> {
    const found = new Map<string, FleetGateway>();
    for (let from = this.#keys.gateways; ;) {
      const { kvs = [], more = false } = await this.#client.read<RangeAnswer>('/v3/kv/range', {
        ...{ key: from, range_end: this.#keys.afterGateways, limit: String(page) },
      });
      for (const { key, value } of kvs) {
        const stored = parse(value);
        const [name, of] = this.#keys.gatewayOf(key);
        if (stored?.name !== name) continue;
        const { id, ...record } = stored;
        const runs = of === 'now';
        if (runs || !found.has(name)) found.set(name, { ...record, runs, isThis: id === this.#id });
      }
      if (!more) break;
      from = encoded(Buffer.concat([decoded(kvs.at(-1)!.key), Buffer.of(0)]));
    }
    return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }
}

/** What a gateway has written may be anything. `undefined`: no record. */
function parse(value: string | undefined): StoredGateway | undefined {
  try {
    const found = JSON.parse(decoded(value).toString('utf8')) as Record<string, unknown>;
    const text = (key: keyof StoredGateway): string => cut(found[key]) ?? '';
    const number = (key: keyof StoredGateway): number => Number(found[key]) || 0;
    const [region, problem] = [cut(found['region']), cut(found['problem'])];
    return {
      ...{ id: text('id'), name: text('name'), version: text('version') },
      ...(region !== undefined && { region }),
      ...(problem !== undefined && { problem }),
      state: states.find((each) => each === found['state']) ?? 'failed',
      ...{ revision: number('revision'), seen: number('seen') },
      ...{ flows: number('flows'), packetsPerSecond: number('packetsPerSecond') },
      ...{ startedAt: text('startedAt'), reportedAt: text('reportedAt') },
    };
  } catch {
    return undefined;
  }
}

function cut(value: unknown): string | undefined {
  return typeof value === 'string' ? value.slice(0, maxText) : undefined;
}
