/** What an operator does to a policy in etcd as a whole: make it, look at it, go on from it, back it up and restore it. */
import { ConfigJudge } from '../config-judge.ts';
import type { Actor } from '../store.ts';
import { makeBackup } from './backup.ts';
import type { Backup, BackupSummary } from './backup.ts';
import { commitFailure, newId } from './committer.ts';
import type { EtcdClient } from './etcd-client.ts';
import type { FleetAudit } from './fleet-audit.ts';
import { encoded } from './layout.ts';
import type { Head, Keys, StoredCommit } from './layout.ts';
import type { LocalState } from './local-state.ts';
import { Replica, unchanged } from './replica.ts';
import { textsOf } from './stored-policy.ts';
import type { TxnAnswer } from './texts.ts';

export interface AdministrationParts {
  readonly client: EtcdClient;
  readonly keys: Keys;
  readonly local: LocalState;
  readonly audit: FleetAudit;
  /** The configuration directory. */
  readonly directory: string;
}

export class Administration {
  readonly #parts: AdministrationParts;

  constructor(parts: AdministrationParts) {
    this.#parts = parts;
  }

  /** Makes an empty policy where there is none. @returns false when there is one. @throws StoreError */
  async initialize(actor: Actor): Promise<boolean> {
    const { client, keys } = this.#parts;
    const id = newId();
    const event = { actor, action: 'store.init', result: 'ok' as const, target: [keys.prefix] };
    const at = new Date().toISOString();
    const commit: StoredCommit = { id, at, event, versions: [] };
    const head: Head = { version: 1, generation: newId(), seq: 1, commit: id, files: {} };
    try {
      const { succeeded } = await client.write<TxnAnswer>('/v3/kv/txn', {
        compare: [keys.head, keys.users, keys.commit(1)].map((key) => unchanged(key, '0')),
        success: [
          { request_put: { key: keys.head, value: encoded(JSON.stringify(head)) } },
          { request_put: { key: keys.commit(1), value: encoded(JSON.stringify(commit)) } },
        ],
      });
      return succeeded === true;
    } catch (error) {
      throw commitFailure(error);
    }
  }

  /** What is in etcd now, whatever this gateway has taken. @throws StoreError */
  async present(): Promise<{ readonly seq: number; readonly files: ReadonlyMap<string, string> }> {
    const { head, raw } = await this.#untied().refresh();
    return { seq: head.seq, files: textsOf({ ...raw, gateway: undefined }) };
  }

  /** Goes on from what is in etcd now. @returns its number. @throws StoreError */
  async adopt(actor: Actor): Promise<number> {
    const { head } = await this.#untied().refresh();
    await this.#parts.audit.adopted(actor, head.seq);
    await this.#parts.local.keepMark(head);
    return head.seq;
  }

  /** The policy with its history and its users, as one file. @throws StoreError */
  async backup(): Promise<{ readonly bytes: Buffer; readonly summary: BackupSummary }> {
    const { client, keys } = this.#parts;
    try {
      return await makeBackup(client, keys);
    } catch (error) {
      throw commitFailure(error);
    }
  }

  /**
   * Puts a backup in the place of what is there; this gateway goes on from it.
   *
   * @param replaces also a policy that is there
   * @throws StoreError
   */
  async restore(actor: Actor, backup: Backup, replaces: boolean): Promise<void> {
    const { client, keys } = this.#parts;
    try {
      await backup.restore(client, keys, replaces);
    } catch (error) {
      throw commitFailure(error);
    }
    await this.adopt(actor);
  }

  /** That takes any state. */
  #untied(): Replica {
    const { client, keys, directory } = this.#parts;
    return new Replica({
      client,
      keys,
      judge: new ConfigJudge(`etcd:${keys.prefix}`, directory),
      local: { mark: () => Promise.resolve(undefined) },
      directory,
    });
  }
}
