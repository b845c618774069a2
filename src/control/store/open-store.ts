/** The store of a configuration directory: that directory, or what its gateway.yaml names. */
import { join } from 'node:path';
import type { EtcdConfig } from '../../policy/types.ts';
import { validateGateway } from '../../policy/validate-gateway.ts';
import type { EtcdStore } from './etcd/etcd-store.ts';
import { readText } from './files/config-files.ts';
import { FileStore } from './files/file-store.ts';
import { LastGood } from './files/last-good.ts';
import { statePlaceOf } from './files/state-directory.ts';
import type { PolicyStore, Snapshot } from './store.ts';

export interface OpenOptions {
  readonly onWarning: (message: string) => void;
  /** How long a change waits for the lock of a directory. */
  readonly lockPatienceMs?: number;
}

export async function openStore(directory: string, options: OpenOptions): Promise<PolicyStore> {
  return (await openShared(directory, options)) ?? (await FileStore.open(directory, options));
}

/** `undefined`: the policy lies in the directory. */
export async function openShared(
  directory: string,
  options: OpenOptions,
): Promise<EtcdStore | undefined> {
  const etcd = await clusterOf(directory);
  if (etcd === undefined) return undefined;
  // Who has all in a directory does not wait for it.
  const store = await import('./etcd/etcd-store.ts');
  return await store.EtcdStore.open(directory, etcd, options);
}

/** The configuration as `run` would see it. */
export async function readConfiguration(directory: string): Promise<Snapshot> {
  const store = await openStore(directory, { onWarning: () => undefined });
  const snapshot = await store.read();
  // What was never seen is nothing to answer from.
  if (store.link === undefined || store.link.connected || store.link.revision > 0) return snapshot;
  const problems = snapshot.problems.map((problem) => ({ ...problem, severity: 'error' as const }));
  return { ...snapshot, problems };
}

/**
 * The cluster that gateway.yaml names. With errors in it the one that was in force last counts: a slip in this file must not
 * make a gateway of many one on its own, with an empty directory.
 */
async function clusterOf(directory: string): Promise<EtcdConfig | undefined> {
  const text = readText(directory, 'gateway.yaml')?.text;
  const found = text === undefined ? undefined : etcdIn(directory, text);
  if (text === undefined || found !== undefined) return found?.etcd;
  const kept = await new LastGood((await statePlaceOf(directory)).path).files();
  const last = kept?.gateway?.text;
  return last === undefined ? undefined : etcdIn(directory, last)?.etcd;
}

/** `undefined` with errors. */
function etcdIn(directory: string, text: string): { etcd: EtcdConfig | undefined } | undefined {
  const { value, problems } = validateGateway(join(directory, 'gateway.yaml'), text);
  if (problems.some(({ severity }) => severity === 'error')) return undefined;
  return { etcd: value?.store?.etcd };
}
